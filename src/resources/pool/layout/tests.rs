use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;

fn layout(config: LayoutConfig) -> Layout {
    Layout::new(config)
}

#[test]
fn nothing_is_made_before_the_first_block_and_all_is_given_back() {
    let mut layout = layout(LayoutConfig::default());
    assert_eq!(layout.stats().reserved_bytes, 0);
    let first = layout.allocate(1_000, 4).unwrap();
    assert_eq!((first.new_slab, first.place.bytes), (Some(16_384 / 1_008 * 1_008), 1_008));
    let second = layout.allocate(1_000, 4).unwrap();
    assert_eq!((second.new_slab, second.place.slab, second.place.offset), (None, first.place.slab, 1_008));
    assert!(layout.free(first.block, 0) && !layout.free(first.block, 0), "a block ends once");
    assert_eq!(layout.place(first.block), None);
    assert!(layout.free(second.block, 0));
    let mut released = Vec::new();
    for _ in 0..600 {
        layout.tick(|slab| released.push(slab));
    }
    assert_eq!(released, [first.place.slab]);
    assert_eq!(layout.stats(), LayoutStats::default());
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let mut layout = layout(LayoutConfig { budget_bytes: Some(1 << 20), ..LayoutConfig::default() });
    assert_eq!(layout.allocate(0, 4), Err(LayoutError::Zero));
    for align in [0, 3, 6, u64::MAX] {
        assert_eq!(layout.allocate(16, align), Err(LayoutError::Alignment { align }));
    }
    for bytes in [(256 << 20) + 1, u64::MAX] {
        assert!(matches!(layout.allocate(bytes, 4), Err(LayoutError::TooLarge { .. })));
    }
    assert!(matches!(layout.allocate(16, 1 << 63), Err(LayoutError::TooLarge { .. } | LayoutError::OverBudget { .. })));
    assert!(matches!(layout.allocate((1 << 20) + 1, 4), Err(LayoutError::OverBudget { .. })));
    assert_eq!(layout.stats().reserved_bytes, 0);
    let whole = layout.allocate(1 << 20, 4).unwrap();
    let error = layout.allocate(4, 4).unwrap_err().to_string();
    assert!(error.contains("1048576") && error.contains("1 blocks"), "{error}");
    layout.free(whole.block, 0);
    assert!(layout.allocate(1 << 19, 4).is_ok(), "a larger class serves where the budget has no slab for the own one");
    let stranger = Layout::new(LayoutConfig::default()).allocate(16, 4).unwrap().block;
    let mut empty = Layout::new(LayoutConfig::default());
    assert!(!empty.free(stranger, 0) && !empty.pin(stranger) && empty.place(stranger).is_none());
}

#[test]
fn a_freed_cell_waits_for_the_last_submission_that_uses_it() {
    let mut layout = layout(LayoutConfig::default());
    let block = layout.allocate(100, 4).unwrap();
    layout.used(block.block, 7);
    layout.free(block.block, 5);
    for done in [5, 6] {
        layout.completed(done);
        assert_eq!(layout.stats().waiting_blocks, 1);
        assert_ne!(layout.allocate(100, 4).unwrap().place.offset, 0, "not given out again");
    }
    layout.completed(7);
    assert_eq!(layout.allocate(100, 4).unwrap().place.offset, 0);
}

#[test]
fn a_plan_empties_the_emptiest_slab_and_stops_when_nothing_is_gained() {
    let config = LayoutConfig { first_slab_bytes: 16 << 10, largest_slab_bytes: 16 << 10, ..LayoutConfig::default() };
    let mut layout = layout(config);
    // Four slabs of 16 cells, of which each keeps 4, 4, 4 and 15 blocks.
    let blocks: Vec<_> = (0..64).map(|_| layout.allocate(1_024, 4).unwrap()).collect();
    for (index, block) in blocks.iter().enumerate() {
        let keeps = if index / 16 == 3 { 15 } else { 4 };
        if index % 16 >= keeps {
            layout.free(block.block, 0);
        }
    }
    assert_eq!(layout.plan(1_023, 100), [], "not one block fits the budget");
    let mut moved = 0;
    for round in 0.. {
        assert!(round < 10, "it does not stop");
        let plan = layout.plan(1 << 20, 3);
        assert!(plan.len() <= 3);
        if plan.is_empty() {
            break;
        }
        for planned in plan {
            moved += planned.bytes;
            assert_eq!(layout.commit(planned, false, 0), Committed::Moved);
        }
    }
    layout.release_empty(|_| ());
    // 27 blocks need two slabs.
    assert_eq!((layout.stats().slabs, layout.stats().live_blocks), (2, 27));
    assert_eq!(moved, 8 * 1_024, "the blocks of two slabs");
}

