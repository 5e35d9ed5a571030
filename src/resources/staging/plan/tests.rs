use proptest::prelude::*;

use super::*;

fn plan(buffers: u32, buffer_bytes: u64) -> Plan {
    Plan::new(PlanConfig { buffers, buffer_bytes, most_buffers: buffers, quiet_ticks: 3 })
}

fn to(buffer: u64, offset: u64) -> Destination {
    Destination { buffer, offset }
}

#[test]
fn writes_follow_one_another_and_wrap() {
    let mut plan = plan(2, 100);
    assert_eq!(plan.reserve(60, 4), Ok(Reserved { buffer: 0, offset: 0, bytes: 60 }));
    assert_eq!(plan.reserve(40, 8), Ok(Reserved { buffer: 1, offset: 0, bytes: 40 }), "64 + 40 is beyond the end");
    assert_eq!(plan.reserve(60, 4), Ok(Reserved { buffer: 1, offset: 40, bytes: 60 }), "to the last byte");
    assert_eq!(plan.reserve(4, 4), Err(Refused::Stalled { oldest: None, may_grow: false }), "only a flush helps");
    let mut flushed = Vec::new();
    assert_eq!(plan.flush(|buffer| flushed.push(buffer)), Some((1, Vec::new())));
    assert_eq!(flushed, [0, 1]);
    assert_eq!(plan.reserve(4, 4), Err(Refused::Stalled { oldest: Some(0), may_grow: false }));
    assert!(plan.ready(0, 1) && !plan.ready(0, 1) && !plan.ready(1, 7) && !plan.ready(9, 1));
    assert_eq!(plan.reserve(4, 4), Ok(Reserved { buffer: 0, offset: 0, bytes: 4 }));
    let stats = plan.stats();
    assert_eq!((stats.wraps, stats.stalls, stats.in_flight_bytes, stats.unflushed_bytes), (1, 2, 100, 4));
    assert_eq!((stats.high_water_bytes, plan.in_flight().collect::<Vec<_>>()), (160, vec![0, 100]));
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let mut plan = plan(1, 64);
    assert_eq!(plan.reserve(0, 4), Err(Refused::Zero));
    for align in [0, 3, u64::MAX] {
        assert_eq!(plan.reserve(4, align), Err(Refused::Alignment(align)));
    }
    assert_eq!(plan.reserve(65, 4), Err(Refused::TooLarge { bytes: 65, most: 64 }));
    assert_eq!(plan.reserve(u64::MAX, 4), Err(Refused::TooLarge { bytes: u64::MAX, most: 64 }));
    assert_eq!((plan.stats().unflushed_bytes, plan.flush(|_| ())), (0, None));
    let first = plan.reserve(4, 1 << 63).unwrap();
    assert_eq!(first.offset, 0, "every alignment divides 0");
    assert_eq!(plan.reserve(4, 1 << 63), Err(Refused::Stalled { oldest: None, may_grow: false }));
    assert!(plan.unreserve(first) && !plan.unreserve(first));
    let tiny = Plan::new(PlanConfig { buffers: 0, buffer_bytes: 3, most_buffers: 0, quiet_ticks: 0 });
    assert_eq!((tiny.count(), tiny.config().buffer_bytes, tiny.config().most_buffers), (1, 4, 1));
}

