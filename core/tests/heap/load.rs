//! A random load on threads that come and go.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{Location, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, MutexGuard};

use super::blocks::Block;
#[cfg(target_os = "linux")]
use super::edges::Foreign;
use super::random::Random;
use super::tags::{self, Tag, Token};
use super::{Polled, wills};

/// Random operations on many threads at once, each of which ends after a while and leaves its place to a new one, while another thread
/// polls the totals.
pub(super) struct Load {
    /// Threads alive at any time.
    pub(super) threads: usize,
    /// Calls of the allocator at least, of all threads together.
    pub(super) operations: u64,
    /// Rests, in which all threads are alive and none allocates.
    pub(super) rests: u64,
    pub(super) seed: u64,
}

/// What a load did, so that a test can say that it did something.
#[derive(Debug)]
pub(super) struct Done {
    /// Threads started.
    pub(super) threads: u64,
    /// Those among them that the standard library did not start.
    pub(super) foreign: u64,
    /// Threads that ended in a panic.
    pub(super) panicked: u64,
    /// Panics that their thread survived.
    pub(super) caught: u64,
    /// Blocks handed from thread to thread.
    pub(super) crossings: u64,
    /// Readings of the totals meanwhile.
    pub(super) polls: u64,
}

impl Load {
    /// Runs it; `rest` runs in each rest. All threads are gone when it returns.
    pub(super) fn run(&self, mut rest: impl FnMut(u64)) -> Done {
        let shared = Arc::new(Shared::new(self.threads));
        let polling = Barrier::new(2);
        let mut done = Done { threads: 0, foreign: 0, panicked: 0, caught: 0, crossings: 0, polls: 0 };
        std::thread::scope(|scope| {
            let poller = scope.spawn(|| {
                let mut polls = 0;
                let mut polled = Polled::new();
                // A starting thread allocates: it has done so before the first rest.
                polling.wait();
                while !shared.over.load(Ordering::Relaxed) {
                    polled.again();
                    polls += 1;
                    std::thread::yield_now();
                }
                polls
            });
            polling.wait();
            let mut supervisor = Supervisor::new(&shared, self.seed, &mut done);
            supervisor.threads = (0..self.threads).map(|place| supervisor.start(place)).collect();
            for round in 0..self.rests {
                supervisor.until_all_rest(self.operations.div_ceil(self.rests));
                rest(round);
            }
            supervisor.end();
            done.polls = poller.join().expect("the poller panicked: see above");
        });
        done.caught = shared.caught.load(Ordering::Relaxed);
        done.crossings = shared.crossings.load(Ordering::Relaxed);
        done
    }
}

/// What the threads of a load share.
struct Shared {
    /// For the thread at each place: blocks that others give it.
    mailboxes: Vec<Mutex<Mailbox>>,
    /// Calls that nobody has set out to make yet, in this round.
    open: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
    over: AtomicBool,
    crossings: AtomicU64,
    caught: AtomicU64,
}

/// Blocks for a thread, and the scope in which the last of the givers was.
#[derive(Default)]
struct Mailbox {
    blocks: Vec<Block>,
    token: Option<Token>,
}

struct State {
    round: u64,
    resting: usize,
    /// Places whose thread has ended or is about to. As many as there are places, so that it never grows.
    vacant: Vec<usize>,
}

impl Shared {
    fn new(threads: usize) -> Self {
        let state = State { round: 0, resting: 0, vacant: Vec::with_capacity(threads) };
        Self {
            mailboxes: (0..threads).map(|_| Mutex::default()).collect(),
            open: AtomicU64::new(0),
            state: Mutex::new(state),
            changed: Condvar::new(),
            over: AtomicBool::new(false),
            crossings: AtomicU64::new(0),
            caught: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics under this lock")
    }

    /// Sets out to make some calls, if any are left in this round.
    fn takes_some(&self) -> Option<u64> {
        const SOME: u64 = 128;
        let take = |open: u64| (open > 0).then(|| open.saturating_sub(SOME));
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok().map(|open| open.min(SOME))
    }

    /// Waits for the next round. Allocates nothing.
    fn rest(&self) {
        let mut state = self.state();
        let round = state.round;
        state.resting += 1;
        self.changed.notify_all();
        while state.round == round {
            state = self.changed.wait(state).expect("nobody panics under this lock");
        }
    }
}

/// Threads that may be leaving before one of them is waited for.
const LEAVING: usize = 16;

/// Starts threads, and others in their places when they end.
struct Supervisor<'a> {
    shared: &'a Arc<Shared>,
    seed: u64,
    done: &'a mut Done,
    /// One at each place.
    threads: Vec<Thread>,
    /// Those that have left their places, whose thread-locals may live still.
    leaving: VecDeque<Thread>,
}