#[test]
fn a_slab_that_is_being_emptied_serves_a_request_that_would_need_a_new_one() {
    let config = LayoutConfig { first_slab_bytes: 16 << 10, largest_slab_bytes: 16 << 10, ..LayoutConfig::default() };
    let mut layout = layout(config);
    let blocks: Vec<_> = (0..32).map(|_| layout.allocate(1_024, 4).unwrap().block).collect();
    // Of two slabs of 16 cells one has 4 blocks and the other 12.
    blocks[4..16].iter().chain(&blocks[28..]).for_each(|&block| assert!(layout.free(block, 0)));
    let plan = layout.plan(u64::MAX, 100);
    assert_eq!(plan.len(), 4);
    assert!(layout.view()[0].draining && !layout.view()[1].draining);
    // The other one is full with what is copied into it.
    let block = layout.allocate(1_024, 4).unwrap();
    assert_eq!((block.new_slab, block.place.slab), (None, SlabId(0)));
    assert!(!layout.view()[0].draining);
    assert!(plan.into_iter().all(|planned| layout.commit(planned, false, 0) == Committed::Moved));
    assert_eq!((layout.stats().slabs, layout.stats().live_blocks, layout.stats().lost_bytes()), (2, 17, 0));
}

#[test]
fn an_empty_slab_is_cut_anew_and_what_is_left_over_is_lost() {
    let mut layout = layout(LayoutConfig::default());
    let first = layout.allocate(1_024, 4).unwrap();
    assert_eq!(first.new_slab, Some(16 << 10));
    assert!(layout.free(first.block, 0));
    // 16,384 bytes are 11 cells of 1,472, and 192 more.
    let second = layout.allocate(1_472, 4).unwrap();
    assert_eq!((second.new_slab, second.place.slab), (None, first.place.slab));
    let stats = layout.stats();
    assert_eq!((stats.unusable_bytes, stats.lost_bytes(), stats.free_bytes()), (192, 192, 10 * 1_472));
    assert!(layout.free(second.block, 0));
    // Three cells of 5,056 would leave more than a thirty-second part.
    assert!(layout.allocate(5_056, 4).unwrap().new_slab.is_some());
}

#[test]
fn pinned_blocks_and_those_in_flight_stay() {
    let config = LayoutConfig { first_slab_bytes: 4 << 10, largest_slab_bytes: 4 << 10, ..LayoutConfig::default() };
    let fragmented = || {
        let mut layout = layout(config);
        let blocks: Vec<_> = (0..8).map(|_| layout.allocate(1_024, 4).unwrap().block).collect();
        for index in [1, 2, 3, 5, 6] {
            layout.free(blocks[index], 0);
        }
        (layout, blocks)
    };
    let (mut layout, blocks) = fragmented();
    assert!(layout.pin(blocks[0]) && layout.pin(blocks[4]));
    assert_eq!(layout.plan(u64::MAX, 10), [], "each slab has a block that stays");
    assert!(layout.unpin(blocks[0]) && !layout.unpin(blocks[0]));
    layout.used(blocks[0], 3);
    assert_eq!(layout.plan(u64::MAX, 10), []);
    layout.completed(3);
    let mut plan = layout.plan(u64::MAX, 10);
    assert_eq!(plan.iter().map(|planned| planned.block).collect::<Vec<_>>(), [blocks[0]]);
    let planned = plan.remove(0);
    let old = planned.from;
    // The engine goes on using it while it is copied.
    layout.used(blocks[0], 4);
    assert_eq!(layout.commit(planned, false, 4), Committed::Stayed);
    assert_eq!(layout.place(blocks[0]), Some(old));
    layout.completed(4);
    let planned = layout.plan(u64::MAX, 10).remove(0);
    layout.free(blocks[0], 5);
    assert_eq!(layout.commit(planned, false, 5), Committed::Gone);
    layout.completed(5);
    assert_eq!((layout.stats().live_blocks, layout.stats().allocated_bytes), (2, 2_048));
}

