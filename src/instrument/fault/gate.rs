//! Holds back the ends of submissions, and of what comes after them, until they may be told.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How something ended of which the program is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::instrument) enum Ended {
    /// It is done.
    Done,
    /// It was held back until its device was lost or its queue dropped, or was called off.
    Lost,
}

/// Tells the program.
pub(in crate::instrument) trait Tell: FnOnce(Ended) + wgpu::WasmNotSend + 'static {}

impl<T: FnOnce(Ended) + wgpu::WasmNotSend + 'static> Tell for T {}

/// The order in which a device's ends are told. Submissions have increasing numbers. While nothing is held it passes all on.
pub(in crate::instrument) struct Gate {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Default)]
struct State {
    /// This submission and those after it are held.
    held_from: Option<u64>,
    /// No more are held; those from this number on were when it closed.
    closed: Option<Closed>,
    waiting: VecDeque<Waiting>,
    /// A thread is telling.
    telling: bool,
}

struct Closed {
    lost_from: u64,
}

struct Waiting {
    /// The submission after which it is to be told.
    after: u64,
    /// The buffer whose mapping it is.
    buffer: Option<BufferId>,
    tell: Box<dyn Tell>,
}

/// Tells buffers apart, and keeps none: neither a buffer that waits for itself nor wgpu's types in a plan's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BufferId(u64);

impl BufferId {
    /// wgpu hashes the identity of the object.
    pub(super) fn of(buffer: &wgpu::Buffer) -> Self {
        Self(BuildHasherDefault::<DefaultHasher>::default().hash_one(buffer))
    }
}

impl State {
    fn holds(&self, number: u64) -> bool {
        self.held_from.is_some_and(|held_from| held_from <= number)
    }

    fn ended(&self, after: u64) -> Ended {
        if self.closed.as_ref().is_some_and(|closed| closed.lost_from <= after) { Ended::Lost } else { Ended::Done }
    }
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), released: Condvar::new() }
    }

    /// Holds the submission of that number and all after it.
    pub(super) fn hold(&self, number: u64) {
        let mut state = self.state.lock();
        if state.closed.is_none() {
            state.held_from = Some(state.held_from.map_or(number, |held_from| held_from.min(number)));
        }
    }

    /// Whether a submission is held: the one of that number, or any.
    pub(super) fn holds(&self, number: Option<u64>) -> bool {
        self.state.lock().holds(number.unwrap_or(u64::MAX))
    }

    /// What was held may be told.
    pub(super) fn release(&self) {
        self.state.lock().held_from = None;
        self.released.notify_all();
    }

    /// What was held is lost and may be told so; nothing is held any more.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        let lost_from = state.held_from.take().unwrap_or(u64::MAX);
        state.closed.get_or_insert(Closed { lost_from });
        drop(state);
        self.released.notify_all();
    }

    /// Waits until the submission of that number, or any, is no longer held. False if it still is when the time is over.
    pub(super) fn wait(&self, number: Option<u64>, limit: Duration) -> bool {
        let mut state = self.state.lock();
        let holds = |state: &mut State| state.holds(number.unwrap_or(u64::MAX));
        // A thread of the web cannot wait.
        if !cfg!(target_arch = "wasm32") {
            self.released.wait_while_for(&mut state, holds, limit);
        }
        !holds(&mut state)
    }

    /// Something that comes after a submission has ended: it is told at once, or when what is before it may be.
    pub(super) fn ended(&self, after: u64, buffer: Option<BufferId>, tell: Box<dyn Tell>) {
        let mut state = self.state.lock();
        if state.telling || !state.waiting.is_empty() || state.holds(after) {
            state.waiting.push_back(Waiting { after, buffer, tell });
        } else {
            let ended = state.ended(after);
            drop(state);
            tell(ended);
        }
    }

    /// Tells all that may be told, in order. No lock is held meanwhile.
    pub(super) fn tell(&self) {
        let mut state = self.state.lock();
        if state.telling {
            return;
        }
        while let Some(first) = state.waiting.pop_front() {
            if state.holds(first.after) {
                state.waiting.push_front(first);
                break;
            }
            let ended = state.ended(first.after);
            state.telling = true;
            drop(state);
            let telling = Telling(self);
            (first.tell)(ended);
            drop(telling);
            state = self.state.lock();
        }
    }

    /// The mapping of that buffer is called off, if it waits.
    pub(super) fn call_off(&self, buffer: BufferId) {
        let mut state = self.state.lock();
        let place = state.waiting.iter().position(|waiting| waiting.buffer == Some(buffer));
        let called_off = place.and_then(|place| state.waiting.remove(place));
        drop(state);
        if let Some(Waiting { tell, .. }) = called_off {
            tell(Ended::Lost);
        }
    }
}

