use std::collections::HashMap;

use proptest::prelude::*;

use super::dedicated::DEDICATED_GRAIN;
use super::*;

fn config(buffers: u32, buffer_bytes: u64) -> PlanConfig {
    PlanConfig {
        buffers,
        buffer_bytes,
        most_buffers: buffers,
        most_dedicated_bytes: 1 << 20,
        largest_dedicated_bytes: u64::MAX,
        quiet_ticks: 3,
    }
}

fn plan(buffers: u32, buffer_bytes: u64) -> Plan {
    Plan::new(config(buffers, buffer_bytes))
}

fn to(buffer: u64, offset: u64) -> Destination {
    Destination { buffer, offset }
}

/// Flushes: the number, the buffers and the copies.
fn flush(plan: &mut Plan) -> Option<(u64, Vec<u32>, Vec<Copy>)> {
    let mut flush = Flush::default();
    plan.flush(&mut flush).then_some((flush.number, flush.buffers, flush.copies))
}

/// A buffer of that flush comes back.
fn comes_back(plan: &mut Plan, buffer: u32, flush: u64) -> bool {
    plan.landed(buffer, flush, Landing::Mapped) && plan.ready(buffer)
}

const STALLED: Result<Reserved, Refused> = stalled(StalledOn::AFlush, None);

const fn stalled(on: StalledOn, oldest: Option<u32>) -> Result<Reserved, Refused> {
    Err(Refused::Stalled { on, oldest, may_grow: false })
}

#[test]
fn writes_follow_one_another_and_wrap() {
    let mut plan = plan(2, 100);
    assert_eq!(plan.reserve(60, 4, 0), Ok(Reserved { buffer: 0, offset: 0, bytes: 60 }));
    assert_eq!(plan.reserve(40, 8, 0), Ok(Reserved { buffer: 1, offset: 0, bytes: 40 }), "64 + 40 is beyond the end");
    assert_eq!(plan.reserve(60, 4, 0), Ok(Reserved { buffer: 1, offset: 40, bytes: 60 }), "to the last byte");
    assert_eq!(plan.reserve(4, 4, 0), STALLED, "only a flush helps");
    assert_eq!(flush(&mut plan), Some((1, vec![0, 1], vec![])));
    assert_eq!(plan.reserve(4, 4, 0), stalled(StalledOn::ASubmission, Some(0)));
    assert_eq!((plan.stats().unsubmitted_bytes, plan.stats().in_flight_bytes), (160, 160));
    let mut told = Vec::new();
    plan.submitted(|buffer| told.push(buffer));
    plan.submitted(|buffer| told.push(buffer));
    assert_eq!((told, plan.reserve(4, 4, 0)), (vec![0, 1], stalled(StalledOn::TheGpu, Some(0))));
    assert_eq!((plan.stats().unsubmitted_bytes, plan.stats().in_flight_bytes), (0, 160));
    assert!(comes_back(&mut plan, 0, 1) && !comes_back(&mut plan, 0, 1));
    assert!(!comes_back(&mut plan, 1, 7) && !comes_back(&mut plan, 9, 1) && !comes_back(&mut plan, DEDICATED, 1));
    assert_eq!(plan.reserve(4, 4, 0), Ok(Reserved { buffer: 0, offset: 0, bytes: 4 }));
    let stats = plan.stats();
    assert_eq!((stats.wraps, stats.in_flight_bytes, stats.unflushed_bytes), (1, 100, 4));
    assert_eq!((stats.high_water_bytes, plan.in_flight().collect::<Vec<_>>()), (160, vec![0, 100]));
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let mut plan = plan(1, 64);
    assert_eq!(plan.reserve(0, 4, 0), Err(Refused::Zero));
    for align in [0, 3, u64::MAX] {
        assert_eq!(plan.reserve(4, align, 0), Err(Refused::Alignment(align)));
        assert_eq!(plan.reserve(1 << 10, align, 0), Err(Refused::Alignment(align)));
    }
    let most = 1 << 20;
    for bytes in [most + 1, u64::MAX - 3, u64::MAX] {
        assert_eq!(plan.reserve(bytes, 4, 3), Err(Refused::TooLarge { bytes, most }));
    }
    assert_eq!((plan.stats().unflushed_bytes, flush(&mut plan)), (0, None));
    let first = plan.reserve(4, 1 << 63, 0).unwrap();
    assert_eq!(first.offset, 0, "every alignment divides 0");
    assert_eq!(plan.reserve(4, 1 << 63, 0), STALLED);
    assert!(plan.unreserve(first) && !plan.unreserve(first));
    let tiny = Plan::new(PlanConfig { buffers: 0, buffer_bytes: 3, most_buffers: 0, ..config(0, 0) });
    assert_eq!((tiny.count(), tiny.config().buffer_bytes, tiny.config().most_buffers), (1, 4, 1));
    let mut huge = Plan::new(config(1, u64::MAX));
    assert_eq!(huge.reserve(u64::MAX - 3, 4, 0).map(|reserved| reserved.bytes), Ok(u64::MAX - 3));
    assert_eq!(huge.reserve(8, 4, 1), STALLED, "no sum wraps around");
}