/// What a pool does, step by step.
#[derive(Debug, Copy, Clone)]
enum Step {
    Allocate { bytes: u64, align: u32 },
    Free { which: usize, after: u64 },
    Use { which: usize, after: u64 },
    Pin { which: usize },
    Unpin { which: usize },
    Complete { submissions: u64 },
    Tick,
    Plan { budget: u64, moves: usize },
    Commit { which: usize, used: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![1_u64..300, 1_u64..70_000, 60_000_u64..400_000];
    prop_oneof![
        8 => (size, 0_u32..10).prop_map(|(bytes, align)| Step::Allocate { bytes, align }),
        6 => (any::<usize>(), 0_u64..4).prop_map(|(which, after)| Step::Free { which, after }),
        2 => (any::<usize>(), 0_u64..4).prop_map(|(which, after)| Step::Use { which, after }),
        1 => any::<usize>().prop_map(|which| Step::Pin { which }),
        1 => any::<usize>().prop_map(|which| Step::Unpin { which }),
        2 => (0_u64..3).prop_map(|submissions| Step::Complete { submissions }),
        1 => Just(Step::Tick),
        2 => (0_u64..200_000, 0_usize..20).prop_map(|(budget, moves)| Step::Plan { budget, moves }),
        3 => (any::<usize>(), prop::bool::weighted(0.1)).prop_map(|(which, used)| Step::Commit { which, used }),
    ]
}

/// The naive model: every byte range that is not free, and what lies where.
#[derive(Default)]
struct Model {
    slabs: BTreeMap<SlabId, u64>,
    blocks: Vec<(BlockId, u64, u64)>,
    pins: HashMap<BlockId, u32>,
    last_use: HashMap<BlockId, u64>,
    /// Ranges that wait, until which submission, and the bytes asked for.
    waiting: Vec<(Place, u64, u64)>,
    moves: Vec<Move>,
    /// Blocks that ended while they were copied, and until when something uses them.
    orphans: HashMap<BlockId, u64>,
    now: u64,
    done: u64,
}

impl Model {
    fn run(layout: &mut Layout, steps: Vec<Step>) -> Result<(), TestCaseError> {
        let mut model = Self::default();
        for step in steps {
            model.step(layout, step)?;
            model.check(layout)?;
        }
        // Everything ends: the books are at zero.
        for planned in std::mem::take(&mut model.moves) {
            layout.abandon(planned);
        }
        for (block, ..) in std::mem::take(&mut model.blocks) {
            prop_assert!(layout.free(block, 0));
        }
        layout.completed(u64::MAX);
        layout.release_empty(|slab| assert!(model.slabs.remove(&slab).is_some()));
        prop_assert_eq!(model.slabs.len(), 0);
        let zero = LayoutStats { budget_bytes: layout.config().budget_bytes, ..LayoutStats::default() };
        prop_assert_eq!(layout.stats(), zero);
        Ok(())
    }

