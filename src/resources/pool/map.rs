//! Which block lies where, and whose it is: for people and for tools.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::layout::Bucket;
use super::state::State;
use super::stats::PoolStats;

/// A pool at one moment, slab by slab.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PoolMap {
    /// The pool's name.
    pub name: Arc<str>,
    /// Its figures.
    pub stats: PoolStats,
    /// Its slabs, by set of usages.
    pub heaps: Vec<HeapMap>,
}

/// The slabs of one set of usages.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HeapMap {
    /// What its blocks may be used for.
    pub usage: wgpu::BufferUsages,
    /// Its size classes.
    pub buckets: Vec<Bucket>,
    /// Its slabs, by number.
    pub slabs: Vec<SlabMap>,
}

/// One slab.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SlabMap {
    /// Its number, which may be used again.
    pub number: u32,
    /// The resource that it is; `None` where it is not tracked.
    pub resource: Option<u64>,
    /// Bytes of its cells.
    pub cell_bytes: u64,
    /// Its cells.
    pub cells: u32,
    /// Defragmentation is emptying it.
    pub draining: bool,
    /// Its live blocks, by cell.
    pub blocks: Vec<BlockMap>,
    /// Cells without a block that the GPU still uses.
    pub waiting_cells: Vec<u32>,
}

/// One block.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BlockMap {
    /// From which byte of the slab.
    pub offset: u64,
    /// Bytes asked for.
    pub bytes: u64,
    /// Whose it is.
    pub owner: Arc<str>,
    /// Its name.
    pub label: Option<Arc<str>>,
    /// Times that it has moved.
    pub generation: u64,
    /// It is pinned.
    pub pinned: bool,
    /// It is being copied.
    pub moving: bool,
}

impl PoolMap {
    pub(super) fn of(name: &Arc<str>, state: &State) -> Self {
        let heaps = state.heaps.iter().map(|heap| {
            let slabs = heap.layout.view().into_iter().map(|slab| SlabMap {
                number: slab.slab.0,
                resource: heap.slab(slab.slab).and_then(|slab| slab.id).map(|id| id.get()),
                cell_bytes: slab.cell_bytes,
                cells: slab.cells,
                draining: slab.draining,
                blocks: slab
                    .blocks
                    .iter()
                    .map(|view| {
                        let record = &heap.records[view.block.index() as usize];
                        BlockMap {
                            offset: u64::from(view.cell) * slab.cell_bytes,
                            bytes: view.requested_bytes,
                            owner: state.owners.name(record.owner),
                            label: record.label.clone(),
                            generation: record.generation,
                            pinned: view.pinned,
                            moving: view.moving,
                        }
                    })
                    .collect(),
                waiting_cells: slab.waiting_cells,
            });
            HeapMap { usage: heap.usage, buckets: heap.layout.buckets(), slabs: slabs.collect() }
        });
        Self { name: Arc::clone(name), stats: state.stats(), heaps: heaps.collect() }
    }

    /// Bytes asked for by each owner, by name.
    #[must_use]
    pub fn owners(&self) -> BTreeMap<Arc<str>, u64> {
        let mut owners = BTreeMap::new();
        for block in self.heaps.iter().flat_map(|heap| &heap.slabs).flat_map(|slab| &slab.blocks) {
            *owners.entry(Arc::clone(&block.owner)).or_default() += block.bytes;
        }
        owners
    }
}