#[test]
fn neighbours_are_copied_as_one() {
    let mut plan = plan(2, 1 << 10);
    for part in 0..4 {
        let reserved = plan.reserve(64, 4, 0).unwrap();
        plan.copy(reserved, to(7, 256 + part * 64));
    }
    let gap = plan.reserve(64, 256, 0).unwrap();
    plan.copy(gap, to(7, 512));
    let elsewhere = plan.reserve(64, 4, 0).unwrap();
    plan.copy(elsewhere, to(8, 576));
    let texels = plan.reserve(4, 4, 0).unwrap();
    plan.copy_other(texels.bytes, 5);
    let (_, _, copies) = flush(&mut plan).unwrap();
    let sizes: Vec<_> = copies
        .iter()
        .map(|copy| match copy {
            Copy::Buffer(BufferCopy { from, to }) => (from.offset, from.bytes, to.buffer, to.offset),
            Copy::Other(number) => (0, 0, *number, 0),
        })
        .collect();
    assert_eq!(sizes, [(0, 320, 7, 256), (320, 64, 8, 576), (0, 0, 5, 0)], "256 is 4 x 64: no gap at all");
    assert_eq!((plan.stats().writes, plan.stats().copies, plan.stats().merged), (7, 3, 4));
}

#[test]
fn bytes_within_words_merge_and_leave_edges() {
    let mut plan = plan(1, 64);
    for (offset, bytes) in [(3, 2), (5, 1), (6, 7), (17, 2)] {
        let reserved = plan.reserve(bytes, 4, offset % 4).unwrap();
        assert_eq!(reserved.offset % 4, offset % 4);
        plan.copy(reserved, to(0, offset));
    }
    let (_, _, copies) = flush(&mut plan).unwrap();
    let edges = |copy: &Copy| match copy {
        Copy::Buffer(copy) => copy.edges(),
        Copy::Other(_) => unreachable!("no other copies were asked for"),
    };
    let parts: Vec<_> = copies.iter().map(edges).collect();
    assert_eq!(parts, [Edges { head: 1, body: 8, tail: 1 }, Edges { head: 2, body: 0, tail: 0 }]);
    assert_eq!((plan.stats().edges, plan.stats().merged, plan.stats().written_bytes), (3, 2, 12));
}

#[test]
fn a_ring_grows_to_its_cap_and_shrinks_when_it_is_quiet() {
    let mut plan = Plan::new(PlanConfig { most_buffers: 3, ..config(1, 64) });
    let fill = |plan: &mut Plan| plan.reserve(64, 4, 0).map(|reserved| reserved.buffer);
    assert_eq!(fill(&mut plan), Ok(0));
    let may_grow = Err(Refused::Stalled { on: StalledOn::AFlush, oldest: None, may_grow: true });
    assert_eq!(fill(&mut plan), may_grow);
    assert_eq!((plan.grow(), fill(&mut plan), plan.grow(), fill(&mut plan)), (Some(1), Ok(1), Some(2), Ok(2)));
    assert_eq!((plan.grow(), fill(&mut plan)), (None, STALLED.map(|reserved| reserved.buffer)));
    let (number, ..) = flush(&mut plan).unwrap();
    assert_eq!(plan.tick(), None);
    for buffer in 0..3 {
        assert!(comes_back(&mut plan, buffer, number));
    }
    let gone: Vec<_> = (0..8).filter_map(|_| plan.tick()).collect();
    assert_eq!((gone, plan.count()), (vec![2, 1], 1));
    assert_eq!((plan.stats().grown, plan.stats().shrunk), (2, 2));
}