    fn step(&mut self, layout: &mut Layout, step: Step) -> Result<(), TestCaseError> {
        let at = |which: usize, length: usize| which.checked_rem(length);
        match step {
            Step::Allocate { bytes, align } => {
                let align = 1 << align;
                match layout.allocate(bytes, align) {
                    Ok(Allocated { block, place, new_slab }) => {
                        if let Some(bytes) = new_slab {
                            prop_assert_eq!(self.slabs.insert(place.slab, bytes), None);
                        }
                        prop_assert!(place.bytes >= bytes && place.offset.is_multiple_of(align));
                        prop_assert!(place.offset + place.bytes <= self.slabs[&place.slab]);
                        self.blocks.push((block, bytes, align));
                    }
                    Err(error) => {
                        let budget = layout.config().budget_bytes;
                        prop_assert!(matches!(error, LayoutError::OverBudget { .. }) && budget.is_some(), "{error}");
                    }
                }
            }
            Step::Free { which, after } => {
                if let Some(index) = at(which, self.blocks.len()) {
                    let (block, bytes, _) = self.blocks.swap_remove(index);
                    let until = (self.now + after).max(self.last_use.remove(&block).unwrap_or(0));
                    let moving = self.moves.iter().any(|planned| planned.block == block);
                    let place = layout.place(block).unwrap();
                    if moving {
                        self.orphans.insert(block, until);
                    } else if until > self.done {
                        self.waiting.push((place, until, bytes));
                    }
                    prop_assert!(layout.free(block, self.now + after));
                    prop_assert!(!layout.free(block, 0) && layout.place(block).is_none());
                }
            }
            Step::Use { which, after } => {
                if let Some(index) = at(which, self.blocks.len()) {
                    let block = self.blocks[index].0;
                    prop_assert!(layout.used(block, self.now + after));
                    let last = self.last_use.entry(block).or_default();
                    *last = (*last).max(self.now + after);
                    self.now += 1;
                }
            }
            Step::Pin { which } => {
                if let Some(index) = at(which, self.blocks.len()) {
                    prop_assert!(layout.pin(self.blocks[index].0));
                    *self.pins.entry(self.blocks[index].0).or_default() += 1;
                }
            }
            Step::Unpin { which } => {
                if let Some(index) = at(which, self.blocks.len()) {
                    let block = self.blocks[index].0;
                    let pins = self.pins.entry(block).or_default();
                    prop_assert_eq!(layout.unpin(block), *pins > 0);
                    *pins = pins.saturating_sub(1);
                }
            }
            Step::Complete { submissions } => {
                self.done = (self.done + submissions).min(self.now);
                self.waiting.retain(|&(_, until, _)| until > self.done);
                layout.completed(self.done);
            }
            Step::Tick => layout.tick(|slab| assert!(self.slabs.remove(&slab).is_some(), "a slab was released twice")),
            Step::Plan { budget, moves } => {
                let plan = layout.plan(budget, moves);
                prop_assert!(plan.len() <= moves && plan.iter().map(|planned| planned.bytes).sum::<u64>() <= budget);
                for planned in &plan {
                    let block = planned.block;
                    prop_assert!(self.pins.get(&block).is_none_or(|&pins| pins == 0), "a pinned block is moved");
                    prop_assert!(
                        self.last_use.get(&block).is_none_or(|&last| last <= self.done),
                        "one in flight is moved"
                    );
                    prop_assert_eq!(layout.place(block), Some(planned.from));
                    let &(_, bytes, align) = self.blocks.iter().find(|(live, ..)| *live == block).unwrap();
                    prop_assert_eq!(planned.bytes, bytes);
                    prop_assert!(planned.to.bytes >= bytes && planned.to.offset.is_multiple_of(align));
                    prop_assert_ne!(planned.from.slab, planned.to.slab);
                }
                self.moves.extend(plan);
            }
            Step::Commit { which, used } => {
                if let Some(index) = at(which, self.moves.len()) {
                    let planned = self.moves.swap_remove(index);
                    let (block, from, to, bytes) = (planned.block, planned.from, planned.to, planned.bytes);
                    let committed = layout.commit(planned, used, self.now);
                    // What used a block that has ended may go on for longer than its copy.
                    let until = self.orphans.remove(&block).unwrap_or(0).max(self.now);
                    let live = self.blocks.iter().any(|(live, ..)| *live == block);
                    prop_assert_eq!(committed == Committed::Gone, !live);
                    let place = match committed {
                        Committed::Moved => Some(to),
                        Committed::Stayed => Some(from),
                        Committed::Gone => None,
                    };
                    prop_assert_eq!(layout.place(block), place);
                    prop_assert!(!used || committed != Committed::Moved);
                    if committed != Committed::Stayed && until > self.done {
                        self.waiting.push((from, until, bytes));
                    }
                }
            }
        }
        Ok(())
    }

    /// By the definition: (allocated - requested) of all that is not free, and free space that the largest request of its class could not use.
    fn lost_bytes(&self, layout: &Layout, view: &[SlabView]) -> u64 {
        let live =
            self.blocks.iter().map(|&(block, bytes, _)| layout.place(block).map_or(0, |place| place.bytes - bytes));
        let waiting = self.waiting.iter().map(|(place, _, bytes)| place.bytes - bytes);
        let copies = self.moves.iter().map(|planned| {
            let orphan = if layout.place(planned.block).is_none() { planned.from.bytes - planned.bytes } else { 0 };
            planned.to.bytes - planned.bytes + orphan
        });
        live.chain(waiting).chain(copies).chain(view.iter().map(unusable_bytes)).sum()
    }

