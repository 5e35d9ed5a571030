//! Times of passes, and the frames that they are told for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine_vitals::contract::FrameStats;
use engine_vitals::gpu::{FrameSink, FrameTimer};
use engine_vitals::monitor::{FramePasses, PassTimeMonitor, UntimedPass};
use engine_vitals::{StandardMonitor, Vitals};

use crate::kit::{self, On, Timed};
use crate::support::skipped_without_adapter;

/// Keeps what a frame timer delivers.
#[derive(Default)]
struct Kept(Mutex<Vec<FrameStats>>);

impl FrameSink for Kept {
    fn frame(&self, stats: FrameStats) {
        self.0.lock().unwrap().push(stats);
    }
}

#[test]
fn a_planted_slow_pass_comes_first() {
    let Some(timed) = Timed::open("a_planted_slow_pass_comes_first") else { return };
    for _ in 0..10 {
        timed.submit(|encoder| {
            timed.render(encoder, Some("shadow"), 0);
            timed.compute(encoder, Some("particles"));
            timed.render(encoder, Some("water"), 400);
            timed.render(encoder, None, 1);
            timed.render(encoder, Some("tonemap"), 1);
        });
        timed.probe().frame_ended();
    }
    timed.wait();
    let report = timed.report();
    assert_eq!(&*report.passes[0].name, "water", "{report}");
    let others: Duration = report.passes[1..].iter().map(|pass| pass.mean).sum();
    assert!(report.passes[0].mean > others, "{report}");
    for name in ["shadow", "particles", "water", "tonemap", "(no label)"] {
        let pass = report.pass(name).unwrap_or_else(|| panic!("{name} is not in\n{report}"));
        assert_eq!((pass.runs, pass.last_frame), (10, 10), "{name}");
        assert!(pass.max >= pass.mean && pass.max >= pass.last && pass.total >= pass.max);
    }
    assert_eq!(kit::counted(&report), 0, "{report}");
}

/// The four hooks around them measure more, frame by frame, and count the same frames.
#[test]
fn passes_add_up_to_no_more_than_the_frame_and_have_its_number() {
    let test = "passes_add_up_to_no_more_than_the_frame_and_have_its_number";
    let Some(timed) = Timed::open(test) else { return };
    let kept = Arc::new(Kept::default());
    let timer = FrameTimer::new(&timed.device, &timed.queue, kept.clone());
    for number in 1..=8 {
        assert_eq!(timed.probe().frame_number(), number);
        let mut frame = timer.begin();
        let mut encoder = timed.encoder();
        frame.start(&mut encoder);
        for pass in 0..6 {
            timed.render(&mut encoder, Some("opaque"), 3 * pass);
            timed.compute(&mut encoder, Some("cull"));
        }
        frame.end(&mut encoder);
        frame.submit(|| timed.queue.submit([encoder.finish()]));
        timed.wait();
        assert_eq!(timed.frame(number).0, FramePasses::Partial, "it is under way");
        timed.probe().frame_ended();
        timed.instrumentation.set_pass_times(true);
    }
    // What was read back while its frame was under way is complete with the next submission.
    timed.submit(|encoder| timed.compute(encoder, Some("cull")));
    timed.wait();
    let frames = kept.0.lock().unwrap();
    assert_eq!(frames.len(), 8);
    for stats in frames.iter() {
        let [Some(start), _, _, Some(end)] = stats.hooks else { panic!("frame {} has no hooks", stats.frame_number) };
        let (known, sum) = timed.frame(stats.frame_number);
        assert_eq!(known, FramePasses::Complete);
        assert!(sum > Duration::ZERO && sum <= end - start, "{sum:?} of {:?}", end - start);
    }
    let (frame, span) = timed.report().span.unwrap();
    assert_eq!(frame, 8);
    assert!(span >= timed.frame(8).1 && span <= frames[7].hooks[3].unwrap());
}

/// One line at the start, and the times of passes are among the figures, by the frames of `Vitals::frame`.
#[test]
fn vitals_times_passes_by_default() {
    let test = "vitals_times_passes_by_default";
    for (on_at_start, left_out) in [(true, false), (false, false), (true, true)] {
        let mut builder = Vitals::builder().without_server().pass_times(on_at_start).pass_names(2);
        if left_out {
            builder = builder.without(StandardMonitor::Passes);
        }
        let vitals = builder.start();
        let Some((device, queue)) = kit::device(&vitals.wrap(On::Gpu.instance()), wgpu::Features::empty()) else {
            return skipped_without_adapter(test);
        };
        let render =
            |labels: &[&str]| {
                let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                for label in labels {
                    drop(encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                        label: Some(label),
                        timestamp_writes: None,
                    }));
                }
                queue.submit([encoder.finish()]);
                device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
                vitals.frame();
            };
        render(&["a", "b", "c"]);
        let first = if on_at_start { 3 } else { 0 };
        assert_eq!(kit::told(&vitals.pass_monitor().report()), first);
        vitals.set_pass_times(true);
        render(&["a"]);
        vitals.set_pass_times(false);
        render(&["a"]);
        vitals.set_pass_times(true);
        render(&["a"]);
        let report = vitals.pass_monitor().report();
        assert_eq!(kit::told(&report), first + 2, "{report}");
        assert_eq!((report.beyond_names, report.pass("a").unwrap().last_frame), (if on_at_start { 1 } else { 0 }, 4));
        let mut passes = Vec::new();
        assert_eq!(vitals.pass_monitor().read_frame(3, &mut passes), FramePasses::None);
        // `Vitals::frame` has told that the last frame is over.
        assert_eq!(vitals.pass_monitor().read_frame(4, &mut passes), FramePasses::Complete);
        assert_eq!(passes.len(), 1);
        assert_eq!(report.untimed(UntimedPass::Failed), 0);
        let shown = vitals.registry().get::<PassTimeMonitor>("passes").is_some();
        assert_eq!(shown, !left_out);
    }
}

/// In one encoder or in many, in one submission or in many.
#[test]
fn frames_of_many_passes_and_many_encoders_lose_none() {
    let Some(timed) = Timed::open("frames_of_many_passes_and_many_encoders_lose_none") else { return };
    for _ in 0..20 {
        timed.submit(|encoder| (0..60).for_each(|_| timed.compute(encoder, Some("one encoder"))));
        timed.probe().frame_ended();
        let buffers: Vec<_> = (0..60)
            .map(|_| {
                let mut encoder = timed.encoder();
                timed.compute(&mut encoder, Some("many encoders"));
                encoder.finish()
            })
            .collect();
        // Submitted in another order than recorded.
        timed.queue.submit(buffers.into_iter().rev());
        timed.probe().frame_ended();
        for _ in 0..10 {
            timed.submit(|encoder| (0..2).for_each(|_| timed.compute(encoder, Some("many submissions"))));
        }
        timed.probe().frame_ended();
        timed.wait();
    }
    let report = timed.report();
    assert_eq!(kit::counted(&report), 0, "{report}");
    for (name, runs) in [("one encoder", 1_200), ("many encoders", 1_200), ("many submissions", 400)] {
        assert_eq!(report.pass(name).map(|pass| pass.runs), Some(runs), "{report}");
    }
    // As many as the 60 encoders took that were recorded at a time: the same queries serve all frames.
    assert_eq!(timed.query_sets(), 8);
    let (known, sum) = timed.frame(60);
    assert!(known == FramePasses::Complete && sum > Duration::ZERO);
}