#[test]
fn a_broken_buffer_is_left_out_until_it_is_made_anew() {
    let mut plan = plan(2, 64);
    plan.reserve(64, 4, 0).unwrap();
    let (number, ..) = flush(&mut plan).unwrap();
    assert!(plan.landed(0, number, Landing::Failed) && !plan.landed(0, number, Landing::Failed));
    assert_eq!(plan.next_landed(0), Some((0, Landing::Failed)));
    assert_eq!((plan.next_landed(1), plan.stats().broken, plan.stats().in_flight_bytes), (None, 1, 0));
    assert_eq!(plan.reserve(64, 4, 0).map(|reserved| reserved.buffer), Ok(1));
    assert_eq!(plan.reserve(64, 4, 0), STALLED);
    assert!(plan.ready(0) && !plan.ready(0) && !plan.ready(9));
    assert_eq!(plan.reserve(64, 4, 0).map(|reserved| reserved.buffer), Ok(0));
}

#[test]
fn dropped_commands_give_the_buffer_back_and_count_what_was_lost() {
    let mut plan = plan(1, 64);
    plan.reserve(40, 4, 0).unwrap();
    let (number, ..) = flush(&mut plan).unwrap();
    assert!(plan.landed(0, number, Landing::Dropped));
    assert_eq!(plan.next_landed(0), Some((0, Landing::Dropped)));
    assert_eq!((plan.remapping(0), plan.remapping(0)), (Some(number), None));
    let stats = plan.stats();
    assert_eq!((stats.dropped_bytes, stats.in_flight_bytes, stats.unsubmitted_bytes), (40, 0, 0));
    assert_eq!(plan.reserve(4, 4, 0), stalled(StalledOn::TheGpu, Some(0)));
    assert!(comes_back(&mut plan, 0, number) && plan.reserve(4, 4, 0).is_ok());
}

#[test]
fn what_is_mapped_again_after_its_commands_were_dropped_is_not_forgotten_when_a_later_flush_lands() {
    let mut plan = plan(2, 64);
    let [dropped, later] = [(); 2].map(|()| {
        plan.reserve(40, 4, 0).unwrap();
        flush(&mut plan).unwrap().0
    });
    assert!(plan.landed(0, dropped, Landing::Dropped) && plan.remapping(0).is_some());
    assert!(comes_back(&mut plan, 1, later));
    assert_eq!((plan.unsubmitted().next(), plan.stats().unsubmitted_bytes), (None, 0));
    plan.reserve(64, 4, 0).unwrap();
    assert_eq!(plan.reserve(4, 4, 0), stalled(StalledOn::TheGpu, Some(0)), "it comes back by itself");
    assert!(comes_back(&mut plan, 0, dropped));
}

#[test]
fn what_is_mapped_again_before_an_earlier_flush_lands_does_not_make_that_forgotten() {
    let mut plan = plan(2, 64);
    let [earlier, dropped] = [(); 2].map(|()| {
        plan.reserve(40, 4, 0).unwrap();
        flush(&mut plan).unwrap().0
    });
    plan.submitted(|_| ());
    assert!(plan.landed(1, dropped, Landing::Dropped) && plan.remapping(1).is_some());
    // No submission has it: it is mapped at the next poll, while the GPU is still at the first.
    assert!(comes_back(&mut plan, 1, dropped));
    assert_eq!((plan.unsubmitted().next(), plan.stats().unsubmitted_bytes), (None, 0));
    plan.reserve(64, 4, 0).unwrap();
    assert_eq!(plan.reserve(4, 4, 0), stalled(StalledOn::TheGpu, Some(0)));
    assert!(comes_back(&mut plan, 0, earlier));
}

