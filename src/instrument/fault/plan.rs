//! The plan: the schedule of faults, shared by the program and by what it is given to.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::gate::Gate;
use super::schedule::{Call, Fault, FaultCount, Rule, Schedule};

/// Which calls fail, and how. Cheap to clone; clones share everything, so that a test keeps one to steer by and to read.
///
/// The same seed, rules and sequence of calls give the same faults; where threads make calls at the same time, their order
/// counts. All methods may be called from any thread.
#[derive(Clone)]
pub struct FaultPlan {
    shared: Arc<Shared>,
}

struct Shared {
    armed: AtomicBool,
    schedule: Mutex<Schedule>,
    wait_limit: Mutex<Duration>,
    /// Those of the devices that have the plan.
    gates: Mutex<Vec<Weak<Gate>>>,
}

impl FaultPlan {
    /// A plan in which nothing fails yet. It is armed. The seed is that of [`When::Probability`](super::When::Probability).
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                armed: AtomicBool::new(true),
                schedule: Mutex::new(Schedule::new(seed)),
                wait_limit: Mutex::new(Duration::from_secs(5)),
                gates: Mutex::default(),
            }),
        }
    }

    /// Calls fail by this rule too, from now on. Of several rules that would fail a call, the one added first does.
    #[must_use]
    pub fn fail(self, rule: Rule) -> Self {
        self.shared.schedule.lock().add(rule);
        self
    }

    /// The longest that a `Device::poll` waits for a submission that is held ([`Fault::Stall`]), whatever its own timeout; then it
    /// gives `PollError::Timeout`. Default: 5 s.
    #[must_use]
    pub fn wait_limit(self, limit: Duration) -> Self {
        *self.shared.wait_limit.lock() = limit;
        self
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.shared.schedule.lock().seed()
    }

    /// Calls are seen, and fail, again. A plan begins armed.
    pub fn arm(&self) {
        self.shared.armed.store(true, Ordering::Relaxed);
    }

    /// No call is seen, and none fails, until the plan is armed again. What is [persistent](Rule::persistent) is over; what is held
    /// stays held until it is [released](Self::release).
    pub fn disarm(&self) {
        self.shared.armed.store(false, Ordering::Relaxed);
        self.shared.schedule.lock().calm();
    }

    /// Whether calls can fail.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.shared.armed.load(Ordering::Relaxed)
    }

    /// What has become of each rule, in the order in which they were added.
    #[must_use]
    pub fn counts(&self) -> Vec<FaultCount> {
        self.shared.schedule.lock().counts()
    }

    /// Calls that failed, or were made slow, by all rules.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.counts().iter().map(|count| count.failed).sum()
    }

    /// Submissions that are held ([`Fault::Stall`]) may complete, on all devices. Whoever waits in `Device::poll` goes on;
    /// callbacks come in their order from the next `Device::poll` or `Queue::submit`, as ever.
    pub fn release(&self) {
        self.gates().iter().for_each(|gate| gate.release());
    }

    /// Whether a submission is held.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.gates().iter().any(|gate| gate.holds(None))
    }

    /// What befalls a call. The thread has slept, if the call is slow.
    pub(super) fn befalls(&self, call: Call, label: Option<&str>) -> Option<Fault> {
        if !self.is_armed() {
            return None;
        }
        let verdict = self.shared.schedule.lock().decide(call, label);
        if !verdict.delay.is_zero() && !cfg!(target_arch = "wasm32") {
            std::thread::sleep(verdict.delay);
        }
        verdict.fault
    }

    /// The gate of a new device.
    pub(super) fn new_gate(&self) -> Arc<Gate> {
        let gate = Arc::new(Gate::new());
        let mut gates = self.shared.gates.lock();
        gates.retain(|gate| gate.strong_count() > 0);
        gates.push(Arc::downgrade(&gate));
        gate
    }

    /// Tells the ends that may be told, of all devices.
    pub(super) fn tell(&self) {
        self.gates().iter().for_each(|gate| gate.tell());
    }

    pub(super) fn longest_wait(&self) -> Duration {
        *self.shared.wait_limit.lock()
    }

    /// Cloned, since callbacks may make devices.
    fn gates(&self) -> Vec<Arc<Gate>> {
        self.shared.gates.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

impl fmt::Debug for FaultPlan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("FaultPlan")
            .field("seed", &self.seed())
            .field("armed", &self.is_armed())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
