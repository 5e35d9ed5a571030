//! Numbered submissions and their completion.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_vitals_core::contract::Histogram;
#[cfg(feature = "instrument")]
use engine_vitals_core::probe::Ticket;
use engine_vitals_core::probe::{Mark, Probe};
use parking_lot::Mutex;
use web_time::Instant;

use super::ledger::Ledger;
use super::{Submission, SubmissionId, SubmissionStats};

/// Submits to a queue, numbers the submissions and learns when each is done. Cheap to clone; clones share everything.
///
/// Completion is learnt inside whatever call polls the device (`Queue::submit` does), so a latency is from the call of
/// [`submit`](Self::submit) to the poll that found the work done: an upper bound. One of these per queue, shared by all
/// that submit to it. Nothing here waits, and no lock is held while wgpu is called.
///
/// Each submission is reported to a [`Probe`] as a [`Mark::Submit`] in the context of the caller, and its completion as a
/// [`Mark::Complete`] with the same correlation; one whose device is lost before as a [`Mark::Abandoned`]. To a
/// queue that is instrumented for the same tracker it is reported once, under the number that it has here.
#[derive(Clone, Debug)]
pub struct Submissions {
    shared: Arc<Shared>,
}

impl Submissions {
    /// No submissions yet. They will be reported to `probe` ([`Probe::OFF`] for nobody).
    #[must_use]
    pub fn new(probe: Probe) -> Self {
        static QUEUES: AtomicU64 = AtomicU64::new(0);
        let queue = QUEUES.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::new(Shared { probe, queue, latencies: None, ledger: Mutex::default() }) }
    }

    /// Records the latency of each submission in `latencies` too. For a new `Submissions`, before it is cloned.
    #[must_use]
    pub fn with_latencies(self, latencies: Arc<Histogram>) -> Self {
        let Shared { probe, queue, .. } = *self.shared;
        Self { shared: Arc::new(Shared { probe, queue, latencies: Some(latencies), ledger: Mutex::default() }) }
    }

    /// Submits to `queue`.
    ///
    /// # Panics
    /// As `Queue::submit` does, for invalid command buffers with wgpu's default error handler.
    #[track_caller]
    pub fn submit(
        &self,
        queue: &wgpu::Queue,
        command_buffers: impl IntoIterator<Item = wgpu::CommandBuffer>,
    ) -> Submission {
        let (number, completion) = self.begin(true);
        self.shared.probe.event(Mark::submit(self.shared.correlation(number)));
        let reported = Reported::enter(self.shared.probe);
        let index = queue.submit(command_buffers);
        drop(reported);
        queue.on_submitted_work_done(move || completion.completed());
        Submission { id: SubmissionId(number), index }
    }

    /// Numbers a submission that is about to be made and reports it. Whoever makes it tells the completion when it is done.
    #[cfg(feature = "instrument")]
    pub(crate) fn begin_instrumented(&self, queue: Option<&Ticket>, command_buffers: &[&Ticket]) -> (u64, Completion) {
        let report = Reported::take() != Some(self.shared.probe);
        let (number, completion) = self.begin(report);
        if report {
            let correlation = self.shared.correlation(number);
            self.shared.probe.event_without_site(Mark::Submit { correlation, queue, command_buffers });
        }
        (number, completion)
    }

    fn begin(&self, report: bool) -> (u64, Completion) {
        let number = self.shared.ledger.lock().begin(Instant::now());
        (number, Completion { shared: Arc::clone(&self.shared), number: Some(number), report })
    }

    /// Whether a submission is done. False for one that is in flight, or that is not from here.
    #[must_use]
    pub fn is_done(&self, id: SubmissionId) -> bool {
        self.shared.ledger.lock().is_done(id.0)
    }

    /// The newest submission of which it is known that it and all before it are done; `None` while the first is in flight.
    #[must_use]
    pub fn done_up_to(&self) -> Option<SubmissionId> {
        let number = self.shared.ledger.lock().done_up_to();
        (number > 0).then_some(SubmissionId(number))
    }

    /// What has become of the submissions so far.
    #[must_use]
    pub fn stats(&self) -> SubmissionStats {
        let ledger = self.shared.ledger.lock();
        SubmissionStats {
            submitted: ledger.submitted(),
            completed: ledger.completed(),
            abandoned: ledger.abandoned(),
            in_flight: ledger.in_flight() as u64,
            last_latency: ledger.last_latency(),
        }
    }
}

#[derive(Debug)]
struct Shared {
    probe: Probe,
    /// Tells the queues of a process apart.
    queue: u64,
    latencies: Option<Arc<Histogram>>,
    ledger: Mutex<Ledger>,
}

impl Shared {
    /// The number under which the probe knows a submission: unique over the queues of a process.
    fn correlation(&self, number: u64) -> u64 {
        (self.queue << 40) | number
    }
}

/// Ends a submission's entry in the ledger, at the latest when it is dropped.
pub(crate) struct Completion {
    shared: Arc<Shared>,
    number: Option<u64>,
    report: bool,
}

