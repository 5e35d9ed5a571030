//! Which blocks to move so that slabs become empty.

use std::cmp::Reverse;

use super::entries::Use;
use super::{BlockId, Layout, Place, Row, Slab, slab};

/// A plan looks at so many slabs of a class, and when it has looked at so many at no other class, so that its cost does not grow with the pool.
const MOST_SLABS: usize = 1_024;
/// A slab whose next block fits none of so many plans keeps its blocks.
const MOST_HELD_UP: u32 = 8;
/// Where room is scarce, the part of the gain beyond the cost that is asked for is so many times smaller.
const SCARCE_GAIN: f64 = 4.0;

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
    /// Chooses blocks to move, of at most `budget_bytes` bytes in at most `max_moves` moves: those of the slabs that give back most for each
    /// byte that is moved, where the other slabs of their class have room for all of them. A slab with a block that is pinned, or that a
    /// submission uses which is not done, is not begun, and such a block stays. The same pool gives the same plan.
    ///
    /// A slab whose blocks do not fit one budget is emptied by several plans. No plan begins a slab that gives back less than it costs
    /// ([`DefragRules`]), and none makes a new slab: where there is nothing to gain it is empty.
    pub fn plan(&mut self, budget_bytes: u64, max_moves: usize) -> Vec<Move> {
        let mut plan = Plan { moves: Vec::new(), budget: budget_bytes, whole: budget_bytes, max_moves };
        if budget_bytes == 0 || max_moves == 0 || !self.go_on(&mut plan) {
            return plan.moves;
        }
        // Where most is to be had comes first.
        let mut rows: Vec<(u64, u32)> = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            if row.holes > 0 && row.slabs.len() - row.free_positions.len() > 1 {
                rows.push((row.holes, index as u32));
            }
        }
        rows.sort_unstable_by_key(|&(holes, _)| Reverse(holes));
        // Those that the last plan did not get to come before all.
        let first = self.plan_from.take().and_then(|from| rows.iter().position(|&(_, row)| row == from)).unwrap_or(0);
        let mut looked_at = 0;
        for step in 0..rows.len() {
            let (_, row) = rows[(first + step) % rows.len()];
            if looked_at >= MOST_SLABS {
                self.plan_from = Some(row);
                break;
            }
            if !self.empty_slabs(row as usize, &mut plan) {
                break;
            }
            looked_at += self.look_further(row as usize);
        }
        plan.moves
    }

    /// The copy of a move is complete, and the submissions up to `after` may still use the old place. `used_since` says that the block was
    /// written while it was copied.
    #[expect(clippy::needless_pass_by_value, reason = "a move is committed once")]
    pub fn commit(&mut self, done: Move, used_since: bool, after: u64) -> Committed {
        self.sums.moves_under_way -= 1;
        self.sums.moving -= done.to.bytes;
        let Move { block, from, to, planned_at, .. } = done;
        if let Some(slab) = self.slab_mut(to.slab.0) {
            slab.incoming -= 1;
        }
        let cell = |place: Place| (place.slab.0, (place.offset / place.bytes) as u32);
        let ((from_slab, from_cell), (to_slab, to_cell)) = (cell(from), cell(to));
        let uses = self.entries.uses(block);
        let Some(entry) = self.entries.get_mut(block) else {
            // It ended on the way: both cells are nobody's.
            let requested = done.bytes;
            let after = after.max(self.orphans.remove(&block).unwrap_or(0));
            self.give_back(to_slab, to_cell, requested);
            self.give_back_after(after, from_slab, from_cell, requested);
            return Committed::Gone;
        };
        entry.set_moving(false);
        let requested = entry.requested();
        if used_since || uses.pins > 0 || uses.last > planned_at {
            self.give_back(to_slab, to_cell, requested);
            self.stop_draining(from_slab);
            return Committed::Stayed;
        }
        entry.lies_in(to_slab, to_cell);
        if let Some(slab) = self.slab_mut(to_slab) {
            slab.set_owner(to_cell, block.index);
        }
        self.give_back_after(after, from_slab, from_cell, requested);
        Committed::Moved
    }

    /// The copy of a move was not made, and will not be.
    pub fn abandon(&mut self, planned: Move) {
        self.commit(planned, true, self.completed);
    }

    pub(super) fn slabs_of<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (u32, &'a Slab)> {
        row.slabs.iter().filter_map(|&id| Some((id, self.slab(id)?)))
    }

    /// Plans moves out of the slabs of a class, the emptiest first, as long as that is worth it and their blocks fit elsewhere. False where
    /// the plan is full.
    fn empty_slabs(&mut self, row: usize, plan: &mut Plan) -> bool {
        let slabs = self.partly_used(row);
        let seen = |&(_, id): &(f64, u32)| self.slab(id);
        let mut free: u64 = slabs.iter().filter_map(seen).map(|slab| u64::from(slab.cells() - slab.used)).sum();
        let least = self.config.defrag.least_gain;
        // Where room is scarce a smaller gain is worth it, but never none.
        let least = if self.hurries() { 1.0 + (least - 1.0) / SCARCE_GAIN } else { least };
        // What would not fit any plan is not begun.
        let fits = slabs.iter().find_map(seen).is_none_or(|slab| slab.cell_bytes <= plan.whole);
        // A slab that cannot be emptied now takes blocks before all others. What is on its way into one would be moved once more.
        let at_rest = |slab: &Slab| slab.pins == 0 && slab.incoming == 0 && slab.last_use <= self.completed;
        let may_be_emptied = |one: &(f64, u32)| fits && seen(one).is_some_and(at_rest);
        let (mut slabs, stuck): (Vec<_>, Vec<_>) = slabs.into_iter().partition(may_be_emptied);
        let candidates = slabs.len();
        slabs.extend(stuck);
        for next in 0..candidates {
            let (used_part, id) = slabs[next];
            let Some(slab) = self.slab(id) else { continue };
            // One that blocks were moved to meanwhile is not emptied.
            if used_part * least > 1.0 || slab.used_part() > used_part {
                return true;
            }
            // Neither its own free cells nor those that its blocks take are there for the next ones.
            let Some(left) = free.checked_sub(slab.cells().into()) else {
                slabs.push((used_part, id));
                continue;
            };
            free = left;
            self.begin_draining(id);
            if !self.drain(id, slabs.get(next + 1..).unwrap_or_default(), plan) {
                return false;
            }
        }
        true
    }

    fn begin_draining(&mut self, id: u32) {
        self.draining = Some(id);
        self.held_up = 0;
        if let Some(slab) = self.slabs[id as usize].as_mut() {
            slab.drained_to = Some(0);
            let row = &mut self.rows[slab.row as usize];
            row.draining += 1;
            row.close(slab.position);
        }
    }

    /// The slabs of a class that both have blocks and take some: which part of each is used, the smallest first. Of a class that has more than a plan
    /// looks at, those of the positions that it is at.
    fn partly_used(&self, row: usize) -> Vec<(f64, u32)> {
        let takes = |slab: &Slab| slab.used > 0 && !slab.is_full() && !slab.is_draining() && !slab.closed;
        let row = &self.rows[row];
        let (before, after) = row.slabs.split_at(row.looked_to.min(row.slabs.len()));
        let slabs = after.iter().chain(before).take(MOST_SLABS).filter_map(|&id| Some((id, self.slab(id)?)));
        let slabs = slabs.filter(|(_, slab)| takes(slab));
        let mut slabs: Vec<(f64, u32)> = slabs.map(|(id, slab)| (slab.used_part(), id)).collect();
        slabs.sort_unstable_by(|(one, first), (other, second)| one.total_cmp(other).then(first.cmp(second)));
        slabs
    }

    /// The next plan looks at the positions of a class that this one did not: where nothing is left to go on with. How many these were.
    fn look_further(&mut self, row: usize) -> usize {
        let row = &mut self.rows[row];
        let next = row.looked_to + MOST_SLABS;
        row.looked_to = if next < row.slabs.len() { next } else { 0 };
        row.slabs.len().min(MOST_SLABS)
    }

    /// Goes on with the slab whose moves did not fit the last plan.
    fn go_on(&mut self, plan: &mut Plan) -> bool {
        let Some(id) = self.draining else { return true };
        let Some(row) = self.slab(id).filter(|slab| slab.is_draining()).map(|slab| slab.row as usize) else {
            // It became empty, or somebody needs it.
            self.draining = None;
            return true;
        };
        let takers = self.partly_used(row);
        self.drain(id, &takers, plan)
    }

    /// Plans moves out of a slab into the last of those that has room, the fullest, so that the others may be emptied next. False where the
    /// plan is full before all of them are planned.
    fn drain(&mut self, id: u32, takers: &[(f64, u32)], plan: &mut Plan) -> bool {
        let Some((mut cell, cells)) = self.slab(id).and_then(|slab| Some((slab.drained_to?, slab.cells()))) else {
            return true;
        };
        let mut takers = takers.iter().rev().map(|&(_, id)| id).peekable();
        while cell < cells {
            let Some((block, requested, Use { last, pins })) = self.movable(id, cell) else {
                cell += 1;
                continue;
            };
            if pins > 0 || last > self.completed {
                // The slab will not become empty.
                self.stop_draining(id);
                return true;
            }
            if plan.moves.len() >= plan.max_moves || requested > plan.budget {
                // A plan that gets what others have left over says nothing, many of them do: it would wait for ever, and all others with it.
                self.held_up += u32::from(plan.moves.is_empty());
                if self.held_up > MOST_HELD_UP {
                    self.stop_draining(id);
                    return true;
                }
                if let Some(slab) = self.slab_mut(id) {
                    slab.drained_to = Some(cell);
                }
                return false;
            }
            while takers.next_if(|&id| self.slab(id).is_none_or(Slab::is_full)).is_some() {}
            let Some(&taker) = takers.peek() else {
                self.stop_draining(id);
                return true;
            };
            self.plan_move(block, taker, plan);
            cell += 1;
        }
        if let Some(slab) = self.slab_mut(id) {
            slab.drained_to = Some(cells);
        }
        self.draining = None;
        true
    }

    /// The block of a cell, unless it is being copied; the bytes that it asked for, and what uses it.
    fn movable(&self, id: u32, cell: u32) -> Option<(BlockId, u64, Use)> {
        let (block, entry) = self.entries.numbered(self.slab(id)?.owner(cell)?)?;
        (!entry.is_moving()).then(|| (block, entry.requested(), self.entries.uses(block)))
    }

    fn plan_move(&mut self, block: BlockId, target: u32, plan: &mut Plan) {
        let Some(entry) = self.entries.get_mut(block) else { return };
        let (slab, cell, bytes) = (entry.slab, entry.cell(), entry.requested());
        entry.set_moving(true);
        let (to_cell, _) = self.take_cell(target, slab::NOBODY, bytes);
        if let (Some(from), Some(to)) = (self.cell_place(slab, cell), self.cell_place(target, to_cell)) {
            self.sums.moves_under_way += 1;
            self.sums.moving += to.bytes;
            if let Some(slab) = self.slab_mut(target) {
                slab.incoming += 1;
            }
            plan.budget -= bytes;
            self.held_up = 0;
            plan.moves.push(Move { block, from, to, bytes, planned_at: self.completed });
        }
    }

    /// The slab keeps its blocks after all.
    pub(super) fn stop_draining(&mut self, id: u32) {
        if self.draining == Some(id) {
            self.draining = None;
        }
        let Some(slab) = self.slabs.get_mut(id as usize).and_then(Option::as_mut) else { return };
        if slab.drained_to.take().is_some() {
            let row = &mut self.rows[slab.row as usize];
            row.draining -= 1;
            if !slab.is_full() {
                row.open(slab.position, id);
            }
        }
    }
}

/// Moves, and what more there may be.
struct Plan {
    moves: Vec<Move>,
    budget: u64,
    /// The budget that it began with.
    whole: u64,
    max_moves: usize,
}