/// Ends the telling, by a panic too.
struct Telling<'a>(&'a Gate);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.0.state.lock().telling = false;
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        out.debug_struct("Gate")
            .field("held_from", &state.held_from)
            .field("waiting", &state.waiting.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    type Told = Arc<Mutex<Vec<(u64, Ended)>>>;

    fn end(gate: &Gate, told: &Told, number: u64) {
        let told = Arc::clone(told);
        gate.ended(number, None, Box::new(move |ended| told.lock().push((number, ended))));
    }

    #[test]
    fn what_is_held_is_told_in_order_after_its_release() {
        let (gate, told) = (Gate::new(), Told::default());
        end(&gate, &told, 1);
        gate.hold(3);
        (2..=5).for_each(|number| end(&gate, &told, number));
        gate.tell();
        assert_eq!(*told.lock(), [(1, Ended::Done), (2, Ended::Done)]);
        assert_eq!((gate.holds(None), gate.holds(Some(2)), gate.holds(Some(3))), (true, false, true));
        assert!(!gate.wait(Some(4), Duration::from_millis(1)));
        assert!(gate.wait(Some(2), Duration::from_secs(60)));
        gate.release();
        assert!(gate.wait(None, Duration::MAX));
        end(&gate, &told, 6);
        assert_eq!(told.lock().len(), 2, "told by tell() only, in order");
        gate.tell();
        assert_eq!(told.lock()[2..], [3, 4, 5, 6].map(|number| (number, Ended::Done)));
    }

    #[test]
    fn what_is_held_when_it_closes_is_lost() {
        let (gate, told) = (Gate::new(), Told::default());
        gate.hold(2);
        (1..=2).for_each(|number| end(&gate, &told, number));
        gate.close();
        gate.tell();
        gate.hold(4);
        (3..=4).for_each(|number| end(&gate, &told, number));
        assert_eq!(*told.lock(), [(1, Ended::Done), (2, Ended::Lost), (3, Ended::Lost), (4, Ended::Lost)]);
    }

    #[test]
    fn what_is_told_may_end_more_and_hold_again() {
        let (gate, told) = (Arc::new(Gate::new()), Told::default());
        gate.hold(1);
        {
            let (gate, told) = (Arc::clone(&gate), Arc::clone(&told));
            gate.clone().ended(
                1,
                None,
                Box::new(move |_| {
                    gate.hold(3);
                    gate.tell();
                    (2..=3).for_each(|number| end(&gate, &told, number));
                }),
            );
        }
        gate.release();
        gate.tell();
        assert_eq!(*told.lock(), [(2, Ended::Done)]);
        gate.release();
        gate.tell();
        assert_eq!(*told.lock(), [(2, Ended::Done), (3, Ended::Done)]);
    }

    #[test]
    fn a_release_wakes_who_waits() {
        let gate = Gate::new();
        gate.hold(1);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.wait(Some(1), Duration::from_secs(60)));
            gate.release();
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn a_panic_in_what_is_told_stops_no_other() {
        let (gate, told) = (Gate::new(), Told::default());
        gate.hold(1);
        gate.ended(1, None, Box::new(|_| panic!("planted")));
        end(&gate, &told, 1);
        gate.release();
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| gate.tell())).is_err());
        gate.tell();
        assert_eq!(*told.lock(), [(1, Ended::Done)]);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Submit,
        SubmitHeld,
        Release,
        Tell,
        Close,
    }

    proptest! {
        /// Each end is told once, in order, and none of a held submission before its release.
        #[test]
        fn ends_are_told_once_and_in_order(
            steps in prop::collection::vec(
                prop::sample::select(vec![Step::Submit, Step::Submit, Step::SubmitHeld, Step::Release, Step::Tell, Step::Close]),
                0..40,
            ),
        ) {
            let (gate, told) = (Gate::new(), Told::default());
            let (mut number, mut held, mut closed) = (0, None, false);
            for step in steps {
                match step {
                    Step::Submit | Step::SubmitHeld => {
                        number += 1;
                        if matches!(step, Step::SubmitHeld) {
                            gate.hold(number);
                            held = held.or((!closed).then_some(number));
                        }
                        end(&gate, &told, number);
                    }
                    Step::Release => {
                        gate.release();
                        held = None;
                    }
                    Step::Tell => gate.tell(),
                    Step::Close => {
                        gate.close();
                        (held, closed) = (None, true);
                    }
                }
                let last = told.lock().last().map_or(0, |(number, _)| *number);
                prop_assert!(held.is_none_or(|held: u64| last < held), "{held:?} {:?}", told.lock());
            }
            gate.close();
            gate.tell();
            let told: Vec<_> = told.lock().iter().map(|(number, _)| *number).collect();
            prop_assert_eq!(told, (1..=number).collect::<Vec<_>>());
        }
    }
}