enum Thread {
    Std(std::thread::JoinHandle<()>),
    #[cfg(target_os = "linux")]
    Foreign(Foreign),
}

impl Thread {
    fn join(self) -> Result<(), Box<dyn Any + Send>> {
        match self {
            Self::Std(thread) => thread.join(),
            #[cfg(target_os = "linux")]
            Self::Foreign(thread) => thread.join(),
        }
    }
}

impl<'a> Supervisor<'a> {
    fn new(shared: &'a Arc<Shared>, seed: u64, done: &'a mut Done) -> Self {
        Self { shared, seed, done, threads: Vec::new(), leaving: VecDeque::new() }
    }

    fn start(&mut self, place: usize) -> Thread {
        self.done.threads += 1;
        let shared = Arc::clone(self.shared);
        let seed = Random::new(self.seed << 32 | self.done.threads).next();
        let life = move || {
            // Declared first, and so the last to go.
            let _leaving = Leaving { shared: &shared, place };
            Worker { random: Random::new(seed), blocks: Vec::new(), shared: &shared, place }.live();
        };
        #[cfg(target_os = "linux")]
        if self.done.threads.is_multiple_of(8) {
            self.done.foreign += 1;
            return Thread::Foreign(Foreign::start(life));
        }
        Thread::Std(std::thread::spawn(life))
    }

    /// Lets the threads make so many calls, then waits until all of them rest.
    fn until_all_rest(&mut self, calls: u64) {
        self.shared.open.store(calls, Ordering::Relaxed);
        self.next_round();
        loop {
            let mut state = self.shared.state();
            while state.vacant.is_empty() && state.resting < self.threads.len() {
                state = self.shared.changed.wait(state).expect("nobody panics under this lock");
            }
            let vacant = state.vacant.pop();
            drop(state);
            let Some(place) = vacant else { break };
            // The next begins while the last is still leaving, and may take over what it gives up.
            let next = self.start(place);
            self.leaving.push_back(std::mem::replace(&mut self.threads[place], next));
            if self.leaving.len() > LEAVING {
                self.join_one();
            }
        }
        while self.join_one() {}
    }

    /// Ends all threads.
    fn end(mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        self.next_round();
        self.leaving.extend(self.threads.drain(..));
        while self.join_one() {}
    }

    fn next_round(&self) {
        let mut state = self.shared.state();
        state.round += 1;
        state.resting = 0;
        self.shared.changed.notify_all();
    }

    /// Waits until one that is leaving is gone, and its thread-locals with it.
    fn join_one(&mut self) -> bool {
        let Some(thread) = self.leaving.pop_front() else { return false };
        if let Err(panic) = thread.join() {
            assert!(panic.is::<Planned>(), "a thread panicked: see above");
            self.done.panicked += 1;
        }
        true
    }
}

/// Says at the end of a thread's function, panic or not, that its place is free.
struct Leaving<'a> {
    shared: &'a Shared,
    place: usize,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.shared.state().vacant.push(self.place);
        self.shared.changed.notify_all();
    }
}

/// A panic that belongs to the load.
pub(super) struct Planned {
    reason: String,
}

impl Planned {
    fn panic(random: &mut Random) -> ! {
        panic_any(Self { reason: format!("planned, number {}", random.next()) })
    }

    /// What a hook does that reports: it allocates, while the thread panics.
    pub(super) fn told_to_the_hook(&self, at: Option<&Location<'_>>) {
        let mut report = format!("{} at {at:?}", self.reason);
        report.push_str(" and more than fits");
        std::hint::black_box(report);
    }
}

/// A thread at its work.
struct Worker<'a> {
    random: Random,
    blocks: Vec<Block>,
    shared: &'a Shared,
    place: usize,
}

