//! Which block lies where, and whose it is: for tools, as plain data and as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

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
    /// Bytes of all of it: those behind the last cell are left over.
    pub bytes: u64,
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
                bytes: slab.bytes,
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

    /// As JSON, to be kept and compared. Bytes are whole numbers; what is not known is left out. See `docs/POOLS.md` for its fields.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let PoolStats { memory, allocations, failures, slabs_made, slabs_released, released_bytes, defrag } =
            self.stats;
        json!({
            "name": &*self.name,
            "reserved_bytes": memory.reserved_bytes,
            "allocated_bytes": memory.allocated_bytes,
            "requested_bytes": memory.requested_bytes,
            "live_requested_bytes": memory.live_requested_bytes,
            "free_bytes": memory.free_bytes(),
            "unusable_bytes": memory.unusable_bytes,
            "waiting_bytes": memory.waiting_bytes,
            "moving_bytes": memory.moving_bytes,
            "lost_bytes": memory.lost_bytes(),
            "lost_or_in_flight_bytes": memory.lost_or_in_flight_bytes(),
            "loss_ratio": memory.loss_ratio(),
            "budget_bytes": memory.budget_bytes,
            "live_blocks": memory.live_blocks,
            "waiting_blocks": memory.waiting_blocks,
            "allocations": allocations,
            "failures": failures,
            "slabs_made": slabs_made,
            "slabs_released": slabs_released,
            "released_bytes": released_bytes,
            "defrag": {
                "planned": defrag.planned,
                "planned_bytes": defrag.planned_bytes,
                "moved": defrag.moved,
                "moved_bytes": defrag.moved_bytes,
                "stayed": defrag.stayed,
                "gone": defrag.gone,
                "recovered_bytes": defrag.recovered_bytes,
            },
            "owners": self.owners().iter().map(|(name, bytes)| json!({ "owner": &**name, "requested_bytes": bytes })).collect::<Vec<_>>(),
            "heaps": self.heaps.iter().map(HeapMap::to_json).collect::<Vec<_>>(),
        })
    }
}

impl HeapMap {
    fn to_json(&self) -> serde_json::Value {
        let bucket = |bucket: &Bucket| {
            json!({
                "cell_bytes": bucket.cell_bytes,
                "slabs": bucket.slabs,
                "cells": bucket.cells,
                "used_cells": bucket.used_cells,
                "occupancy_ratio": bucket.occupancy(),
                "largest_free_bytes": bucket.largest_free_bytes,
            })
        };
        json!({
            "usage": format!("{:?}", self.usage),
            "buckets": self.buckets.iter().map(bucket).collect::<Vec<_>>(),
            "slabs": self.slabs.iter().map(SlabMap::to_json).collect::<Vec<_>>(),
        })
    }
}

impl SlabMap {
    fn to_json(&self) -> serde_json::Value {
        let block = |block: &BlockMap| {
            json!({
                "offset": block.offset,
                "requested_bytes": block.bytes,
                "owner": &*block.owner,
                "label": block.label.as_deref(),
                "generation": block.generation,
                "pinned": block.pinned,
                "moving": block.moving,
            })
        };
        json!({
            "slab": self.number,
            "resource": self.resource,
            "bytes": self.bytes,
            "cell_bytes": self.cell_bytes,
            "cells": self.cells,
            "draining": self.draining,
            "blocks": self.blocks.iter().map(block).collect::<Vec<_>>(),
            "waiting_offsets": self.waiting_cells.iter().map(|&cell| u64::from(cell) * self.cell_bytes).collect::<Vec<_>>(),
        })
    }
}
