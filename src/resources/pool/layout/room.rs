//! Where room comes from and goes to: slabs are made, cut anew for another class, and given back.

use super::bits::Bits;
use super::{Layout, LayoutError, Row, Slab, SlabId, slab};

/// An empty slab is cut anew for another class where at most this part of it is left over.
const LEFT_OVER_DIVISOR: u64 = 32;
/// A new slab holds at most this part of what the pool has allocated.
const POOL_DIVISOR: u64 = 1_024;
/// A class has about so many slabs at most, where they are not all of the largest size.
const MOST_OF_A_CLASS: u64 = 128;
/// Where there is no room for a slab, a block may lie in a cell that is so many times larger at most.
const MOST_LARGER: u64 = 2;
/// Ticks of which the peak is known apart: the recent peak is that of these and of as many before.
const PEAK_TICKS: u64 = 1_024;
/// Bytes beyond the peak that are kept for a while however small the pool is.
const SPARE_FLOOR: u64 = 1 << 20;
/// Ticks in which plans hurry after a request was refused.
pub(super) const HURRY_TICKS: u64 = 120;
/// Where less than this part of the budget is left, room is scarce: slabs are made smaller, and more is moved.
const SCARCE_DIVISOR: u64 = 8;

impl Layout {
    /// A tick has passed. Calls `release` with each slab that is given back, because it was empty for long enough or there are too many of
    /// them: it is not in the pool any more.
    pub fn tick(&mut self, mut release: impl FnMut(SlabId)) {
        self.tick += 1;
        if self.tick.is_multiple_of(PEAK_TICKS) {
            self.peaks = [self.sums.allocated, self.peaks[0]];
        }
        self.peaks[0] = self.peaks[0].max(self.sums.allocated);
        let peak = self.peaks[0].max(self.peaks[1]);
        let spare = (peak / self.config.spare_divisor.max(1)).max(SPARE_FLOOR);
        while let Some(&(since, id)) = self.empty.first() {
            let old = since.saturating_add(self.config.keep_empty_ticks) <= self.tick;
            if !old && self.sums.empty <= spare && self.sums.reserved <= peak + 2 * spare {
                break;
            }
            self.remove_slab(SlabId(id));
            release(SlabId(id));
        }
    }

    /// Releases all empty slabs at once.
    pub fn release_empty(&mut self, mut release: impl FnMut(SlabId)) {
        while let Some(&(_, id)) = self.empty.last() {
            self.remove_slab(SlabId(id));
            release(SlabId(id));
        }
    }

    /// Releases empty slabs until that was so many bytes, or there are none.
    pub fn release_bytes(&mut self, bytes: u64, mut release: impl FnMut(SlabId)) {
        let goal = self.sums.reserved.saturating_sub(bytes);
        while self.sums.reserved > goal
            && let Some(&(_, id)) = self.empty.last()
        {
            self.remove_slab(SlabId(id));
            release(SlabId(id));
        }
    }

    /// Bytes that the budget still has.
    fn room(&self) -> u64 {
        self.config.budget_bytes.map_or(u64::MAX, |budget| budget.saturating_sub(self.sums.reserved))
    }

    /// A request has failed for want of room, and whoever made it goes without: for some ticks a plan takes what gains little too.
    pub fn refused(&mut self) {
        self.hurry_until = self.tick + HURRY_TICKS;
    }

    /// A plan takes what gains little too.
    pub(super) fn hurries(&self) -> bool {
        self.tick < self.hurry_until || self.is_scarce()
    }

    fn is_scarce(&self) -> bool {
        self.config.budget_bytes.is_some_and(|budget| self.room() + self.sums.empty < budget / SCARCE_DIVISOR)
    }

    /// A slab with room for a block: an empty one of another class, a new one, or where the budget has none, an open one of a larger class.
    #[cold]
    pub(super) fn make_room(
        &mut self,
        row: usize,
        cell: u64,
        bytes: u64,
        align: u64,
    ) -> Result<(u32, Option<u64>), LayoutError> {
        let room = self.room();
        let of_class = self.rows.get(row).map_or(0, |row| row.bytes - row.holes);
        let config = &self.config;
        let mut wanted = (of_class / config.growth_divisor.max(1))
            .min(self.sums.allocated / POOL_DIVISOR)
            .max(config.first_slab_bytes)
            .min(config.largest_slab_bytes);
        if self.is_scarce() {
            wanted = wanted.min((room.saturating_add(self.sums.empty) / 16).max(of_class / MOST_OF_A_CLASS));
        }
        if let Some(slab) = self.undrained(row) {
            return Ok((slab, None));
        }
        if let Some(slab) = self.cut_anew(row, cell, wanted.max(cell).saturating_mul(2)) {
            return Ok((slab, None));
        }
        let slab_bytes = u64::from(slab::cells(cell, wanted.min(room)).max(1)) * cell;
        if slab_bytes <= room {
            return Ok((self.add_slab(row, cell, slab_bytes)?, Some(slab_bytes)));
        }
        // Empty slabs that stand in the way are better given back.
        match self.larger(row, align, cell.saturating_mul(MOST_LARGER)) {
            Some(slab) if slab_bytes > room + self.sums.empty => Ok((slab, None)),
            _ => Err(LayoutError::OverBudget { bytes, align, stats: Box::new(self.stats()) }),
        }
    }

