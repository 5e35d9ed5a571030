//! Passes are counted by name and by frame, and never beyond the limits.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::contract::Value;

fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

fn figures(monitor: &PassTimeMonitor) -> BTreeMap<String, Option<Value>> {
    let mut series = Series::with_cap(1_024);
    monitor.describe(&mut series);
    let (described, overflow) = series.finish();
    assert_eq!((overflow.beyond_cap, overflow.invalid), (0, 0));
    let described: Vec<_> = described
        .into_iter()
        .flatten()
        .filter(|figure| !matches!(figure.kind, crate::contract::FigureKind::Histogram(_)))
        .collect();
    let mut values = vec![None; described.len()];
    let mut row = Row::new(&mut values);
    monitor.record(&mut row);
    assert_eq!(row.beyond(), 0);
    described
        .iter()
        .map(|figure| {
            let labels: Vec<_> = figure.labels.iter().map(|(_, value)| value.to_string()).collect();
            format!("{} {}", figure.name, labels.join(" ")).trim().to_owned()
        })
        .zip(values)
        .collect()
}

#[test]
fn without_passes_there_are_no_figures() {
    let monitor = PassTimeMonitor::new("passes");
    assert!(figures(&monitor).values().all(Option::is_none));
    let report = monitor.report();
    assert_eq!((report.passes.len(), report.span, report.beyond_names), (0, None, 0));
    let mut passes = vec![("left".into(), us(1))];
    assert_eq!(monitor.read_frame(1, &mut passes), FramePasses::None);
    assert_eq!(passes, []);
}

#[test]
fn the_longest_pass_comes_first_and_totals_are_exact() {
    let monitor = PassTimeMonitor::new("passes");
    for frame in 1..=3 {
        monitor.pass(frame, "shadow", us(100 * frame));
        monitor.pass(frame, "opaque", us(1_000));
        monitor.pass(frame, "shadow", us(50));
        monitor.frame_complete(frame);
        monitor.frame_span(frame, us(2_000));
    }
    monitor.dropped(UntimedPass::Own, 2);
    let report = monitor.report();
    assert_eq!(report.passes.iter().map(|pass| &*pass.name).collect::<Vec<_>>(), ["opaque", "shadow"]);
    let shadow = report.pass("shadow").unwrap();
    assert_eq!((shadow.last, shadow.max, shadow.mean), (us(50), us(300), us(125)));
    assert_eq!((shadow.runs, shadow.total, shadow.last_frame), (6, us(750), 3));
    assert_eq!((report.span, report.untimed(UntimedPass::Own)), (Some((3, us(2_000))), 2));
    let figures = figures(&monitor);
    assert_eq!(figures["vitals_gpu_pass_seconds_total shadow"], Some(Value::F64(0.00075)));
    assert_eq!(figures["vitals_gpu_pass_runs_total opaque"], Some(Value::U64(3)));
    assert_eq!(figures["vitals_gpu_passes_untimed_total own"], Some(Value::U64(2)));
    assert_eq!(figures["vitals_gpu_passes_untimed_total failed"], Some(Value::U64(0)));
    let text = report.to_string();
    assert!(text.find("opaque").unwrap() < text.find("shadow").unwrap(), "{text}");
    assert!(text.contains("not timed, own: 2"), "{text}");
}

#[test]
fn a_frame_is_partial_until_it_is_complete_and_its_names_are_summed() {
    let monitor = PassTimeMonitor::new("passes");
    monitor.pass(7, "a", us(1));
    monitor.pass(7, "b", us(2));
    monitor.pass(7, "a", us(4));
    let mut passes = Vec::new();
    assert_eq!(monitor.read_frame(7, &mut passes), FramePasses::Partial);
    assert_eq!(passes, [("a".into(), us(5)), ("b".into(), us(2))]);
    monitor.frame_complete(7);
    assert_eq!(monitor.read_frame(7, &mut passes), FramePasses::Complete);
    assert_eq!(monitor.read_frame(6, &mut passes), FramePasses::None);
    // A frame all of whose passes failed is complete and has none.
    monitor.frame_complete(8);
    assert_eq!((monitor.read_frame(8, &mut passes), passes.len()), (FramePasses::Complete, 0));
}

