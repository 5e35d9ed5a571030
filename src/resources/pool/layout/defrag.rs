//! Which blocks to move so that slabs become empty.

use super::{BlockId, Layout, Place, Row, Slab, State, slab};

/// Slabs that one plan looks at, so that a plan's cost does not grow with the pool.
const MOST_SLABS: usize = 1_024;

/// When moving is worth it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DefragRules {
    /// Bytes of a slab that must come free for each byte moved; 1.5 by default: a slab is emptied when at most two thirds of it are used.
    pub least_gain: f64,
}

impl Default for DefragRules {
    fn default() -> Self {
        Self { least_gain: 1.5 }
    }
}

/// One block to copy. Until it is committed or abandoned, neither of its places is given to anybody.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a move that is neither committed nor abandoned keeps its places for ever"]
pub struct Move {
    /// The block.
    pub block: BlockId,
    /// Where its bytes are.
    pub from: Place,
    /// Where they go.
    pub to: Place,
    /// How many there are to copy.
    pub bytes: u64,
    planned_at: u64,
}

/// What has become of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Committed {
    /// The block lies at its new place.
    Moved,
    /// The block was used while it was copied, or pinned: it stays where it was.
    Stayed,
    /// The block was freed while it was copied.
    Gone,
}

impl Layout {
    /// Chooses blocks to move, of at most `budget_bytes` bytes in at most `max_moves` moves: those of the emptiest slabs, where the other
    /// slabs of their class have room for all of them. Blocks that are pinned, that move already, or that a submission uses which is not
    /// done stay, and so does a slab with one of them. The same pool gives the same plan.
    ///
    /// A slab whose blocks do not fit one budget is emptied by several plans. No plan takes a slab that gives back less than it costs
    /// ([`DefragRules`]), and none makes a new slab: where there is nothing to gain it is empty.
    pub fn plan(&mut self, budget_bytes: u64, max_moves: usize) -> Vec<Move> {
        let mut plan = Vec::new();
        let mut budget = budget_bytes;
        let mut looked_at = 0;
        let rows = self.rows.len();
        for step in 0..rows {
            let row = (self.next_row + step) % rows;
            if self.rows[row].bytes == 0 {
                continue;
            }
            while plan.len() < max_moves && looked_at < MOST_SLABS {
                let Some(victim) = self.victim(row, &mut looked_at) else { break };
                let before = plan.len();
                if !self.drain(victim, &mut budget, max_moves, &mut plan) || plan.len() == before {
                    break;
                }
            }
            if plan.len() >= max_moves || looked_at >= MOST_SLABS {
                self.next_row = row;
                break;
            }
        }
        plan
    }

    /// The copy of a move is complete, and the submissions up to `after` may still use the old place. `used_since` says that the block was
    /// written while it was copied.
    #[expect(clippy::needless_pass_by_value, reason = "a move is committed once")]
    pub fn commit(&mut self, done: Move, used_since: bool, after: u64) -> Committed {
        self.sums.moves_under_way -= 1;
        self.sums.moving -= done.to.bytes;
        let Move { block, from, to, planned_at, .. } = done;
        let cell = |place: Place| (place.slab.0, (place.offset / place.bytes) as u32);
        let ((from_slab, from_cell), (to_slab, to_cell)) = (cell(from), cell(to));
        let Some(entry) = self.entry_mut(block) else {
            // It ended on the way: both cells are nobody's.
            let requested = done.bytes;
            self.give_back(to_slab, to_cell, requested);
            self.give_back_after(after, from_slab, from_cell, requested);
            return Committed::Gone;
        };
        entry.state = State::Live;
        let requested = entry.requested;
        if used_since || entry.pins > 0 || entry.last_use > planned_at {
            self.give_back(to_slab, to_cell, requested);
            self.stop_draining(from_slab);
            return Committed::Stayed;
        }
        (entry.slab, entry.cell) = (to_slab, to_cell);
        if let Some(slab) = self.slabs[to_slab as usize].as_mut() {
            slab.owners[to_cell as usize] = block.index;
        }
        self.give_back_after(after, from_slab, from_cell, requested);
        Committed::Moved
    }

    /// The copy of a move was not made, and will not be.
    pub fn abandon(&mut self, planned: Move) {
        self.commit(planned, true, self.completed);
    }