#[test]
fn what_is_larger_than_a_buffer_gets_one_of_its_own_which_is_kept_for_the_next() {
    const GRAIN: u64 = DEDICATED_GRAIN;
    let mut plan = Plan::new(PlanConfig { most_dedicated_bytes: 4 * GRAIN, ..config(1, 64) });
    assert_eq!(plan.reserve(65, 4, 0), Err(Refused::NeedsDedicated { bytes: GRAIN }));
    assert_eq!(plan.reserve(62, 4, 3), Err(Refused::NeedsDedicated { bytes: GRAIN }), "with what lies before it");
    assert_eq!(plan.reserve(GRAIN, 4, 1), Err(Refused::NeedsDedicated { bytes: 2 * GRAIN }));
    let [small, large] = [GRAIN, 3 * GRAIN].map(|bytes| plan.add_dedicated(bytes));
    assert_eq!(
        plan.reserve(65, 4, 2),
        Ok(Reserved { buffer: small, offset: 2, bytes: 65 }),
        "the smallest that holds it"
    );
    let second = plan.reserve(65, 4, 0).unwrap();
    assert_eq!(second.buffer, large);
    assert_eq!(plan.reserve(65, 4, 0), STALLED, "{}", "no more is allowed");
    assert!(plan.unreserve(second));
    assert_eq!(plan.reserve(3 * GRAIN + 1, 4, 0), STALLED, "the small one is filled");
    let (number, buffers, _) = flush(&mut plan).unwrap();
    assert_eq!((number, buffers), (1, vec![small]));
    assert_eq!(plan.reserve(3 * GRAIN + 1, 4, 0), stalled(StalledOn::ASubmission, Some(small)));
    assert!(comes_back(&mut plan, small, number));
    assert_eq!(plan.reserve(3 * GRAIN + 1, 4, 0), Err(Refused::NeedsDedicated { bytes: 4 * GRAIN }));
    assert_eq!([(); 3].map(|()| plan.idle_dedicated(4 * GRAIN)), [Some(small), Some(large), None]);
    let whole = plan.add_dedicated(4 * GRAIN);
    assert_eq!(whole, small, "numbers are used again");
    let stats = plan.stats();
    assert_eq!((stats.dedicated_buffers, stats.dedicated_bytes, stats.dedicated), (1, 4 * GRAIN, 1));
    assert_eq!(plan.quiet_dedicated(), None);
    (0..3).for_each(|_| assert_eq!(plan.tick(), None));
    assert_eq!((plan.quiet_dedicated(), plan.quiet_dedicated()), (Some(whole), None));
}

#[test]
fn what_a_later_flush_overtakes_was_never_submitted() {
    let mut plan = plan(3, 64);
    let numbers = [(); 3].map(|()| {
        plan.reserve(40, 4, 0).unwrap();
        flush(&mut plan).unwrap().0
    });
    plan.submitted(|_| ());
    assert_eq!(plan.stats().unsubmitted_bytes, 0);
    assert!(comes_back(&mut plan, 1, numbers[1]));
    assert_eq!((plan.stats().unsubmitted_bytes, plan.stats().in_flight_bytes), (40, 80), "the first was forgotten");
    plan.submitted(|_| ());
    assert_eq!(plan.stats().unsubmitted_bytes, 40, "and is, whatever is said of it");
    plan.reserve(64, 4, 0).unwrap();
    assert_eq!(plan.reserve(4, 4, 0), stalled(StalledOn::TheGpu, Some(2)), "the one that ends");
    assert!(comes_back(&mut plan, 2, numbers[2]));
    plan.reserve(64, 4, 0).unwrap();
    assert_eq!(plan.reserve(4, 4, 0), stalled(StalledOn::ASubmission, Some(0)));
    assert!(comes_back(&mut plan, 0, numbers[0]), "submitted after all");
    assert_eq!((plan.stats().unsubmitted_bytes, plan.stats().unflushed_bytes), (128, 128));
}

#[test]
fn a_dedicated_buffer_that_is_far_too_large_is_given_up_though_it_is_used() {
    const GRAIN: u64 = DEDICATED_GRAIN;
    let mut plan = plan(1, 64);
    let large = plan.add_dedicated(16 * GRAIN);
    for used in 0..3 {
        assert_eq!(plan.quiet_dedicated(), None, "after {used}");
        assert_eq!(plan.reserve(65, 4, 0).map(|reserved| reserved.buffer), Ok(large));
        let (number, ..) = flush(&mut plan).unwrap();
        assert!(comes_back(&mut plan, large, number));
        plan.tick();
    }
    assert_eq!(plan.quiet_dedicated(), Some(large));
}

