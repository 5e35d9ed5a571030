//! Passes without a time are counted by reason, and each pass is told or counted, once.

#[cfg(feature = "fault")]
use engine_vitals::instrument::InstrumentationBuilder;
use engine_vitals::monitor::{PassTimeMonitor, UntimedPass};

use crate::kit::{self, On, Timed};
use crate::support::skipped;

#[test]
fn passes_beyond_the_budget_are_counted() {
    let Some(timed) = Timed::open("passes_beyond_the_budget_are_counted") else { return };
    timed.instrumentation.set_pass_queries_per_frame(12);
    // Of the first frame those that were read back count no more: it may be the only one.
    timed.probe().frame_ended();
    for frame in 2..=5 {
        for _ in 0..2 {
            timed.submit(|encoder| (0..5).for_each(|_| timed.compute(encoder, Some("cull"))));
        }
        timed.wait();
        let report = timed.report();
        let frames = frame - 1;
        assert_eq!((kit::told(&report), report.untimed(UntimedPass::Budget)), (6 * frames, 4 * frames), "{report}");
        timed.probe().frame_ended();
    }
    timed.instrumentation.set_pass_queries_per_frame(0);
    timed.submit(|encoder| timed.compute(encoder, Some("cull")));
    timed.wait();
    assert_eq!((kit::told(&timed.report()), timed.untimed(UntimedPass::Budget)), (24, 17));
}

/// A program that never says that a frame has ended is timed all the same, for as long as it runs.
#[test]
fn without_frames_the_budget_is_of_passes_in_flight() {
    let Some(timed) = Timed::open("without_frames_the_budget_is_of_passes_in_flight") else { return };
    timed.instrumentation.set_pass_queries_per_frame(20);
    for round in 1..=30 {
        drop(timed.encoder().finish());
        let mut dropped = timed.encoder();
        timed.compute(&mut dropped, Some("dropped"));
        drop(dropped);
        timed.submit(|encoder| (0..10).for_each(|_| timed.compute(encoder, Some("cull"))));
        timed.wait();
        assert_eq!(kit::told(&timed.report()), 10 * round);
    }
    assert_eq!((timed.untimed(UntimedPass::Budget), timed.untimed(UntimedPass::Unsubmitted)), (0, 30));
}

#[test]
fn a_pass_with_stamps_of_its_own_is_left_alone() {
    let test = "a_pass_with_stamps_of_its_own_is_left_alone";
    let features = wgpu::Features::TIMESTAMP_QUERY;
    let Some(timed) = Timed::open_with(test, On::Gpu, features, |builder| builder) else { return };
    let queries = timed.device.create_query_set(&wgpu::QuerySetDescriptor {
        label: None,
        ty: wgpu::QueryType::Timestamp,
        count: 4,
    });
    timed.submit(|encoder| {
        timed.render(encoder, Some("ours"), 1);
        drop(encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("theirs"),
            color_attachments: &[Some(timed.attachment())],
            timestamp_writes: Some(wgpu::RenderPassTimestampWrites {
                query_set: &queries,
                beginning_of_pass_write_index: Some(0),
                end_of_pass_write_index: None,
            }),
            ..Default::default()
        }));
        drop(encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("theirs too"),
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &queries,
                beginning_of_pass_write_index: None,
                end_of_pass_write_index: Some(1),
            }),
        }));
    });
    timed.wait();
    let report = timed.report();
    assert_eq!((kit::told(&report), report.passes.len(), report.untimed(UntimedPass::Own)), (1, 1, 2), "{report}");
}

