//! A pool's layout against a naive model: 200 seeds of 2,000 operations, or `ENGINE_VITALS_SOAK_POOL=SEEDSxOPERATIONS`.
//!
//! The model keeps every byte range that somebody has, slab by slab, and the sums of all figures. After each operation the figures are compared;
//! each range that is taken is checked against its neighbours, its slab and its alignment; now and then, and at the end, all of it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test: helpers may fail it too")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use engine_vitals::resources::pool::LayoutConfig;
use engine_vitals::resources::pool::layout::{
    Allocated, BlockId, Committed, Layout, LayoutError, LayoutStats, Move, Place, SlabId, SlabView,
};
use fastrand::Rng;

#[test]
fn nothing_overlaps_and_nothing_is_lost() {
    let size = std::env::var("ENGINE_VITALS_SOAK_POOL").unwrap_or_else(|_| "200x2000".to_owned());
    let (seeds, operations) = size.split_once('x').unwrap();
    let (seeds, operations): (u64, u64) = (seeds.parse().unwrap(), operations.parse().unwrap());
    let first = std::env::var("ENGINE_VITALS_SEED").map_or(1, |seed| seed.parse::<u64>().unwrap() * 1_000_000);
    let mut done = Done::default();
    for seed in first..first + seeds {
        let mut model = Model::new(seed);
        for _ in 0..operations {
            model.step();
        }
        model.end(&mut done);
    }
    println!("{seeds} seeds of {operations} operations: {done:?}");
    // What was not reached was not tested.
    let Done { allocated, refused, moved, stayed, gone, released, failed } = done;
    assert!(
        [allocated, refused, moved, stayed, gone, released, failed].iter().all(|&count| count > seeds),
        "{seeds} seeds of {operations} operations reach too little: {done:?}"
    );
}

#[derive(Debug, Default)]
struct Done {
    allocated: u64,
    refused: u64,
    moved: u64,
    stayed: u64,
    gone: u64,
    released: u64,
    failed: u64,
}

/// A block as the model has it.
#[derive(Debug, Clone, Copy)]
struct Held {
    block: BlockId,
    bytes: u64,
    align: u64,
    place: Place,
    pins: u32,
    last_use: u64,
    moving: bool,
}

#[derive(Default)]
struct Slab {
    bytes: u64,
    /// Bytes of the cells that it was cut into last.
    cell: u64,
    /// Ranges that somebody has: the first byte, and the one behind the last.
    taken: BTreeMap<u64, u64>,
}

/// What ended and is not free: until which submission, the place, and the bytes asked for.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    until: u64,
    slab: SlabId,
    offset: u64,
    bytes: u64,
    requested: u64,
}