#[test]
fn limits_are_exact_and_numbers_bounded() {
    let mut plan = Plan::new(PlanConfig { most_dedicated_bytes: 100_000, ..config(u32::MAX, 64) });
    assert_eq!(plan.count(), MOST_BUFFERS);
    assert_eq!(plan.reserve(100_000, 4, 0), Err(Refused::NeedsDedicated { bytes: 100_000 }), "rounding stops there");
    assert_eq!(plan.reserve(100_001, 4, 0), Err(Refused::TooLarge { bytes: 100_001, most: 100_000 }));
    assert_eq!(plan.reserve(99_998, 4, 3), Err(Refused::TooLarge { bytes: 99_998, most: 100_000 }));
    let mut plan = Plan::new(PlanConfig { largest_dedicated_bytes: 5_000, ..config(1, 64) });
    assert_eq!(plan.reserve(5_001, 4, 0), Err(Refused::TooLarge { bytes: 5_001, most: 5_000 }));
    let huge = Plan::new(PlanConfig { most_buffers: u32::MAX, ..config(4, u64::MAX) });
    assert_eq!((huge.config().most_buffers, huge.stats().buffer_bytes), (MOST_BUFFERS, u64::MAX));
}

/// What becomes of bytes that were reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goes {
    ToABuffer,
    /// By a copy that only the caller knows.
    Elsewhere,
    /// Into the twin of the staging buffer, up to the end of a word.
    ToTheTwin,
    Nowhere,
}

#[derive(Debug, Clone)]
enum Step {
    Write {
        bytes: u64,
        align: u32,
        to: u64,
        offset: u64,
        goes: Goes,
    },
    /// Behind the last write, with or without asking.
    Continue {
        bytes: u64,
        asks: bool,
    },
    Flush,
    /// The GPU carries out one of the flushes that it has not, whichever.
    Run {
        which: usize,
    },
    /// One of what is in flight is told to have landed, whichever.
    Land {
        which: usize,
        how: u8,
    },
    /// The ring looks at what has landed, and makes anew what is broken: sometimes what could be mapped, too.
    Collect {
        breaks: bool,
    },
    Grow,
    Tick,
    Submitted,
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = || prop_oneof![20 => 1_u64..160, 1 => 250_u64..400];
    let goes = prop_oneof![
        7 => Just(Goes::ToABuffer),
        1 => Just(Goes::Elsewhere),
        1 => Just(Goes::ToTheTwin),
        1 => Just(Goes::Nowhere),
    ];
    prop_oneof![
        6 => (bytes(), 2_u32..7, 0_u64..3, 0_u64..400, goes)
            .prop_map(|(bytes, align, to, offset, goes)| Step::Write { bytes, align, to, offset, goes }),
        4 => (bytes(), any::<bool>()).prop_map(|(bytes, asks)| Step::Continue { bytes, asks }),
        3 => Just(Step::Flush),
        2 => any::<usize>().prop_map(|which| Step::Run { which }),
        4 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Step::Land { which, how }),
        3 => (0_u8..8).prop_map(|one| Step::Collect { breaks: one == 0 }),
        1 => Just(Step::Grow),
        1 => Just(Step::Tick),
        1 => Just(Step::Submitted),
    ]
}

/// Where bytes end up: a buffer of the program by its number, or the twin of a staging buffer.
type Place = (Option<u32>, u64);

/// A write as the program meant it.
#[derive(Debug, Clone)]
struct Meant {
    place: Place,
    offset: usize,
    bytes: Vec<u8>,
}

/// What has become of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nobody knows yet.
    Open,
    /// The GPU has carried it out.
    Ran,
    /// Its commands were dropped, and it never will.
    Dropped,
}

#[derive(Debug)]
struct Flight {
    number: u64,
    /// Those that have not landed.
    buffers: Vec<u32>,
    copies: Vec<Copy>,
    others: Vec<(Reserved, Destination)>,
    meant: Vec<Meant>,
    fate: Fate,
}

/// A program and its GPU. The copies of a flush are carried out some time before it lands, from what the staging buffers hold then; what was meant is
/// carried out beside it, with the bytes of the time when they were written.
struct Model {
    staging: HashMap<u32, Vec<u8>>,
    expected: HashMap<Place, Vec<u8>>,
    actual: HashMap<Place, Vec<u8>>,
    flights: Vec<Flight>,
    /// What is mapped again after its commands were dropped.
    remapped: Vec<(u32, u64)>,
    /// Since the last flush.
    meant: Vec<Meant>,
    others: Vec<(Reserved, Destination)>,
    next: u8,
    /// The last write: where it ends, and in which buffer of the ring, if the plan need not be asked for what goes on there.
    end: Option<(Destination, Option<(u32, u64)>)>,
    written: u64,
}