#[test]
fn what_is_never_submitted_gives_its_queries_back() {
    let Some(timed) = Timed::open("what_is_never_submitted_gives_its_queries_back") else { return };
    timed.instrumentation.set_pass_queries_per_frame(u32::MAX);
    for round in 0..400 {
        let mut encoder = timed.encoder();
        timed.compute(&mut encoder, Some("never"));
        if round % 2 == 0 {
            drop(encoder.finish());
        }
    }
    // More encoders at a time than there are chunks.
    let recording: Vec<_> = (0..300)
        .map(|_| {
            let mut encoder = timed.encoder();
            timed.compute(&mut encoder, Some("at a time"));
            encoder
        })
        .collect();
    drop(recording);
    let report = timed.report();
    assert_eq!(report.untimed(UntimedPass::Unsubmitted), 400 + 256, "{report}");
    assert_eq!(report.untimed(UntimedPass::InFlight), 300 - 256, "{report}");
    timed.submit(|encoder| timed.compute(encoder, Some("ever")));
    timed.wait();
    assert_eq!(kit::told(&timed.report()), 1);
}

/// A submission that wgpu refuses writes nothing: what the read-back finds is that of another one, and is not told.
#[test]
fn a_refused_submission_tells_no_stale_times() {
    let Some(timed) = Timed::open("a_refused_submission_tells_no_stale_times") else { return };
    timed.submit(|encoder| timed.compute(encoder, Some("first")));
    timed.wait();
    for _ in 0..3 {
        let scope = timed.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let mut broken = timed.encoder();
        broken.pop_debug_group();
        timed.compute(&mut broken, Some("broken"));
        let mut valid = timed.encoder();
        timed.compute(&mut valid, Some("valid"));
        timed.queue.submit([valid.finish(), broken.finish()]);
        assert!(pollster::block_on(scope.pop()).is_some());
        timed.wait();
    }
    let report = timed.report();
    assert_eq!((kit::told(&report), report.untimed(UntimedPass::Failed)), (1, 6), "{report}");
    timed.submit(|encoder| timed.compute(encoder, Some("first")));
    timed.wait();
    assert_eq!(timed.report().pass("first").map(|pass| pass.runs), Some(2));
}

/// The same where the stamps of another submission stand at more places than the refused one has, at fewer, or at others.
#[test]
fn a_refused_submission_with_other_passes_tells_no_stale_times() {
    let test = "a_refused_submission_with_other_passes_tells_no_stale_times";
    let Some(timed) = Timed::open(test) else { return };
    let compute = |encoder: &mut wgpu::CommandEncoder, label, passes| {
        (0..passes).for_each(|_| timed.compute(encoder, Some(label)));
    };
    let (mut told, mut failed) = (0, 0);
    for (accepted, refused) in [(3, 1), (1, 1), (4, 2), (1, 3), (9, 1), (2, 7)] {
        timed.submit(|encoder| compute(encoder, "accepted", accepted));
        timed.wait();
        told += accepted;
        for encoders in 1..=2 {
            let scope = timed.device.push_error_scope(wgpu::ErrorFilter::Validation);
            let mut broken = timed.encoder();
            broken.pop_debug_group();
            let valid = (0..encoders).map(|_| {
                let mut valid = timed.encoder();
                compute(&mut valid, "refused", refused);
                valid.finish()
            });
            timed.queue.submit(valid.chain([broken.finish()]));
            assert!(pollster::block_on(scope.pop()).is_some());
            timed.wait();
            failed += encoders * refused;
            let report = timed.report();
            assert_eq!((kit::told(&report), kit::counted(&report)), (told, failed), "{report}");
            assert_eq!(report.untimed(UntimedPass::Failed), failed, "{report}");
            assert!(report.pass("refused").is_none(), "{report}");
        }
    }
}