struct Model {
    seed: u64,
    random: Rng,
    layout: Layout,
    slabs: HashMap<SlabId, Slab>,
    held: Vec<Held>,
    /// Where a block is in `held`.
    positions: HashMap<BlockId, usize>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    moves: Vec<Move>,
    now: u64,
    completed: u64,
    expected: LayoutStats,
    done: Done,
    steps: u64,
    largest: u64,
    sizes: Vec<u64>,
    reserved_before: u64,
    /// Until which submission a block is used that ended while it was copied.
    orphans: HashMap<BlockId, u64>,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let slab = 12 + random.u64(..6);
        let budget = random.bool().then(|| 50_000 + random.u64(..2_000_000));
        let mut config = LayoutConfig {
            classes_per_octave: 1 << random.u64(..5),
            granularity: 4 << random.u64(..4),
            first_slab_bytes: 1 << (slab - 2),
            largest_slab_bytes: 1 << slab,
            keep_empty_ticks: random.u64(..6),
            budget_bytes: budget,
            ..LayoutConfig::default()
        };
        config.defrag.least_gain = 1.0 + random.u64(..20) as f64 / 10.0;
        let mut expected = LayoutStats::default();
        expected.budget_bytes = budget;
        let largest = 1 << (6 + random.u64(..12));
        let sizes = (0..1 + random.u64(..6)).map(|_| 1 + random.u64(..largest)).collect();
        Self {
            seed,
            largest,
            sizes,
            random,
            layout: Layout::new(config),
            slabs: HashMap::new(),
            held: Vec::new(),
            positions: HashMap::new(),
            waiting: BinaryHeap::new(),
            moves: Vec::new(),
            now: 1,
            completed: 0,
            expected,
            done: Done::default(),
            steps: 0,
            reserved_before: 0,
            orphans: HashMap::new(),
        }
    }

    fn step(&mut self) {
        self.steps += 1;
        // Phases of growth and of shrinking, so that slabs fill and empty.
        let growing = (self.steps / 300).is_multiple_of(2);
        let [allocate, free] = if growing { [40, 20] } else { [15, 40] };
        let mut roll = self.random.u64(..allocate + free + 49);
        let mut falls = |weight: u64| {
            let hit = roll < weight;
            roll = roll.wrapping_sub(weight);
            hit
        };
        if falls(allocate) {
            self.allocate();
        } else if falls(free) {
            self.free();
        } else if falls(6) {
            self.use_one();
        } else if falls(5) {
            self.pin();
        } else if falls(7) {
            self.unpin();
        } else if falls(10) {
            self.complete();
        } else if falls(3) {
            self.tick();
        } else if falls(6) {
            self.plan();
        } else if falls(2) {
            self.give_up_some();
        } else if falls(2) {
            self.change_budget();
        } else {
            self.commit();
        }
        self.compare();
        if self.steps.is_multiple_of(500) {
            self.inspect();
        }
    }

    fn allocate(&mut self) {
        // Mostly a few sizes, since moves need several slabs of a class.
        let (bytes, align) = if self.random.u8(..100) < 85 {
            (self.sizes[self.random.u64(..self.sizes.len() as u64) as usize], 4)
        } else {
            let most = 1 + self.random.u64(..self.largest);
            (1 + self.random.u64(..most), 1 << self.random.u64(..10))
        };
        match self.layout.allocate(bytes, align) {
            Ok(Allocated { block, place, new_slab }) => {
                self.done.allocated += 1;
                if let Some(bytes) = new_slab {
                    let before = self.slabs.insert(place.slab, Slab { bytes, ..Slab::default() });
                    assert!(before.is_none(), "{}: a slab was made twice", self.at());
                    self.expected.reserved_bytes += bytes;
                    self.expected.slabs += 1;
                    if self.making_fails(block, place) {
                        return;
                    }
                }
                self.cut(place);
                assert!(place.bytes >= bytes && place.offset.is_multiple_of(align), "{}: {place:?}", self.at());
                self.claim(place, bytes);
                self.expected.live_blocks += 1;
                self.expected.live_requested_bytes += bytes;
                let held = Held { block, bytes, align, place, pins: 0, last_use: 0, moving: false };
                assert!(self.positions.insert(block, self.held.len()).is_none(), "{}: a name twice", self.at());
                self.held.push(held);
            }
            Err(error) => {
                self.done.refused += 1;
                if self.random.bool() {
                    self.layout.refused();
                }
                let over = matches!(error, LayoutError::OverBudget { .. }) && self.expected.budget_bytes.is_some();
                assert!(over, "{}: {error}", self.at());
            }
        }
    }

    /// A new slab is closed while it is made: nobody else gets a cell of it. Sometimes it cannot be made, and is gone. True then.
    fn making_fails(&mut self, block: BlockId, place: Place) -> bool {
        if self.random.u8(..100) < 50 {
            return false;
        }
        self.layout.close(place.slab);
        let other = self.layout.allocate(place.bytes, 1).ok();
        if let Some(other) = other {
            assert_ne!(other.place.slab, place.slab, "{}: a cell of a slab that is made", self.at());
            // It is as if nobody had asked.
            self.layout.free(other.block, 0);
            if let Some(bytes) = other.new_slab {
                self.slabs.insert(other.place.slab, Slab { bytes, ..Slab::default() });
                self.expected.reserved_bytes += bytes;
                self.expected.slabs += 1;
            }
            self.cut(other.place);
        }
        if self.random.u8(..100) < 80 {
            self.layout.open(place.slab);
            return false;
        }
        self.done.failed += 1;
        self.layout.used(block, self.now);
        self.layout.slab_failed(&Allocated { block, place, new_slab: None });
        assert_eq!(self.layout.place(block), None, "{}", self.at());
        self.released(place.slab);
        true
    }

    /// Some of what is empty is given back.
    fn give_up_some(&mut self) {
        let bytes = self.random.u64(..100_000);
        let mut released = Vec::new();
        self.layout.release_bytes(bytes, |slab| released.push(slab));
        for slab in released {
            self.released(slab);
        }
    }

    fn change_budget(&mut self) {
        if self.expected.budget_bytes.is_some() {
            let budget = Some(50_000 + self.random.u64(..2_000_000));
            self.layout.set_budget(budget);
            self.expected.budget_bytes = budget;
        }
    }

    fn free(&mut self) {
        let Some(index) = self.some_block() else { return };
        let held = self.held.swap_remove(index);
        self.positions.remove(&held.block);
        if let Some(other) = self.held.get(index) {
            self.positions.insert(other.block, index);
        }
        let after = self.now.saturating_sub(self.random.u64(..3));
        assert_eq!(self.layout.place(held.block), Some(held.place), "{}", self.at());
        assert_eq!(self.layout.requested(held.block), Some(held.bytes), "{}", self.at());
        assert!(self.layout.free(held.block, after), "{}", self.at());
        assert!(!self.layout.free(held.block, after) && self.layout.place(held.block).is_none(), "{}", self.at());
        assert!(!self.layout.pin(held.block) && !self.layout.used(held.block, after), "{}", self.at());
        self.expected.live_blocks -= 1;
        self.expected.live_requested_bytes -= held.bytes;
        let until = after.max(held.last_use);
        if held.moving {
            self.orphans.insert(held.block, until);
        } else {
            self.give_back(held.place, held.bytes, until);
        }
    }

    fn use_one(&mut self) {
        let Some(index) = self.some_block() else { return };
        let held = &mut self.held[index];
        held.last_use = self.now;
        assert!(self.layout.used(held.block, self.now));
        self.now += 1;
    }

    fn pin(&mut self) {
        let Some(index) = self.some_block() else { return };
        self.held[index].pins += 1;
        assert!(self.layout.pin(self.held[index].block));
    }

    fn unpin(&mut self) {
        let Some(index) = self.some_block() else { return };
        let held = &mut self.held[index];
        assert_eq!(self.layout.unpin(held.block), held.pins > 0);
        held.pins = held.pins.saturating_sub(1);
    }

    fn complete(&mut self) {
        self.now += self.random.u64(..2);
        self.completed = (self.completed + self.random.u64(..4)).min(self.now);
        self.layout.completed(self.completed);
        self.settle();
    }

    fn tick(&mut self) {
        let mut released = Vec::new();
        self.layout.tick(|slab| released.push(slab));
        for slab in released {
            self.released(slab);
        }
    }

    fn plan(&mut self) {
        let (budget, most) = (self.random.u64(..200_000), self.random.u64(..20) as usize);
        let plan = self.layout.plan(budget, most);
        let bytes: u64 = plan.iter().map(|planned| planned.bytes).sum();
        assert!(plan.len() <= most && bytes <= budget, "{}: {bytes} bytes in {} moves", self.at(), plan.len());
        for planned in plan {
            let held = self.held[self.positions[&planned.block]];
            assert!(held.pins == 0 && held.last_use <= self.completed && !held.moving, "{}: {held:?}", self.at());
            assert_eq!((planned.from, planned.bytes), (held.place, held.bytes), "{}", self.at());
            assert!(planned.to.bytes >= held.bytes && planned.to.offset.is_multiple_of(held.align), "{}", self.at());
            assert_ne!(planned.from.slab, planned.to.slab);
            self.claim(planned.to, planned.bytes);
            self.expected.moves_under_way += 1;
            self.expected.moving_bytes += planned.to.bytes;
            self.held[self.positions[&planned.block]].moving = true;
            self.moves.push(planned);
        }
    }

    fn commit(&mut self) {
        if self.moves.is_empty() {
            return;
        }
        let planned = self.moves.swap_remove(self.random.u64(..self.moves.len() as u64) as usize);
        let written = self.random.u8(..100) < 10;
        let after = self.now.saturating_sub(self.random.u64(..4));
        let (block, from, to, bytes) = (planned.block, planned.from, planned.to, planned.bytes);
        let index = self.positions.get(&block).copied();
        let abandoned = written && self.random.bool();
        let orphaned = self.orphans.remove(&block);
        let committed = if abandoned {
            self.layout.abandon(planned);
            if index.is_some() { Committed::Stayed } else { Committed::Gone }
        } else {
            self.layout.commit(planned, written, after)
        };
        self.expected.moves_under_way -= 1;
        self.expected.moving_bytes -= to.bytes;
        match (committed, index) {
            (Committed::Moved, Some(index)) => {
                self.done.moved += 1;
                let held = &mut self.held[index];
                assert!(!written && held.pins == 0);
                (held.place, held.moving) = (to, false);
                self.give_back(from, bytes, after);
            }
            (Committed::Stayed, Some(index)) => {
                self.done.stayed += 1;
                let held = &mut self.held[index];
                assert!(written || held.pins > 0 || held.last_use > 0);
                held.moving = false;
                self.give_back(to, bytes, 0);
            }
            (Committed::Gone, None) => {
                self.done.gone += 1;
                self.give_back(to, bytes, 0);
                let until = orphaned.unwrap();
                self.give_back(from, bytes, if abandoned { until } else { until.max(after) });
            }
            (committed, index) => panic!("{}: {committed:?} {index:?}", self.at()),
        }
        if let Some(index) = index {
            assert_eq!(self.layout.place(block), Some(self.held[index].place), "{}", self.at());
        }
    }

    /// The slab has cells of that size, as many as it has room for and can number.
    fn cut(&mut self, place: Place) {
        let slab = self.slabs.get_mut(&place.slab).unwrap();
        if slab.cell != place.bytes {
            assert!(slab.taken.is_empty(), "seed {}, step {}: {place:?} is cut anew", self.seed, self.steps);
            self.expected.unusable_bytes -= left_over(slab.bytes, slab.cell);
            slab.cell = place.bytes;
            self.expected.unusable_bytes += left_over(slab.bytes, slab.cell);
        }
    }

    /// Somebody has that range from now on.
    fn claim(&mut self, place: Place, requested: u64) {
        let end = place.offset + place.bytes;
        let slab = self.slabs.get_mut(&place.slab).unwrap();
        assert!(end <= slab.bytes, "seed {}, step {}: {place:?} lies outside", self.seed, self.steps);
        let before = slab.taken.range(..end).next_back();
        assert!(
            before.is_none_or(|(_, &before)| before <= place.offset),
            "seed {}, step {}: {place:?} overlaps",
            self.seed,
            self.steps
        );
        slab.taken.insert(place.offset, end);
        self.expected.allocated_bytes += place.bytes;
        self.expected.requested_bytes += requested;
    }

    /// Nobody has it any more when that submission is done.
    fn give_back(&mut self, place: Place, requested: u64, until: u64) {
        let Place { slab, offset, bytes } = place;
        self.expected.waiting_blocks += 1;
        self.expected.waiting_bytes += bytes;
        self.waiting.push(Reverse(Waiting { until, slab, offset, bytes, requested }));
        self.settle();
    }

    /// What waited for a submission that is done is free.
    fn settle(&mut self) {
        while self.waiting.peek().is_some_and(|Reverse(waiting)| waiting.until <= self.completed) {
            let Reverse(Waiting { slab, offset, bytes, requested, .. }) = self.waiting.pop().unwrap();
            assert_eq!(self.slabs.get_mut(&slab).unwrap().taken.remove(&offset), Some(offset + bytes));
            self.expected.waiting_blocks -= 1;
            self.expected.waiting_bytes -= bytes;
            self.expected.allocated_bytes -= bytes;
            self.expected.requested_bytes -= requested;
        }
    }

    fn released(&mut self, slab: SlabId) {
        let slab = self.slabs.remove(&slab).expect("a slab that was made, and once");
        self.expected.unusable_bytes -= left_over(slab.bytes, slab.cell);
        assert!(slab.taken.is_empty(), "{}: a slab was given back with {:?}", self.at(), slab.taken);
        self.expected.reserved_bytes -= slab.bytes;
        self.expected.slabs -= 1;
        self.done.released += 1;
    }

    fn compare(&mut self) {
        let stats = self.layout.stats();
        assert_eq!(stats, self.expected, "{}", self.at());
        // A budget that was lowered adds nothing until enough was given back.
        let most = stats.budget_bytes.map_or(u64::MAX, |budget| budget.max(self.reserved_before));
        assert!(stats.reserved_bytes <= most, "{}: {} of {most}", self.at(), stats.reserved_bytes);
        self.reserved_before = stats.reserved_bytes;
    }

    /// Looks at all of it.
    fn inspect(&self) {
        let view = self.layout.view();
        let stats = self.layout.stats();
        assert_eq!(view.len(), self.slabs.len(), "{}", self.at());
        for slab in &view {
            let taken = &self.slabs[&slab.slab].taken;
            let cells = slab.blocks.iter().map(|block| block.cell).chain(slab.waiting_cells.iter().copied());
            let mut offsets: Vec<u64> = cells.map(|cell| u64::from(cell) * slab.cell_bytes).collect();
            offsets.sort_unstable();
            assert!(offsets.iter().eq(taken.keys()), "{}: {offsets:?} {taken:?}", self.at());
            assert_eq!(slab.bytes, self.slabs[&slab.slab].bytes, "{}", self.at());
            assert!(u64::from(slab.cells) * slab.cell_bytes <= slab.bytes, "{}", self.at());
            for block in &slab.blocks {
                let held = &self.held[self.positions[&block.block]];
                let seen = (block.requested_bytes, block.pinned, block.moving);
                assert_eq!(seen, (held.bytes, held.pins > 0, held.moving), "{}", self.at());
            }
        }
        for held in &self.held {
            assert_eq!(self.layout.place(held.block), Some(held.place), "{}", self.at());
        }
        // The loss by its definition: rounding of what somebody has, and free space that the largest request of its class could not use.
        let rounding = stats.allocated_bytes - stats.requested_bytes;
        let unusable: u64 = view.iter().map(unusable_bytes).sum();
        assert_eq!(stats.lost_bytes(), rounding + unusable, "{}", self.at());
        assert_eq!(stats.free_bytes(), stats.reserved_bytes - stats.allocated_bytes - unusable, "{}", self.at());
        let asked: u64 = self.held.iter().map(|held| held.bytes).sum();
        let strict = stats.reserved_bytes - asked - stats.free_bytes();
        assert_eq!(stats.lost_or_in_flight_bytes(), strict, "{}", self.at());
        let longest = view.iter().flat_map(free_runs).max().unwrap_or(0);
        assert_eq!(self.layout.largest_free_bytes(), longest, "{}", self.at());
        let buckets = self.layout.buckets();
        let sum = |figure: fn(&engine_vitals::resources::pool::layout::Bucket) -> u64| {
            buckets.iter().map(figure).sum::<u64>()
        };
        assert_eq!(sum(|bucket| bucket.cells * bucket.cell_bytes), stats.reserved_bytes - unusable, "{}", self.at());
        assert_eq!(sum(|bucket| bucket.used_cells * bucket.cell_bytes), stats.allocated_bytes, "{}", self.at());
        assert_eq!(sum(|bucket| bucket.slabs), stats.slabs, "{}", self.at());
    }

    /// Everything ends: the books are at zero.
    fn end(mut self, done: &mut Done) {
        self.inspect();
        while !self.moves.is_empty() {
            self.commit();
        }
        while !self.held.is_empty() {
            self.free();
        }
        self.completed = u64::MAX;
        self.layout.completed(u64::MAX);
        self.settle();
        self.compare();
        let mut released = Vec::new();
        self.layout.release_empty(|slab| released.push(slab));
        for slab in released {
            self.released(slab);
        }
        let mut zero = LayoutStats::default();
        zero.budget_bytes = self.expected.budget_bytes;
        assert_eq!(self.layout.stats(), zero, "{}", self.at());
        assert!(self.slabs.is_empty() && self.layout.view().is_empty(), "{}", self.at());
        done.allocated += self.done.allocated;
        done.refused += self.done.refused;
        done.moved += self.done.moved;
        done.stayed += self.done.stayed;
        done.gone += self.done.gone;
        done.released += self.done.released;
        done.failed += self.done.failed;
    }

    fn some_block(&mut self) -> Option<usize> {
        (!self.held.is_empty()).then(|| self.random.u64(..self.held.len() as u64) as usize)
    }

    fn at(&self) -> String {
        format!("seed {}, step {}", self.seed, self.steps)
    }
}