impl Worker<'_> {
    /// From a few calls to some thousand.
    fn live(mut self) {
        let bits = 6 + self.random.below(9);
        let mut left = 1 + self.random.below(1 << bits);
        if self.random.once_in(2) {
            wills::FIRST.with(|will| will.leave(Block::new(&mut self.random)));
        }
        while left > 0 && !self.shared.over.load(Ordering::Relaxed) {
            let Some(calls) = self.shared.takes_some() else {
                self.shared.rest();
                continue;
            };
            let mut made = 0;
            while made < calls {
                made += self.step();
            }
            left = left.saturating_sub(made);
        }
        if self.random.once_in(2) {
            let will = if self.random.once_in(2) { &wills::MIDDLE } else { &wills::LAST };
            will.with(|will| self.blocks.drain(..).take(3).for_each(|block| will.leave(block)));
        }
        if self.random.once_in(4) {
            Planned::panic(&mut self.random);
        }
    }

    /// One thing of many: how many calls of the allocator it made, at least.
    fn step(&mut self) -> u64 {
        match self.random.below(2_048) {
            0 => self.in_vain(),
            1 => self.panic_and_survive(),
            2..8 => {
                std::thread::yield_now();
                0
            }
            8..24 => self.give(),
            24..40 => self.take(),
            40..500 => self.with_one(|block, random| {
                // A block keeps its tag.
                let _other = Tag::any(random).enter();
                block.resize(random);
            }),
            500..1_300 => self.make(),
            _ => self.free(),
        }
    }

    fn make(&mut self) -> u64 {
        if self.blocks.len() > 300 {
            self.blocks.truncate(100);
        }
        self.blocks.push(Block::new(&mut self.random));
        1
    }

    fn free(&mut self) -> u64 {
        if self.blocks.is_empty() {
            return self.make();
        }
        let index = self.random.below(self.blocks.len() as u64) as usize;
        self.blocks.swap_remove(index);
        1
    }

    fn with_one(&mut self, act: impl FnOnce(&mut Block, &mut Random)) -> u64 {
        let count = self.blocks.len() as u64;
        if count == 0 {
            return self.make();
        }
        act(&mut self.blocks[self.random.below(count) as usize], &mut self.random);
        1
    }

    fn in_vain(&mut self) -> u64 {
        Block::new_in_vain(&mut self.random);
        1 + self.with_one(|block, random| block.resize_in_vain(random))
    }

    fn panic_and_survive(&mut self) -> u64 {
        let mut random = Random::new(self.random.next());
        let caught = catch_unwind(move || {
            tags::among_panics(|| {
                let _freed_by_unwinding = [Block::new(&mut random), Block::new(&mut random)];
                Planned::panic(&mut random);
            });
        });
        assert!(caught.is_err_and(|panic| panic.is::<Planned>()));
        self.shared.caught.fetch_add(1, Ordering::Relaxed);
        4
    }

    /// Gives some blocks to another thread, unless that has enough, or is at its mailbox.
    fn give(&mut self) -> u64 {
        let places = self.shared.mailboxes.len();
        let other = (self.place + 1 + self.random.below(places as u64 - 1) as usize) % places;
        if let Ok(mut mailbox) = self.shared.mailboxes[other].try_lock()
            && mailbox.blocks.len() < 100
        {
            let kept = self.blocks.len() - self.blocks.len().min(20);
            mailbox.blocks.extend(self.blocks.drain(kept..));
            let _scope = Tag::any(&mut self.random).enter();
            mailbox.token = Some(Token::here());
        }
        0
    }

    /// Takes what others have given: from here on it is this thread that resizes and frees it.
    fn take(&mut self) -> u64 {
        let Ok(mut mailbox) = self.shared.mailboxes[self.place].try_lock() else { return 0 };
        self.shared.crossings.fetch_add(mailbox.blocks.len() as u64, Ordering::Relaxed);
        self.blocks.append(&mut mailbox.blocks);
        let Some(token) = mailbox.token.take() else { return 0 };
        drop(mailbox);
        let block = {
            let _scope = token.enter();
            Block::of_this_scope(&mut self.random)
        };
        self.blocks.push(block);
        1
    }
}
