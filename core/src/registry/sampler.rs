//! The sampler thread: runs monitors that cost too much for the frame.
//!
//! One worker runs the jobs as they fall due. A job that hangs holds up its worker alone: whoever next updates or reads the registry sees
//! that others are overdue and starts another worker, up to [`MOST_WORKERS`].

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use web_time::Instant;

use super::entry::{Entry, guarded};
use crate::log::warning;
use crate::memory::HeapTag;

const MOST_WORKERS: usize = 8;
/// A job so late, with no worker idle, asks for another worker.
const LATE: Duration = Duration::from_millis(250);
/// How long dropping the registry waits for its workers. One that hangs in a monitor is left behind.
const FAREWELL: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(super) struct Sampler {
    pool: Arc<Pool>,
}

#[derive(Debug, Default)]
struct Pool {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: Vec<Job>,
    workers: usize,
    idle: usize,
    stopping: bool,
}

#[derive(Debug)]
struct Job {
    entry: Arc<Entry>,
    due: Instant,
    running: bool,
}

impl Sampler {
    /// Has the sampler thread run an entry from now on, until it is not sampled or not registered any more.
    pub(super) fn schedule(&self, entry: &Arc<Entry>, due: Instant) {
        let mut state = self.pool.state.lock();
        if state.jobs.iter().any(|job| job.entry.key == entry.key) {
            return;
        }
        state.jobs.push(Job { entry: Arc::clone(entry), due, running: false });
        if state.workers == 0 {
            self.start_worker(&mut state);
        }
        drop(state);
        self.pool.changed.notify_one();
    }

    /// Lets an entry go at once that is not registered any more, however far off its next run is. One that runs is let go afterwards.
    pub(super) fn forget(&self, entry: &Arc<Entry>) {
        let mut state = self.pool.state.lock();
        let gone = state.jobs.iter().position(|job| !job.running && job.entry.key == entry.key);
        let gone = gone.map(|index| state.jobs.swap_remove(index));
        drop(state);
        drop(gone);
    }

    /// Starts another worker if a job is overdue because every worker is held up.
    pub(super) fn attend(&self, now: Instant) {
        let mut state = self.pool.state.lock();
        let late = state.jobs.iter().any(|job| !job.running && now.saturating_duration_since(job.due) > LATE);
        if late && state.idle == 0 {
            self.start_worker(&mut state);
        }
    }

    fn start_worker(&self, state: &mut State) {
        if state.workers >= MOST_WORKERS || state.stopping {
            return;
        }
        let pool = Arc::clone(&self.pool);
        match std::thread::Builder::new().name("vitals-sampler".to_owned()).spawn(move || {
            let _own = HeapTag::OWN.enter();
            pool.work();
        }) {
            Ok(_) => state.workers += 1,
            Err(error) => warning!("cannot start a sampler thread: {error}; sampled figures stay absent"),
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock();
        state.stopping = true;
        // Monitors are dropped without the lock: that is their code.
        let jobs = std::mem::take(&mut state.jobs);
        self.pool.changed.notify_all();
        drop(state);
        drop(jobs);
        let mut state = self.pool.state.lock();
        let until = Instant::now() + FAREWELL;
        while state.workers > 0
            && !self.pool.changed.wait_for(&mut state, until.saturating_duration_since(Instant::now())).timed_out()
        {
        }
    }
}

impl Pool {
    fn work(&self) {
        let mut state = self.state.lock();
        while !state.stopping {
            let kept = |job: &Job| job.running || (job.entry.is_registered() && job.entry.is_sampled());
            if let Some(index) = state.jobs.iter().position(|job| !kept(job)) {
                let job = state.jobs.swap_remove(index);
                drop(state);
                // The last to hold the monitor may be this one, and dropping it is the monitor's code.
                let _ = guarded(|| drop(job));
                state = self.state.lock();
                continue;
            }
            let next = state.jobs.iter_mut().filter(|job| !job.running).min_by_key(|job| job.due);
            let now = Instant::now();
            match next {
                Some(job) if job.due <= now => {
                    job.running = true;
                    let entry = Arc::clone(&job.entry);
                    drop(state);
                    entry.run(now);
                    let (key, interval) = (entry.key, entry.interval());
                    let _ = guarded(|| drop(entry));
                    state = self.state.lock();
                    if let Some(job) = state.jobs.iter_mut().find(|job| job.entry.key == key) {
                        job.running = false;
                        job.due = Instant::now() + interval;
                    }
                }
                next => {
                    let due = next.map(|job| job.due);
                    if state.idle > 0 {
                        // Another worker waits for what falls due: this one was an addition and is not needed any more.
                        break;
                    }
                    state.idle += 1;
                    match due {
                        Some(due) => drop(self.changed.wait_for(&mut state, due.saturating_duration_since(now))),
                        None => self.changed.wait(&mut state),
                    }
                    state.idle -= 1;
                }
            }
        }
        state.workers -= 1;
        self.changed.notify_all();
    }
}