/// Whatever is not yet there is zeros.
fn bytes_of<K: std::hash::Hash + Eq>(of: &mut HashMap<K, Vec<u8>>, key: K) -> &mut Vec<u8> {
    of.entry(key).or_insert_with(|| vec![0; 1 << 10])
}

impl Model {
    fn new() -> Self {
        Self {
            staging: HashMap::new(),
            expected: HashMap::new(),
            actual: HashMap::new(),
            flights: Vec::new(),
            remapped: Vec::new(),
            meant: Vec::new(),
            others: Vec::new(),
            next: 0,
            end: None,
            written: 0,
        }
    }

    fn is_in_flight(&self, buffer: u32) -> bool {
        self.flights.iter().any(|flight| flight.buffers.contains(&buffer))
            || self.remapped.iter().any(|&(remapped, _)| remapped == buffer)
    }

    fn in_flight(&self) -> usize {
        self.flights.iter().map(|flight| flight.buffers.len()).sum::<usize>() + self.remapped.len()
    }

    /// The program fills what it has reserved.
    fn fill(&mut self, Reserved { buffer, offset, bytes }: Reserved) -> Vec<u8> {
        self.next = self.next.wrapping_add(1);
        let bytes: Vec<u8> = (0..bytes).map(|at| self.next.wrapping_add(at as u8)).collect();
        bytes_of(&mut self.staging, buffer)[offset as usize..][..bytes.len()].copy_from_slice(&bytes);
        bytes
    }

    fn write(
        &mut self,
        plan: &mut Plan,
        bytes: u64,
        align: u64,
        to: Destination,
        goes: Goes,
    ) -> Result<(), TestCaseError> {
        let phase = if goes == Goes::ToABuffer { to.offset % 4 } else { 0 };
        let mut reserved = plan.reserve(bytes, align, phase);
        if let Err(Refused::NeedsDedicated { bytes: needed }) = reserved {
            prop_assert!(bytes + phase > plan.config().buffer_bytes);
            while let Some(gone) = plan.idle_dedicated(needed) {
                prop_assert!(!self.is_in_flight(gone));
            }
            let added = plan.add_dedicated(needed);
            self.staging.remove(&added);
            reserved = plan.reserve(bytes, align, phase);
            prop_assert!(reserved.is_ok());
        }
        self.end = None;
        let reserved = match reserved {
            Ok(reserved) => reserved,
            Err(refused) => {
                prop_assert!(matches!(refused, Refused::Stalled { .. }), "{refused}");
                return Ok(());
            }
        };
        prop_assert!(reserved.offset % align == phase && reserved.bytes == bytes);
        prop_assert!(!self.is_in_flight(reserved.buffer), "written while in flight");
        let filled = self.fill(reserved);
        let meant = |place, offset: u64| Meant { place, offset: offset as usize, bytes: filled };
        match goes {
            Goes::ToABuffer => {
                plan.copy(reserved, to);
                self.meant.push(meant((None, to.buffer), to.offset));
                let words = (to.offset | bytes).is_multiple_of(4) && reserved.buffer < DEDICATED;
                let end = words.then_some((reserved.buffer, reserved.offset + bytes));
                self.end = Some((Destination { offset: to.offset + bytes, ..to }, end));
            }
            Goes::Elsewhere => {
                plan.copy_other(bytes, self.others.len() as u64);
                self.others.push((reserved, to));
                self.meant.push(meant((None, to.buffer), to.offset));
            }
            Goes::ToTheTwin => {
                plan.copy_words(
                    reserved,
                    Destination { buffer: TWINS + u64::from(reserved.buffer), offset: reserved.offset },
                );
                self.meant.push(meant((Some(reserved.buffer), 0), reserved.offset));
            }
            Goes::Nowhere => {
                prop_assert!(plan.unreserve(reserved) && !plan.unreserve(reserved));
                return Ok(());
            }
        }
        self.written += bytes;
        Ok(())
    }

