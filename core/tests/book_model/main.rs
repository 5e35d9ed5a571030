//! Random lives against a naive model: totals, snapshots and events must equal what plain bookkeeping gives.
#![cfg(feature = "telemetry")]

mod model;
mod run;

use engine_vitals_core::probe::{EventKind, Level, PacketResult, ResourceKind};
use proptest::prelude::*;
use std::time::Duration;

use self::model::{Told, told};
use self::run::Run;

/// A life that is shorter, or of fewer packets, is short.
const SHORT: Duration = Duration::from_millis(4);
const SHORT_PACKETS: u64 = 2;

#[derive(Clone, Debug)]
enum Op {
    Create {
        kind: usize,
        bytes: u64,
        label: Option<String>,
        extent: Option<(u32, u32)>,
        within: Option<usize>,
        native: Option<u64>,
    },
    Resize {
        which: usize,
        bytes: u64,
        extent: Option<(u32, u32)>,
    },
    HandleDropped(usize),
    Destroyed(usize),
    Freed(usize),
    Touch(usize),
    Rebuilt(usize),
    Drop(usize),
    Owner(Option<u64>),
    BeginPacket,
    EndPacket(PacketResult),
    Stage(u64),
    Submit,
    Complete,
    Level(Level),
    TouchLists(bool),
}

const KINDS: [ResourceKind; 3] = [ResourceKind::BUFFER, ResourceKind::TEXTURE_VIEW, ResourceKind::TLAS];

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let extent = || proptest::option::of((1..5000u32, 1..5000u32));
    let which = || 0..64usize;
    let create = (
        0..KINDS.len(),
        0..200_000u64,
        proptest::option::of("[a-zé]{0,200}"),
        extent(),
        proptest::option::weighted(0.2, which()),
        any::<Option<u64>>(),
    )
        .prop_map(|(kind, bytes, label, extent, within, native)| Op::Create {
            kind,
            bytes,
            label,
            extent,
            within,
            native,
        });
    let level = prop_oneof![1 => Just(Level::Off), 2 => Just(Level::Counters), 6 => Just(Level::Events)];
    let result = proptest::sample::select(PacketResult::ALL.to_vec());
    let op = prop_oneof![
        12 => create,
        4 => (which(), 0..200_000u64, extent()).prop_map(|(which, bytes, extent)| Op::Resize { which, bytes, extent }),
        4 => which().prop_map(Op::HandleDropped),
        3 => which().prop_map(Op::Destroyed),
        3 => which().prop_map(Op::Freed),
        4 => which().prop_map(Op::Touch),
        1 => which().prop_map(Op::Rebuilt),
        8 => which().prop_map(Op::Drop),
        2 => proptest::option::of(0..3u64).prop_map(Op::Owner),
        2 => Just(Op::BeginPacket),
        2 => result.prop_map(Op::EndPacket),
        1 => (0..5000u64).prop_map(Op::Stage),
        1 => Just(Op::Submit),
        1 => Just(Op::Complete),
        1 => level.prop_map(Op::Level),
        1 => any::<bool>().prop_map(Op::TouchLists),
    ];
    proptest::collection::vec(op, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn the_book_equals_plain_bookkeeping(ops in ops()) {
        let mut run = Run::new();
        let mut cursor = run.tracker.events();
        let mut events = Vec::new();
        for (step, op) in ops.into_iter().enumerate() {
            run.step(op);
            if step % 16 == 0 {
                run.check_totals()?;
                run.check_snapshot()?;
                prop_assert_eq!(cursor.read(&mut events).lost, 0);
            }
        }
        run.check_totals()?;
        run.check_snapshot()?;
        prop_assert_eq!(cursor.read(&mut events).lost, 0);
        let found: Vec<Told> = events.iter().map(told).collect();
        prop_assert_eq!(&found, &run.model.events);
        let mut ids: Vec<_> = events.iter().filter(|event| event.event == EventKind::Create).map(|event| event.resource).collect();
        prop_assert!(ids.is_sorted());
        ids.dedup();
        prop_assert_eq!(ids.len(), events.iter().filter(|event| event.event == EventKind::Create).count());
    }
}