    pub(super) fn slabs_of<'a>(&'a self, row: &'a Row) -> impl DoubleEndedIterator<Item = (u32, &'a Slab)> {
        row.slabs.iter().filter_map(|&id| Some((id, self.slab(id)?)))
    }

    /// The slab of a class to empty next: one that is being emptied, or the emptiest that is worth it and whose blocks fit elsewhere.
    /// The last come first: blocks are given out from the first.
    fn victim(&mut self, row: usize, looked_at: &mut usize) -> Option<u32> {
        let mut best: Option<(u32, u32)> = None;
        let mut free = 0_u64;
        let mut stuck = None;
        for (id, slab) in self.slabs_of(&self.rows[row]).rev() {
            *looked_at += 1;
            if *looked_at >= MOST_SLABS {
                break;
            }
            if slab.draining {
                if self.may_be_emptied(slab) {
                    return Some(id);
                }
                stuck = Some(id);
                break;
            }
            if !slab.closed && slab.used > 0 && slab.used < slab.cells() {
                free += u64::from(slab.free.count());
                if best.is_none_or(|(used, _)| slab.used < used) {
                    best = Some((slab.used, id));
                }
            }
        }
        if let Some(stuck) = stuck {
            self.stop_draining(stuck);
            return None;
        }
        let (used, id) = best?;
        let slab = self.slab(id)?;
        let gain = f64::from(slab.cells()) / f64::from(used);
        let fits = free - u64::from(slab.free.count()) >= u64::from(used);
        if gain < self.config.defrag.least_gain || !fits || !self.may_be_emptied(slab) {
            return None;
        }
        let (row, position, unusable) =
            (slab.row as usize, slab.position, u64::from(slab.free.count()) * slab.cell_bytes);
        self.rows[row].open.remove(position);
        self.sums.unusable += unusable;
        self.slabs[id as usize].as_mut()?.draining = true;
        Some(id)
    }

    fn is_movable(&self, owner: u32) -> bool {
        self.entries
            .get(owner as usize)
            .is_some_and(|entry| entry.state == State::Live && entry.pins == 0 && entry.last_use <= self.completed)
    }

    /// Whether all blocks of a slab may be moved now, or move already. A cell that waits for the GPU empties itself.
    fn may_be_emptied(&self, slab: &Slab) -> bool {
        let moves = |owner: u32| self.entries.get(owner as usize).is_some_and(|entry| entry.state == State::Moving);
        slab.owners.iter().all(|&owner| owner == slab::NOBODY || self.is_movable(owner) || moves(owner))
    }

    /// Plans moves out of a slab until the budget is used. True when nothing is left to plan there.
    fn drain(&mut self, id: u32, budget: &mut u64, max_moves: usize, plan: &mut Vec<Move>) -> bool {
        let Some(slab) = self.slab(id) else { return true };
        let row = &self.rows[slab.row as usize];
        // The fullest take them, so that the others may be emptied next.
        let takes = |slab: &Slab| !slab.draining && !slab.closed && slab.used > 0 && slab.used < slab.cells();
        let mut targets: Vec<_> =
            self.slabs_of(row).filter(|(_, slab)| takes(slab)).map(|(id, slab)| (slab.used, id)).collect();
        targets.sort_unstable();
        let owned =
            slab.owners.iter().enumerate().filter(|&(_, &owner)| owner != slab::NOBODY && self.is_movable(owner));
        let blocks: Vec<(u32, u32)> = owned.map(|(cell, &owner)| (cell as u32, owner)).collect();
        for (cell, owner) in blocks {
            let requested = self.entries[owner as usize].requested;
            if plan.len() >= max_moves || requested > *budget {
                return false;
            }
            while targets.last().is_some_and(|&(_, id)| self.slab(id).is_none_or(|slab| slab.free.count() == 0)) {
                targets.pop();
            }
            let Some(&(_, target)) = targets.last() else {
                self.stop_draining(id);
                return true;
            };
            let (to_cell, _) = self.take_cell(target, slab::NOBODY, requested);
            let (Some(from), Some(to)) = (self.cell_place(id, cell), self.cell_place(target, to_cell)) else {
                return true;
            };
            let entry = &mut self.entries[owner as usize];
            entry.state = State::Moving;
            let block = BlockId { index: owner, generation: entry.generation };
            self.sums.moves_under_way += 1;
            self.sums.moving += to.bytes;
            *budget -= requested;
            plan.push(Move { block, from, to, bytes: requested, planned_at: self.completed });
        }
        true
    }

    /// The slab keeps its blocks after all.
    fn stop_draining(&mut self, id: u32) {
        let Some(slab) = self.slabs[id as usize].as_mut() else { return };
        if slab.draining {
            slab.draining = false;
            self.sums.unusable -= u64::from(slab.free.count()) * slab.cell_bytes;
            if slab.free.count() > 0 {
                self.rows[slab.row as usize].open.insert(slab.position);
            }
        }
    }
}