    /// A write behind the last one. Where that was of whole words and there is room, the plan is told of it afterwards.
    fn go_on(&mut self, plan: &mut Plan, bytes: u64, asks: bool) -> Result<(), TestCaseError> {
        let Some((to, untold)) = self.end.filter(|(to, _)| to.offset + bytes <= 1 << 10) else { return Ok(()) };
        match untold {
            Some((buffer, end)) if !asks && bytes.is_multiple_of(4) && end + bytes <= plan.config().buffer_bytes => {
                let bytes_there = self.fill(Reserved { buffer, offset: end, bytes });
                prop_assert!(plan.went_on(buffer, bytes, 1));
                self.meant.push(Meant { place: (None, to.buffer), offset: to.offset as usize, bytes: bytes_there });
                self.end = Some((Destination { offset: to.offset + bytes, ..to }, Some((buffer, end + bytes))));
                self.written += bytes;
                Ok(())
            }
            _ => self.write(plan, bytes, 4, to, Goes::ToABuffer),
        }
    }

    fn flush(&mut self, plan: &mut Plan) -> Result<(), TestCaseError> {
        self.end = None;
        let (meant, others) = (std::mem::take(&mut self.meant), std::mem::take(&mut self.others));
        match flush(plan) {
            Some((number, buffers, copies)) => {
                self.flights.push(Flight { number, buffers, copies, others, meant, fate: Fate::Open });
            }
            None => prop_assert!(meant.is_empty()),
        }
        Ok(())
    }

    /// The GPU carries out a flush.
    fn run(&mut self, which: usize) -> Result<(), TestCaseError> {
        let flight = &mut self.flights[which];
        if flight.fate != Fate::Open {
            return Ok(());
        }
        flight.fate = Fate::Ran;
        let flight = &self.flights[which];
        for copy in &flight.copies {
            let (from, to) = match copy {
                Copy::Buffer(copy) => {
                    let Edges { head, body, tail } = copy.edges();
                    prop_assert_eq!(head + body + tail, copy.from.bytes);
                    prop_assert!(head < 4 && tail < 4 && body % 4 == 0);
                    if body > 0 {
                        prop_assert!((copy.from.offset + head) % 4 == 0 && (copy.to.offset + head) % 4 == 0);
                    }
                    (copy.from, copy.to)
                }
                Copy::Other(number) => flight.others[*number as usize],
            };
            let bytes =
                bytes_of(&mut self.staging, from.buffer)[from.offset as usize..][..from.bytes as usize].to_vec();
            let place = match to.buffer.checked_sub(TWINS) {
                Some(buffer) => (Some(buffer as u32), 0),
                None => (None, to.buffer),
            };
            bytes_of(&mut self.actual, place)[to.offset as usize..][..bytes.len()].copy_from_slice(&bytes);
        }
        for Meant { place, offset, bytes } in &flight.meant {
            bytes_of(&mut self.expected, *place)[*offset..][..bytes.len()].copy_from_slice(bytes);
        }
        for Meant { place, offset, bytes } in &flight.meant {
            // Of a twin what was written, since a word may go beyond that; of a buffer all.
            let all = if place.0.is_some() { *offset..offset + bytes.len() } else { 0..1 << 10 };
            let (expected, actual) =
                (&bytes_of(&mut self.expected, *place)[all.clone()], bytes_of(&mut self.actual, *place));
            prop_assert!(*expected == actual[all], "flush {}: {place:?} differs", flight.number);
        }
        Ok(())
    }

    /// One flight ends, and is told once.
    fn land(&mut self, plan: &mut Plan, which: usize, how: u8) -> Result<(), TestCaseError> {
        let count = self.flights.len() + self.remapped.len();
        let Some(which) = which.checked_rem(count) else { return Ok(()) };
        let failed = how < 20;
        let (buffer, number, landing) = match which.checked_sub(self.flights.len()) {
            Some(which) => {
                let (buffer, number) = self.remapped.swap_remove(which);
                (buffer, number, if failed { Landing::Failed } else { Landing::Mapped })
            }
            None => {
                if self.flights[which].fate == Fate::Open && (20..40).contains(&how) {
                    self.flights[which].fate = Fate::Dropped;
                } else {
                    self.run(which)?;
                }
                let flight = &mut self.flights[which];
                let landing = match (flight.fate, failed) {
                    (Fate::Dropped, _) => Landing::Dropped,
                    (_, true) => Landing::Failed,
                    (_, false) => Landing::Mapped,
                };
                let buffer = flight.buffers.swap_remove(how as usize % flight.buffers.len());
                let number = flight.number;
                if flight.buffers.is_empty() {
                    self.flights.swap_remove(which);
                }
                (buffer, number, landing)
            }
        };
        prop_assert!(plan.landed(buffer, number, landing));
        prop_assert!(!plan.landed(buffer, number, landing));
        Ok(())
    }