/// Bytes behind the last cell.
fn left_over(slab_bytes: u64, cell_bytes: u64) -> u64 {
    const MOST_CELLS: u64 = 4_096;
    slab_bytes - slab_bytes.checked_div(cell_bytes).map_or(slab_bytes, |cells| cells.min(MOST_CELLS) * cell_bytes)
}

/// Free space that the largest request of the slab's class, which has the bytes of a cell, could not use: what lies in runs that are shorter, and
/// what is behind the last cell.
fn unusable_bytes(slab: &SlabView) -> u64 {
    let short: u64 = free_runs(slab).iter().map(|run| run % slab.cell_bytes).sum();
    short + slab.bytes - u64::from(slab.cells) * slab.cell_bytes
}

/// Bytes of each run of neighbouring cells that nobody has.
fn free_runs(slab: &SlabView) -> Vec<u64> {
    let mut taken: Vec<u64> =
        slab.blocks.iter().map(|block| block.cell).chain(slab.waiting_cells.iter().copied()).map(u64::from).collect();
    taken.sort_unstable();
    let starts = std::iter::once(0).chain(taken.iter().map(|cell| cell + 1));
    let ends = taken.iter().copied().chain([u64::from(slab.cells)]);
    starts.zip(ends).map(|(start, end)| (end - start) * slab.cell_bytes).filter(|&run| run > 0).collect()
}