    /// No two ranges that are not free overlap, and the figures are their sums.
    fn check(&self, layout: &Layout) -> Result<(), TestCaseError> {
        let mut ranges: Vec<(SlabId, u64, u64)> = Vec::new();
        let mut add = |place: Place| ranges.push((place.slab, place.offset, place.offset + place.bytes));
        for &(block, bytes, align) in &self.blocks {
            let place = layout.place(block).expect("a live block");
            prop_assert!(place.bytes >= bytes && place.offset.is_multiple_of(align));
            add(place);
        }
        self.waiting.iter().for_each(|&(place, ..)| add(place));
        for planned in &self.moves {
            add(planned.to);
            if layout.place(planned.block).is_none() {
                add(planned.from);
            }
        }
        ranges.sort_unstable();
        for pair in ranges.windows(2) {
            prop_assert!(pair[0].0 != pair[1].0 || pair[0].2 <= pair[1].1, "{pair:?} overlap");
        }
        for &(slab, _, end) in &ranges {
            prop_assert!(self.slabs.get(&slab).is_some_and(|&bytes| end <= bytes), "outside of its slab");
        }
        let stats = layout.stats();
        prop_assert_eq!(stats.allocated_bytes, ranges.iter().map(|(_, begin, end)| end - begin).sum::<u64>());
        prop_assert_eq!(stats.reserved_bytes, self.slabs.values().sum::<u64>());
        prop_assert_eq!(stats.live_blocks as usize, self.blocks.len());
        prop_assert!(stats.requested_bytes <= stats.allocated_bytes && stats.allocated_bytes <= stats.reserved_bytes);
        prop_assert!(stats.budget_bytes.is_none_or(|budget| stats.reserved_bytes <= budget));
        let view = layout.view();
        let buckets = layout.buckets();
        prop_assert_eq!(
            buckets.iter().map(|bucket| bucket.cells * bucket.cell_bytes).sum::<u64>(),
            stats.reserved_bytes - view.iter().map(left_over_bytes).sum::<u64>()
        );
        prop_assert_eq!(
            buckets.iter().map(|bucket| bucket.used_cells * bucket.cell_bytes).sum::<u64>(),
            stats.allocated_bytes
        );
        prop_assert_eq!(view.iter().map(|slab| slab.blocks.len()).sum::<usize>(), self.blocks.len());
        prop_assert_eq!(stats.lost_bytes(), self.lost_bytes(layout, &view));
        prop_assert_eq!(
            stats.free_bytes(),
            stats.reserved_bytes - stats.allocated_bytes - view.iter().map(unusable_bytes).sum::<u64>()
        );
        let waiting: u64 = self.waiting.iter().map(|(place, ..)| place.bytes).sum();
        // A copied block that has ended keeps its cell until the move is committed: it waits for the copy, not for a submission.
        prop_assert_eq!((stats.waiting_blocks, stats.waiting_bytes), (self.waiting.len() as u64, waiting));
        prop_assert_eq!(stats.moving_bytes, self.moves.iter().map(|planned| planned.to.bytes).sum::<u64>());
        prop_assert_eq!(layout.largest_free_bytes(), view.iter().map(longest_free_run).max().unwrap_or(0));
        Ok(())
    }
}

/// Free space that the largest request of the slab's class, which has the bytes of a cell, could not use: what lies in runs that are shorter.
fn unusable_bytes(slab: &SlabView) -> u64 {
    free_runs(slab).iter().map(|run| run % slab.cell_bytes).sum()
}

fn longest_free_run(slab: &SlabView) -> u64 {
    free_runs(slab).into_iter().map(|run| run - run % slab.cell_bytes).max().unwrap_or(0)
}

fn left_over_bytes(slab: &SlabView) -> u64 {
    slab.bytes - u64::from(slab.cells) * slab.cell_bytes
}

/// Bytes of each run of neighbouring bytes that nobody has.
fn free_runs(slab: &SlabView) -> Vec<u64> {
    let mut taken: Vec<u32> = slab.blocks.iter().map(|block| block.cell).chain(slab.waiting_cells.clone()).collect();
    taken.sort_unstable();
    let starts = std::iter::once(0).chain(taken.iter().map(|&cell| u64::from(cell + 1) * slab.cell_bytes));
    let ends = taken.iter().map(|&cell| u64::from(cell)).map(|cell| cell * slab.cell_bytes).chain([slab.bytes]);
    starts.zip(ends).map(|(start, end)| end - start).filter(|&run| run > 0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn blocks_never_overlap_and_nothing_is_lost(
        steps in prop::collection::vec(step(), 0..400),
        budget in prop::option::of(300_000_u64..4_000_000),
        per_octave in 1_u32..20,
        slab in 10_u32..18,
    ) {
        let config = LayoutConfig {
            budget_bytes: budget,
            classes_per_octave: per_octave,
            first_slab_bytes: 1 << (slab - 2),
            largest_slab_bytes: 1 << slab,
            keep_empty_ticks: 3,
            ..LayoutConfig::default()
        };
        Model::run(&mut layout(config), steps)?;
    }
}

/// Slabs of sixteen cells of 1 KiB, of which each keeps so many blocks; and what is left, slab by slab.
fn sixteens(keeps: &[usize]) -> (Layout, Vec<Vec<BlockId>>) {
    let config = LayoutConfig { first_slab_bytes: 16 << 10, largest_slab_bytes: 16 << 10, ..LayoutConfig::default() };
    let mut layout = layout(config);
    let slabs = keeps.iter().map(|&keep| {
        let mut blocks: Vec<_> = (0..16).map(|_| layout.allocate(1_024, 4).unwrap().block).collect();
        (blocks.split_off(keep), blocks)
    });
    let (gone, left): (Vec<_>, Vec<_>) = slabs.collect();
    gone.into_iter().flatten().for_each(|block| assert!(layout.free(block, 0)));
    (layout, left)
}

#[test]
fn a_slab_that_cannot_be_emptied_takes_the_blocks_of_others() {
    // One block of the first is pinned. The second's five fit there, and not into the third.
    let (mut layout, left) = sixteens(&[1, 5, 14]);
    assert!(layout.pin(left[0][0]));
    let plan = layout.plan(u64::MAX, 100);
    assert_eq!(plan.len(), 5);
    for planned in plan {
        assert!(left[1].contains(&planned.block), "{planned:?}");
        assert_eq!(planned.to.slab, layout.place(left[0][0]).unwrap().slab);
        assert_eq!(layout.commit(planned, false, 0), Committed::Moved);
    }
    layout.release_empty(|_| ());
    assert_eq!(layout.stats().slabs, 2);
}

#[test]
fn nothing_is_moved_where_the_slab_would_not_become_empty() {
    // All but one slab are full: there is room for two blocks, and five would have to move.
    let (mut layout, left) = sixteens(&[5, 14, 16, 16]);
    assert_eq!(layout.plan(u64::MAX, 100), []);
    // Room for all of them, one at a time.
    assert!(left[2][..3].iter().all(|&block| layout.free(block, 0)));
    let planned = layout.plan(1_024, 100);
    assert_eq!(planned.len(), 1);
    let mut moves: Vec<_> = planned.into_iter().chain(layout.plan(u64::MAX, 100)).collect();
    assert_eq!(moves.len(), 5);
    assert!(moves.drain(..).all(|planned| layout.commit(planned, false, 0) == Committed::Moved));
    layout.release_empty(|_| ());
    assert_eq!(layout.stats().slabs, 3);
}

#[test]
fn a_block_that_is_larger_than_the_budget_of_a_pass_does_not_hold_up_the_others() {
    let config = LayoutConfig { first_slab_bytes: 64 << 10, largest_slab_bytes: 64 << 10, ..LayoutConfig::default() };
    let mut layout = layout(config);
    for bytes in [16 << 10, 1_024] {
        let blocks: Vec<_> = (0..2 * (64 << 10) / bytes).map(|_| layout.allocate(bytes, 4).unwrap().block).collect();
        let keep = |index: usize| index.is_multiple_of(blocks.len() / 2);
        blocks
            .iter()
            .enumerate()
            .filter(|&(index, _)| !keep(index))
            .for_each(|(_, &block)| assert!(layout.free(block, 0)));
    }
    for _ in 0..2 {
        let plan = layout.plan(8 << 10, 100);
        assert_eq!(plan.iter().map(|planned| planned.bytes).collect::<Vec<_>>(), [1_024]);
        plan.into_iter().for_each(|planned| layout.abandon(planned));
    }
    // With a budget that is enough it is moved.
    let both = layout.plan(16 << 10, 100).into_iter().chain(layout.plan(16 << 10, 100));
    let mut bytes: Vec<_> = both.map(|planned| planned.bytes).collect();
    bytes.sort_unstable();
    assert_eq!(bytes, [1_024, 16 << 10]);
}

#[test]
fn a_slab_that_blocks_are_on_their_way_into_is_not_begun() {
    let (mut layout, left) = sixteens(&[3, 4, 15]);
    let into_second: Vec<_> = layout.plan(u64::MAX, 100);
    let second = layout.place(left[1][0]).unwrap().slab;
    assert_eq!(into_second.iter().filter(|planned| planned.to.slab == second).count(), 2);
    // The third would have room for all of the second now.
    assert!(left[2][..12].iter().all(|&block| layout.free(block, 0)));
    assert_eq!(layout.plan(u64::MAX, 100), []);
    for planned in into_second {
        assert_eq!(layout.commit(planned, false, 0), Committed::Moved);
    }
    let plan = layout.plan(u64::MAX, 100);
    assert_eq!(plan.len(), 4, "the third, which has four now, is the emptier one");
    plan.into_iter().for_each(|planned| layout.abandon(planned));
}

#[test]
fn a_slab_is_emptied_into_those_that_its_room_was_counted_in() {
    let config = LayoutConfig { first_slab_bytes: 16 << 10, largest_slab_bytes: 16 << 10, ..LayoutConfig::default() };
    let mut layout = layout(config);
    let blocks: Vec<_> = (0..16 * 2_048).map(|_| layout.allocate(1_024, 4).unwrap().block).collect();
    // Of the slabs that a plan looks at first each has six of sixteen, those of the next are full.
    for (index, &block) in blocks.iter().enumerate() {
        assert!(index >= 16 * 1_024 || index % 16 < 6 || layout.free(block, 0));
    }
    for _ in 0..12 {
        let plan = layout.plan(u64::MAX, 4);
        assert_eq!(plan.len(), 4);
        plan.into_iter().for_each(|planned| assert_eq!(layout.commit(planned, false, 0), Committed::Moved));
    }
    assert_eq!(layout.emptied_bytes(), 8 * (16 << 10), "eight slabs of six blocks with twelve times four moves");
}

#[test]
fn a_block_beyond_what_can_be_written_down_is_refused() {
    let config = LayoutConfig { largest_block_bytes: u64::MAX, ..LayoutConfig::default() };
    let mut layout = layout(config);
    let large = layout.allocate((5 << 30) + 1, 4).unwrap();
    assert_eq!(
        (layout.requested(large.block), layout.stats().live_requested_bytes),
        (Some((5 << 30) + 1), (5 << 30) + 1)
    );
    assert!(
        matches!(layout.allocate(1 << 40, 4), Err(LayoutError::TooLarge { largest, .. }) if largest == (1 << 40) - 1)
    );
    assert!(layout.free(large.block, 0));
    assert_eq!(layout.stats().requested_bytes, 0);
}

#[test]
fn a_slab_that_is_being_emptied_waits_for_a_plan_that_its_blocks_fit_but_not_for_ever() {
    for waits in [1, 8, 9] {
        let (mut layout, left) = sixteens(&[3, 5]);
        let mut moves = layout.plan(1_024, 100);
        assert_eq!(moves.len(), 1);
        // What another pool has left over.
        for _ in 0..waits {
            assert_eq!(layout.plan(512, 100), []);
            assert_eq!(layout.plan(0, 100), []);
        }
        let slab = layout.place(left[0][1]).unwrap().slab;
        let is_draining = layout.view().iter().any(|view| view.slab == slab && view.draining);
        assert_eq!(is_draining, waits <= 8, "after {waits}");
        moves.extend(layout.plan(u64::MAX, 100));
        moves.into_iter().for_each(|planned| assert_eq!(layout.commit(planned, false, 0), Committed::Moved));
        assert!(waits > 8 || layout.place(left[0][2]).unwrap().slab == layout.place(left[1][0]).unwrap().slab);
    }
}

#[test]
fn a_class_of_many_slabs_is_looked_at_in_turns() {
    let config = LayoutConfig { first_slab_bytes: 4 << 10, largest_slab_bytes: 4 << 10, ..LayoutConfig::default() };
    let mut layout = layout(config);
    let blocks: Vec<_> = (0..4 * 5_000).map(|_| layout.allocate(1_024, 4).unwrap().block).collect();
    // The first half is full, the other has one block in a slab.
    for (index, &block) in blocks.iter().enumerate() {
        assert!(index < 4 * 2_500 || index.is_multiple_of(4) || layout.free(block, 0));
    }
    for _ in 0..200 {
        for planned in layout.plan(u64::MAX, 64) {
            assert_eq!(layout.commit(planned, false, 0), Committed::Moved);
        }
    }
    layout.release_empty(|_| ());
    // Each of five turns leaves one slab partly used at most.
    assert!((3_125..=3_130).contains(&layout.stats().slabs), "{:?}", layout.stats());
}

#[test]
fn a_refused_request_makes_plans_take_what_gains_little() {
    // Fourteen of sixteen are used: to empty one slab gives less than a byte and a half for each that is moved.
    let (mut layout, _) = sixteens(&[14; 8]);
    assert_eq!(layout.plan(u64::MAX, 100), []);
    layout.refused();
    let plan = layout.plan(u64::MAX, 100);
    assert_eq!(plan.len(), 14);
    plan.into_iter().for_each(|planned| layout.abandon(planned));
    for _ in 0..room::HURRY_TICKS {
        layout.tick(|_| ());
    }
    assert_eq!(layout.plan(u64::MAX, 100), []);
}

#[test]
fn every_class_gets_its_turn_however_many_slabs_another_has() {
    let config = LayoutConfig { first_slab_bytes: 2 << 10, largest_slab_bytes: 2 << 10, ..LayoutConfig::default() };
    let mut layout = layout(config);
    // 1,500 slabs with one of two cells used, all of them pinned; and two slabs of another class of which one can be emptied.
    let large: Vec<_> = (0..3_000).map(|_| layout.allocate(1_024, 4).unwrap().block).collect();
    let small: Vec<_> = (0..16).map(|_| layout.allocate(256, 4).unwrap().block).collect();
    for (index, &block) in large.iter().enumerate() {
        assert!(if index.is_multiple_of(2) { layout.pin(block) } else { layout.free(block, 0) });
    }
    for (index, &block) in small.iter().enumerate() {
        assert!(index.is_multiple_of(8) || layout.free(block, 0));
    }
    let moved: Vec<_> = (0..3).flat_map(|_| layout.plan(u64::MAX, 100)).collect();
    assert_eq!(moved.iter().map(|planned| planned.bytes).collect::<Vec<_>>(), [256]);
    moved.into_iter().for_each(|planned| layout.abandon(planned));
}

#[test]
fn a_block_that_ends_while_it_is_copied_waits_for_its_last_submission() {
    for abandon in [false, true] {
        let (mut layout, left) = sixteens(&[1, 8]);
        layout.completed(5);
        let planned = layout.plan(u64::MAX, 1).remove(0);
        let place = planned.from;
        assert_eq!(planned.block, left[0][0]);
        assert!(layout.free(planned.block, 9));
        if abandon {
            layout.abandon(planned);
        } else {
            assert_eq!(layout.commit(planned, false, 6), Committed::Gone);
        }
        for done in 6..=8 {
            layout.completed(done);
            assert_eq!(layout.stats().waiting_blocks, 1, "submission 9 still uses {place:?}");
        }
        layout.completed(9);
        assert_eq!((layout.stats().waiting_blocks, layout.stats().allocated_bytes), (0, 8 * 1_024));
    }
}

#[test]
fn empty_slabs_may_be_kept_for_ever() {
    let mut layout = layout(LayoutConfig { keep_empty_ticks: u64::MAX, ..LayoutConfig::default() });
    layout.tick(|_| ());
    let block = layout.allocate(64, 4).unwrap().block;
    layout.free(block, 0);
    for _ in 0..3_000 {
        layout.tick(|slab| panic!("{slab:?} was given back"));
    }
}