    /// What the shell does with what has landed.
    fn collect(&mut self, plan: &mut Plan, breaks: bool) -> Result<(), TestCaseError> {
        let mut from = 0;
        while let Some((buffer, landing)) = plan.next_landed(from) {
            from = buffer + 1;
            match landing {
                Landing::Mapped if breaks => prop_assert!(plan.broken(buffer) && !plan.is_in_flight(buffer)),
                Landing::Mapped => prop_assert!(plan.ready(buffer)),
                Landing::Failed => {
                    self.staging.remove(&buffer);
                    prop_assert!(plan.ready(buffer));
                }
                Landing::Dropped => {
                    let number = plan.remapping(buffer);
                    prop_assert!(number.is_some());
                    self.remapped.extend(number.map(|number| (buffer, number)));
                }
            }
        }
        Ok(())
    }
}

/// From this number on destinations are the twins of staging buffers.
const TWINS: u64 = 100;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_arrives_whatever_completes_when(
        steps in prop::collection::vec(step(), 0..300), buffers in 1_u32..4, more in 0_u32..3,
    ) {
        let config = PlanConfig {
            most_buffers: buffers + more,
            most_dedicated_bytes: 3 * DEDICATED_GRAIN,
            quiet_ticks: 2,
            ..config(buffers, 256)
        };
        let mut plan = Plan::new(config);
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Write { bytes, align, to, offset, goes } => {
                    // The alignment is that of a word where the destination is not at one.
                    let align = if offset % 4 == 0 { 1 << align } else { 4 };
                    model.write(&mut plan, bytes, align, Destination { buffer: to, offset }, goes)?;
                }
                Step::Continue { bytes, asks } => model.go_on(&mut plan, bytes, asks)?,
                Step::Flush => model.flush(&mut plan)?,
                Step::Run { which } => {
                    if let Some(which) = which.checked_rem(model.flights.len()) {
                        model.run(which)?;
                    }
                }
                Step::Land { which, how } => model.land(&mut plan, which, how)?,
                Step::Collect { breaks } => model.collect(&mut plan, breaks)?,
                Step::Grow => {
                    let grown = plan.grow();
                    prop_assert!(grown.is_none_or(|_| plan.count() <= config.most_buffers));
                }
                Step::Tick => {
                    if let Some(gone) = plan.tick() {
                        prop_assert!(gone == plan.count() && plan.count() >= buffers);
                        prop_assert!(!model.is_in_flight(gone));
                    }
                    while let Some(gone) = plan.quiet_dedicated() {
                        prop_assert!(!model.is_in_flight(gone));
                    }
                }
                Step::Submitted => plan.submitted(|_| ()),
            }
            let stats = plan.stats();
            prop_assert_eq!(stats.in_flight_buffers as usize, model.in_flight());
            prop_assert_eq!(stats.written_bytes, model.written);
            prop_assert!(stats.merged <= stats.writes);
            prop_assert!(stats.dedicated_bytes <= config.most_dedicated_bytes);
            prop_assert!(stats.unflushed_bytes <= stats.unsubmitted_bytes);
            prop_assert_eq!(plan.unsubmitted().next().is_some(), stats.unsubmitted_bytes > 0);
            prop_assert!(plan.current() < plan.count());
        }
        model.flush(&mut plan)?;
        let stats = plan.stats();
        prop_assert_eq!(stats.copies + stats.merged, stats.writes, "every write is a copy or part of one");
        prop_assert_eq!(stats.unflushed_bytes, 0);
        // All comes back in the end.
        for _ in 0..2 {
            while model.in_flight() > 0 {
                model.land(&mut plan, 0, u8::MAX)?;
            }
            model.collect(&mut plan, false)?;
        }
        prop_assert_eq!((plan.stats().in_flight_bytes, plan.stats().unsubmitted_bytes), (0, 0));
    }
}