#[test]
fn names_beyond_the_limit_are_others_and_counted() {
    let monitor = PassTimeMonitor::new("passes").with_names(2);
    for name in ["a", "b", "c", "d", "a", "c"] {
        monitor.pass(1, name, us(1));
    }
    let report = monitor.report();
    let names: BTreeSet<&str> = report.passes.iter().map(|pass| &*pass.name).collect();
    assert_eq!(names, BTreeSet::from(["a", "b", PassTimeMonitor::OTHER]));
    assert_eq!((report.pass("other").unwrap().runs, report.beyond_names), (3, 3));
    assert_eq!(figures(&monitor)["vitals_gpu_pass_names_refused_total"], Some(Value::U64(3)));
    monitor.pass(1, "other", us(1));
    assert_eq!(monitor.report().beyond_names, 3, "a pass that is called so is not one too many");
    monitor.names_refused(1);
    assert_eq!(monitor.report().beyond_names, 4, "it is if its own name was given up before");
    let long = "ä".repeat(1_000);
    let short = PassTimeMonitor::new("passes");
    short.pass(1, &long, us(1));
    short.pass(2, &long[..200], us(1));
    assert_eq!(short.report().passes.iter().map(|pass| (pass.name.len(), pass.runs)).collect::<Vec<_>>(), [(96, 2)]);
    let none = PassTimeMonitor::new("passes").with_names(0);
    none.pass(1, "a", us(1));
    assert_eq!(none.report().pass("other").map(|pass| pass.runs), Some(1));
    assert_eq!(PassTimeMonitor::new("passes").with_names(usize::MAX).names, PassTimeMonitor::MAX_NAMES);
}

proptest! {
    #[test]
    fn frames_and_totals_are_those_of_a_list_of_all_passes(
        steps in prop::collection::vec((1_u64..40, 0_usize..6, 0_u64..1_000, any::<bool>()), 0..300),
    ) {
        const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
        let monitor = PassTimeMonitor::new("passes").with_names(4);
        // The naive model: all passes told, by the frames kept at the time.
        let mut known: Vec<&str> = Vec::new();
        let mut kept: BTreeMap<u64, (bool, BTreeMap<&str, u64>)> = BTreeMap::new();
        let mut forgotten = 0;
        let (mut totals, mut runs) = (BTreeMap::<&str, u64>::new(), BTreeMap::<&str, u64>::new());
        for (frame, name, time, complete) in steps {
            let told = NAMES[name];
            let mut name = told;
            if complete {
                monitor.frame_complete(frame);
            } else {
                monitor.pass(frame, told, us(time));
                if !known.contains(&told) {
                    if known.len() < 4 { known.push(told) } else { name = "other" }
                }
                *totals.entry(name).or_default() += time;
                *runs.entry(name).or_default() += 1;
            }
            let takes = kept.contains_key(&frame)
                || frame > forgotten && (kept.len() < 16 || kept.keys().next().is_some_and(|oldest| *oldest < frame));
            if takes {
                if !kept.contains_key(&frame) && kept.len() == 16 {
                    forgotten = kept.pop_first().unwrap().0;
                }
                let (done, times) = kept.entry(frame).or_default();
                *done |= complete;
                if !complete {
                    *times.entry(name).or_default() += time;
                }
            }
        }
        let report = monitor.report();
        for pass in &report.passes {
            prop_assert_eq!(pass.total, us(totals[&*pass.name]));
            prop_assert_eq!(pass.runs, runs[&*pass.name]);
        }
        prop_assert_eq!(report.passes.len(), totals.len());
        let mut passes = Vec::new();
        for frame in 0..42 {
            let known = monitor.read_frame(frame, &mut passes);
            let read: BTreeMap<&str, u64> =
                passes.iter().map(|(name, time)| (&**name, u64::try_from(time.as_micros()).unwrap())).collect();
            match kept.get(&frame) {
                None => prop_assert_eq!((known, read.len()), (FramePasses::None, 0)),
                Some((complete, times)) => {
                    let expected = if *complete { FramePasses::Complete } else { FramePasses::Partial };
                    prop_assert_eq!(known, expected);
                    prop_assert_eq!(&read, times);
                }
            }
        }
    }
}