/// An injected failure leaves nothing of the submission: no read-back of its passes either.
#[cfg(feature = "fault")]
#[test]
fn a_submission_that_is_made_to_fail_reads_nothing_back() {
    use engine_vitals::instrument::fault::{Call, Fault, FaultPlan, Rule, When};

    let test = "a_submission_that_is_made_to_fail_reads_nothing_back";
    for on in [On::Gpu, On::Noop] {
        let plan = FaultPlan::seeded(1).fail(Rule::new(Fault::Validation, When::Calls(vec![2])).on(Call::Submit));
        let choose = |builder: InstrumentationBuilder| builder.faults(plan);
        let Some(timed) = Timed::open_with(test, on, wgpu::Features::empty(), choose) else { continue };
        let submit = || {
            let scope = timed.device.push_error_scope(wgpu::ErrorFilter::Validation);
            timed.submit(|encoder| (0..3).for_each(|_| timed.compute(encoder, Some("cull"))));
            timed.wait();
            pollster::block_on(scope.pop())
        };
        assert!(submit().is_none());
        assert!(submit().is_some());
        assert!(submit().is_none());
        let report = timed.report();
        assert_eq!(report.untimed(UntimedPass::Failed), 3, "{on:?}: {report}");
        assert_eq!(kit::told(&report) + report.untimed(UntimedPass::Unwritten), 6, "{on:?}: {report}");
    }
}

/// Also those of whose names the monitor never hears.
#[test]
fn names_beyond_all_limits_are_counted() {
    let Some(timed) = Timed::open("names_beyond_all_limits_are_counted") else { return };
    timed.instrumentation.set_pass_queries_per_frame(u32::MAX);
    for names in (0..300).collect::<Vec<u32>>().chunks(50) {
        timed.submit(|encoder| names.iter().for_each(|name| timed.compute(encoder, Some(&name.to_string()))));
        timed.wait();
    }
    let report = timed.report();
    let other = report.pass(PassTimeMonitor::OTHER).map(|pass| pass.runs);
    assert_eq!((kit::told(&report), other, report.beyond_names), (300, Some(300 - 64), 300 - 64), "{report}");
}

/// Recorded and submitted by several threads at a time.
#[test]
fn threads_lose_and_double_nothing() {
    let Some(timed) = Timed::open("threads_lose_and_double_nothing") else { return };
    const ROUNDS: u64 = 60;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let timed = &timed;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let mut encoder = timed.encoder();
                    for _ in 0..=(round + thread) % 5 {
                        timed.compute(&mut encoder, Some("pass"));
                    }
                    match round % 5 {
                        0 => drop(encoder),
                        _ => drop(timed.queue.submit([encoder.finish()])),
                    }
                    timed.probe().frame_ended();
                }
            });
        }
    });
    timed.wait();
    let report = timed.report();
    let recorded: u64 = (0..4).flat_map(|thread| (0..ROUNDS).map(move |round| 1 + (round + thread) % 5)).sum();
    assert_eq!(kit::told(&report) + kit::counted(&report), recorded, "{report}");
    let dropped: u64 =
        (0..4).flat_map(|thread| (0..ROUNDS).step_by(5).map(move |round| 1 + (round + thread) % 5)).sum();
    assert_eq!(report.untimed(UntimedPass::Unsubmitted), dropped, "{report}");
    assert_eq!(report.untimed(UntimedPass::Failed) + report.untimed(UntimedPass::Unwritten), 0, "{report}");
    assert!(kit::told(&report) > 0);
}

/// Backends that write no stamps, or have none of the features, do no harm.
#[test]
fn noop_and_opengl_are_fine() {
    for on in [On::Noop, On::Gl] {
        let test = format!("noop_and_opengl_are_fine ({on:?})");
        let Some(timed) = Timed::open_with(&test, on, wgpu::Features::empty(), |builder| builder) else { continue };
        for _ in 0..3 {
            timed.submit(|encoder| {
                timed.render(encoder, Some("render"), 1);
                timed.compute(encoder, Some("compute"));
            });
            timed.wait();
            timed.probe().frame_ended();
        }
        let report = timed.report();
        // Noop writes none, and a clock of Mesa's OpenGL may run backwards.
        let wrong = report.untimed(UntimedPass::Unwritten) + report.untimed(UntimedPass::Disorder);
        if kit::told(&report) + wrong == 0 {
            skipped(&test, "the adapter has no time stamps");
            continue;
        }
        assert_eq!((kit::told(&report) + wrong, kit::counted(&report)), (6, wrong), "{on:?}: {report}");
        assert_eq!(on == On::Noop, kit::told(&report) == 0, "{on:?}: {report}");
    }
}