impl Completion {
    pub(crate) fn completed(mut self) {
        if let Some(number) = self.number.take() {
            let latency = self.shared.ledger.lock().complete(number, Instant::now());
            if let (Some(latencies), Some(latency)) = (&self.shared.latencies, latency) {
                latencies.record(latency);
            }
            if self.report {
                self.shared.probe.event(Mark::complete(self.shared.correlation(number)));
            }
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(number) = self.number.take() {
            self.shared.ledger.lock().abandon(number);
            if self.report {
                self.shared.probe.event(Mark::Abandoned { correlation: self.shared.correlation(number) });
            }
        }
    }
}

thread_local! {
    static REPORTED: Cell<Option<Probe>> = const { Cell::new(None) };
}

/// The submission that this thread is about to make has been reported to a probe.
struct Reported;

impl Reported {
    fn enter(probe: Probe) -> Self {
        REPORTED.set(Some(probe));
        Self
    }

    /// To which it has; once, so that submissions made by callbacks within it are reported themselves.
    #[cfg(feature = "instrument")]
    fn take() -> Option<Probe> {
        REPORTED.take()
    }
}

impl Drop for Reported {
    fn drop(&mut self) {
        REPORTED.set(None);
    }
}

#[cfg(test)]
mod tests {
    use engine_vitals_core::tracker::Tracker;

    use super::*;
    use crate::gpu::testing;

    #[test]
    fn submissions_and_completions_are_reported_to_the_probe() {
        let Some(gpu) = testing::gpu("submissions_and_completions_are_reported_to_the_probe") else { return };
        let tracker = Tracker::new();
        let latencies = Arc::new(Histogram::for_gpu_work());
        let queues = [(); 2].map(|()| Submissions::new(tracker.probe()).with_latencies(Arc::clone(&latencies)));
        tracker.probe().staged(4096);
        for submissions in &queues {
            submissions.submit(&gpu.queue, []);
        }
        gpu.wait();
        let totals = tracker.totals().submissions;
        assert_eq!((totals.submitted, totals.completed, totals.unsubmitted_bytes()), (2, 2, 0));
        assert_eq!(latencies.snapshot().count, 2);
        assert_ne!(queues[0].shared.correlation(1), queues[1].shared.correlation(1));
    }

    #[test]
    fn submissions_are_numbered_and_completed_by_a_poll() {
        let Some(gpu) = testing::gpu("submissions_are_numbered_and_completed_by_a_poll") else { return };
        let submissions = Submissions::new(Probe::OFF);
        assert_eq!(submissions.done_up_to(), None);
        let target = gpu.target(256);
        let mut last = None;
        for number in 1..=5 {
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            gpu.clear(&mut encoder, &target, None);
            let submission = submissions.submit(&gpu.queue, [encoder.finish()]);
            assert_eq!(submission.id.get(), number);
            last = Some(submission);
        }
        let stats = submissions.stats();
        assert_eq!(stats.submitted, 5);
        assert_eq!(stats.completed + stats.in_flight, 5);
        gpu.wait();
        let stats = submissions.stats();
        assert_eq!((stats.completed, stats.in_flight, stats.abandoned), (5, 0, 0));
        assert!(stats.last_latency.is_some());
        let last = last.unwrap();
        assert!(submissions.is_done(last.id));
        assert_eq!(submissions.done_up_to(), Some(last.id));
    }

    #[test]
    fn an_empty_submission_completes_too() {
        let Some(gpu) = testing::gpu("an_empty_submission_completes_too") else { return };
        let submissions = Submissions::new(Probe::OFF);
        let submission = submissions.submit(&gpu.queue, []);
        gpu.wait();
        assert!(submissions.is_done(submission.id));
    }

    #[test]
    fn callbacks_that_submit_again_meet_no_lock() {
        let Some(gpu) = testing::gpu("callbacks_that_submit_again_meet_no_lock") else { return };
        let submissions = Submissions::new(Probe::OFF);
        submissions.submit(&gpu.queue, []);
        let (inner, queue) = (submissions.clone(), gpu.queue.clone());
        gpu.queue.on_submitted_work_done(move || {
            let _ = (inner.submit(&queue, []), inner.stats());
        });
        gpu.wait();
        gpu.wait();
        assert_eq!(submissions.stats().completed, 2);
    }

    #[test]
    fn a_lost_device_leaves_nothing_in_flight() {
        let Some(gpu) = testing::gpu("a_lost_device_leaves_nothing_in_flight") else { return };
        gpu.device.on_uncaptured_error(Arc::new(|_: wgpu::Error| {}));
        let submissions = Submissions::new(Probe::OFF);
        submissions.submit(&gpu.queue, []);
        gpu.device.destroy();
        submissions.submit(&gpu.queue, []);
        // What a lost device answers to a poll does not matter here.
        let _ = gpu.device.poll(wgpu::PollType::Poll);
        drop(gpu);
        let stats = submissions.stats();
        assert_eq!((stats.submitted, stats.in_flight), (2, 0), "{stats:?}");
        assert_eq!(stats.completed + stats.abandoned, 2);
    }

    #[test]
    fn on_a_device_without_a_gpu_submissions_complete() {
        let (_device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let submissions = Submissions::new(Probe::OFF);
        let submission = submissions.submit(&queue, []);
        submissions.submit(&queue, []);
        assert!(submissions.is_done(submission.id));
    }
}