#[test]
fn neighbours_are_copied_as_one() {
    let mut plan = plan(2, 1 << 10);
    for part in 0..4 {
        let reserved = plan.reserve(64, 4).unwrap();
        plan.copy(reserved, to(7, 256 + part * 64));
    }
    let gap = plan.reserve(64, 256).unwrap();
    plan.copy(gap, to(7, 512));
    let elsewhere = plan.reserve(64, 4).unwrap();
    plan.copy(elsewhere, to(8, 576));
    let texels = plan.reserve(4, 4).unwrap();
    plan.copy_other(texels, 5);
    let (_, copies) = plan.flush(|_| ()).unwrap();
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
fn a_ring_grows_to_its_cap_and_shrinks_when_it_is_quiet() {
    let mut plan = Plan::new(PlanConfig { buffers: 1, buffer_bytes: 64, most_buffers: 3, quiet_ticks: 3 });
    let fill = |plan: &mut Plan| plan.reserve(64, 4).map(|reserved| reserved.buffer);
    assert_eq!(fill(&mut plan), Ok(0));
    assert_eq!(fill(&mut plan), Err(Refused::Stalled { oldest: None, may_grow: true }));
    assert_eq!((plan.grow(), fill(&mut plan), plan.grow(), fill(&mut plan)), (Some(1), Ok(1), Some(2), Ok(2)));
    assert_eq!((plan.grow(), fill(&mut plan)), (None, Err(Refused::Stalled { oldest: None, may_grow: false })));
    let (flush, _) = plan.flush(|_| ()).unwrap();
    assert_eq!(plan.tick(), None);
    for buffer in 0..3 {
        assert!(plan.ready(buffer, flush));
    }
    let gone: Vec<_> = (0..8).filter_map(|_| plan.tick()).collect();
    assert_eq!((gone, plan.count()), (vec![2, 1], 1));
    assert_eq!((plan.stats().grown, plan.stats().shrunk), (2, 2));
}

#[test]
fn a_broken_buffer_is_left_out_until_it_is_repaired() {
    let mut plan = plan(2, 64);
    plan.reserve(64, 4).unwrap();
    let (flush, _) = plan.flush(|_| ()).unwrap();
    assert!(plan.broken(0, flush) && !plan.broken(0, flush));
    assert_eq!((plan.to_repair(), plan.stats().broken, plan.stats().in_flight_bytes), (Some(0), 1, 0));
    assert_eq!(plan.reserve(64, 4).map(|reserved| reserved.buffer), Ok(1));
    assert!(matches!(plan.reserve(64, 4), Err(Refused::Stalled { .. })));
    assert!(plan.repaired(0) && !plan.repaired(0) && !plan.repaired(9));
    assert_eq!(plan.reserve(64, 4).map(|reserved| reserved.buffer), Ok(0));
}

#[derive(Debug, Clone)]
enum Step {
    Write {
        bytes: u64,
        align: u32,
        to: u64,
        offset: u64,
    },
    Continue {
        bytes: u64,
    },
    Flush,
    /// The so-manieth of what is in flight completes: callbacks come in the order of submissions, submissions in any.
    Complete {
        which: usize,
        broken: bool,
    },
    Grow,
    Repair,
    Tick,
    Advance,
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = || (1_u64..40).prop_map(|words| words * 4);
    prop_oneof![
        6 => (bytes(), 0_u32..7, 0_u64..3, 0_u64..100)
            .prop_map(|(bytes, align, to, offset)| Step::Write { bytes, align, to, offset: offset * 4 }),
        4 => bytes().prop_map(|bytes| Step::Continue { bytes }),
        3 => Just(Step::Flush),
        4 => (any::<usize>(), prop::bool::weighted(0.1)).prop_map(|(which, broken)| Step::Complete { which, broken }),
        1 => Just(Step::Grow),
        1 => Just(Step::Repair),
        1 => Just(Step::Tick),
        1 => Just(Step::Advance),
    ]
}

/// What a GPU would do: the staging buffers as bytes, copies carried out when they complete, destinations compared with plain writes.
struct Model {
    staging: Vec<Vec<u8>>,
    expected: Vec<Vec<u8>>,
    actual: Vec<Vec<u8>>,
    /// What was flushed and is not done: the buffers of each flush.
    flights: Vec<(u32, u64)>,
    next: u8,
    end: Option<(u64, u64)>,
}

impl Model {
    fn write(&mut self, plan: &mut Plan, bytes: u64, align: u64, to: Destination) -> Result<(), TestCaseError> {
        match plan.reserve(bytes, align) {
            Ok(reserved) => {
                prop_assert!(reserved.offset.is_multiple_of(align) && reserved.bytes == bytes);
                prop_assert!(
                    !self.flights.iter().any(|&(buffer, _)| buffer == reserved.buffer),
                    "written while in flight"
                );
                self.next = self.next.wrapping_add(1);
                let range = reserved.offset as usize..(reserved.offset + bytes) as usize;
                self.staging[reserved.buffer as usize][range].fill(self.next);
                let range = to.offset as usize..(to.offset + bytes) as usize;
                self.expected[to.buffer as usize][range].fill(self.next);
                plan.copy(reserved, to);
                self.end = Some((to.buffer, to.offset + bytes));
            }
            Err(refused) => {
                prop_assert!(matches!(refused, Refused::Stalled { .. }), "{refused}");
                self.end = None;
            }
        }
        Ok(())
    }

    fn flush(&mut self, plan: &mut Plan) {
        let mut flushed = Vec::new();
        if let Some((flush, copies)) = plan.flush(|buffer| flushed.push(buffer)) {
            self.flights.extend(flushed.into_iter().map(|buffer| (buffer, flush)));
            for copy in copies {
                let Copy::Buffer(BufferCopy { from, to }) = copy else {
                    unreachable!("no other copies were asked for")
                };
                let bytes = self.staging[from.buffer as usize][from.offset as usize..][..from.bytes as usize].to_vec();
                self.actual[to.buffer as usize][to.offset as usize..][..bytes.len()].copy_from_slice(&bytes);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_arrives_whatever_completes_when(
        steps in prop::collection::vec(step(), 0..300), buffers in 1_u32..4, more in 0_u32..3,
    ) {
        let config = PlanConfig { buffers, buffer_bytes: 256, most_buffers: buffers + more, quiet_ticks: 2 };
        let mut plan = Plan::new(config);
        let mut model = Model {
            staging: vec![vec![0; 256]; 8],
            expected: vec![vec![0; 1 << 10]; 3],
            actual: vec![vec![0; 1 << 10]; 3],
            flights: Vec::new(),
            next: 0,
            end: None,
        };
        for step in steps {
            match step {
                Step::Write { bytes, align, to, offset } => {
                    model.write(&mut plan, bytes, 1 << align, Destination { buffer: to, offset })?;
                }
                Step::Continue { bytes } => {
                    if let Some((buffer, offset)) = model.end.filter(|(_, offset)| offset + bytes <= 1 << 10) {
                        model.write(&mut plan, bytes, 4, Destination { buffer, offset })?;
                    }
                }
                Step::Flush => {
                    model.flush(&mut plan);
                    prop_assert_eq!(&model.expected, &model.actual);
                }
                Step::Complete { which, broken } => {
                    if let Some(index) = which.checked_rem(model.flights.len()) {
                        let (buffer, flush) = model.flights.swap_remove(index);
                        let told = if broken { plan.broken(buffer, flush) } else { plan.ready(buffer, flush) };
                        prop_assert!(told);
                    }
                }
                Step::Grow => {
                    let grown = plan.grow();
                    prop_assert!(grown.is_none_or(|_| plan.count() <= config.most_buffers));
                }
                Step::Repair => {
                    if let Some(buffer) = plan.to_repair() {
                        prop_assert!(plan.repaired(buffer));
                    }
                }
                Step::Tick => {
                    if let Some(gone) = plan.tick() {
                        prop_assert!(gone == plan.count() && plan.count() >= buffers);
                        prop_assert!(!model.flights.iter().any(|&(buffer, _)| buffer == gone));
                    }
                }
                Step::Advance => plan.advance(),
            }
            let stats = plan.stats();
            prop_assert_eq!(stats.in_flight_buffers as usize, model.flights.len());
            prop_assert!(stats.merged <= stats.writes);
        }
        model.flush(&mut plan);
        prop_assert_eq!(&model.expected, &model.actual);
        let stats = plan.stats();
        prop_assert_eq!(stats.copies + stats.merged, stats.writes, "every write is a copy or part of one");
        prop_assert_eq!(stats.unflushed_bytes, 0);
    }
}