    /// A slab of that class that was being emptied, and is not any more: its free cells are needed.
    fn undrained(&mut self, row: usize) -> Option<u32> {
        if self.rows.get(row)?.draining == 0 {
            return None;
        }
        let takes = |slab: &Slab| slab.is_draining() && !slab.closed && !slab.is_full();
        let (id, _) = self.slabs_of(self.rows.get(row)?).find(|(_, slab)| takes(slab))?;
        self.stop_draining(id);
        Some(id)
    }

    /// An open slab of the next larger class that has one, if its cells have at most so many bytes.
    fn larger(&self, row: usize, align: u64, most: u64) -> Option<u32> {
        let open = self.rows.iter().skip(row + 1).filter_map(|row| Some((row.next, self.slab(row.next)?.cell_bytes)));
        let mut fitting = open.take_while(|&(_, cell)| cell <= most).filter(|(_, cell)| cell.is_multiple_of(align));
        fitting.next().map(|(id, _)| id)
    }

    /// The empty slab of at most so many bytes that leaves least over when it is cut into such cells, if that is little.
    fn cut_anew(&mut self, row: usize, cell: u64, most: u64) -> Option<u32> {
        let left_over = |&(_, id): &(u64, u32)| {
            let bytes = self.slab(id)?.bytes;
            let cells = slab::cells(cell, bytes);
            let left = bytes - u64::from(cells) * cell;
            (cells > 0 && bytes <= most && left <= bytes / LEFT_OVER_DIVISOR).then_some((left, id))
        };
        let (_, id) = self.empty.iter().filter_map(left_over).min()?;
        let bytes = self.slab(id)?.bytes;
        self.leave_row(id);
        self.enter_row(id, row, cell, bytes);
        Some(id)
    }

    fn add_slab(&mut self, row: usize, cell: u64, bytes: u64) -> Result<u32, LayoutError> {
        let id = match self.free_slabs.pop() {
            Some(id) => id,
            None => {
                let id = u32::try_from(self.slabs.len()).ok().filter(|&id| id < Bits::MAX).ok_or(LayoutError::Full)?;
                self.slabs.push(None);
                id
            }
        };
        self.enter_row(id, row, cell, bytes);
        self.sums.reserved += bytes;
        self.sums.slabs += 1;
        Ok(id)
    }

    pub(super) fn remove_slab(&mut self, SlabId(id): SlabId) {
        let Some(slab) = self.leave_row(id) else { return };
        self.free_slabs.push(id);
        self.sums.reserved -= slab.bytes;
        self.sums.slabs -= 1;
    }

    /// Cuts bytes into cells of a class.
    fn enter_row(&mut self, id: u32, row: usize, cell: u64, bytes: u64) {
        if self.rows.len() <= row {
            self.rows.resize_with(row + 1, || Row::NONE);
        }
        let class = &mut self.rows[row];
        let position = class.free_positions.pop().unwrap_or_else(|| {
            class.slabs.push(slab::NOBODY);
            class.slabs.len() as u32 - 1
        });
        let slab = Slab::new(row as u32, position, cell, bytes);
        class.slabs[position as usize] = id;
        class.open(position, id);
        class.bytes += bytes;
        self.sums.unusable += slab.left_over();
        self.slabs[id as usize] = Some(slab);
        self.became_empty(id);
    }

    /// Takes an empty slab out of its class.
    fn leave_row(&mut self, id: u32) -> Option<Slab> {
        self.no_longer_empty(id);
        let slab = self.slabs.get_mut(id as usize).and_then(Option::take)?;
        debug_assert_eq!(slab.used, 0);
        let row = &mut self.rows[slab.row as usize];
        row.close(slab.position);
        row.slabs[slab.position as usize] = slab::NOBODY;
        row.free_positions.push(slab.position);
        row.bytes -= slab.bytes;
        self.sums.unusable -= slab.left_over();
        Some(slab)
    }

    /// Its last cell came free, or it is new.
    pub(super) fn became_empty(&mut self, id: u32) {
        if let Some(slab) = self.slabs[id as usize].as_mut() {
            slab.empty_since = self.tick;
            self.empty.insert((self.tick, id));
            self.sums.empty += slab.bytes;
        }
    }

    /// Its first cell is taken, or it goes.
    pub(super) fn no_longer_empty(&mut self, id: u32) {
        let Some(slab) = self.slabs.get(id as usize).and_then(Option::as_ref) else { return };
        if self.empty.remove(&(slab.empty_since, id)) {
            self.sums.empty -= slab.bytes;
        }
    }
}
