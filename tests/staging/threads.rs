//! Rings and threads: what threads share under every schedule that shuttle tries, and rings that real threads use.
//!
//! The model compiles `shared.rs` with shuttle's lock in the place of parking_lot's. Around it are a program that writes and flushes behind a lock
//! of its own from several threads, GPUs that carry copies out when they like and tell the end from whatever thread polls, and somebody who
//! reads reports. Some buffers cannot be mapped again, the commands of some flushes are dropped, and a write that finds no buffer ready either flushes
//! and tries again, or waits for the buffer that was flushed first: then it polls itself too.

#[path = "../../src/resources/staging/shared.rs"]
mod shared;

/// shuttle's lock, in parking_lot's words.
mod sync {
    pub(super) use shuttle::sync::MutexGuard;
    pub(super) use shuttle::sync::atomic::{AtomicU64, Ordering};

    pub(super) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(super) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(super) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine_vitals::contract::{StagingRingReport, Store, StoreReport};
use engine_vitals::resources::staging::plan::{
    self, Copy, Destination, Flush, Landing, PlanConfig, Refused, StalledOn,
};
use engine_vitals::resources::staging::{StagingConfig, StagingRing, StallPolicy};
use engine_vitals::{Probe, Tracker};
use shuttle::rand::Rng as _;
use shuttle::sync::mpsc::TryRecvError;

use self::shared::{Returning, Shared};
use crate::kit::{self, Gpu, LONG, Random};

const WRITERS: u64 = 2;
const WRITES: u64 = 4;
const BYTES: u64 = 24;

/// Memory of the staging buffers and of the one destination. Each copy is carried out byte by byte, as memory is.
struct Memory {
    staging: Vec<sync::Mutex<Staging>>,
    destination: sync::Mutex<Vec<u8>>,
    /// Of the destination, what was lost with dropped commands.
    lost: sync::Mutex<Vec<bool>>,
}

struct Staging {
    bytes: Vec<u8>,
    /// The program may write it.
    is_mapped: bool,
}

impl Staging {
    fn write(&mut self, at: u64, value: u8) {
        assert!(self.is_mapped, "written while it is not mapped");
        self.bytes[at as usize..][..BYTES as usize].fill(value);
    }
}

/// What the program has behind its lock: what a `StagingRing` has beside what is shared.
struct Ring {
    shared: Arc<Shared>,
    /// The last write may go on there: its buffer, its end there and at the destination; bytes and writes that the plan does not know of.
    last: Option<(u32, u64, u64)>,
    more: (u64, u64),
    memory: Arc<Memory>,
    queue: shuttle::sync::mpsc::Sender<Flight>,
    /// The device's end of the queue, for who polls.
    flights: Arc<Flights>,
    /// A write that finds no buffer ready waits for one.
    waits: bool,
}

type Flights = sync::Mutex<shuttle::sync::mpsc::Receiver<Flight>>;

/// A submission on its way, or a buffer that is mapped.
struct Flight {
    copies: Vec<Copy>,
    returning: Vec<(u32, Returning)>,
    fate: Fate,
}

/// What becomes of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrives,
    /// It arrives, and its buffers cannot be mapped again.
    CannotBeMapped,
    /// Its commands are dropped.
    IsDropped,
}

impl Ring {
    fn write(&mut self, value: u8, to: u64) -> bool {
        if let Some((buffer, end, goes)) = self.last
            && goes == to
            && end + BYTES <= 64
        {
            self.memory.staging[buffer as usize].lock().write(end, value);
            self.last = Some((buffer, end + BYTES, to + BYTES));
            self.more = (self.more.0 + BYTES, self.more.1 + 1);
            self.shared.went_on(self.more.0, self.more.1);
            return true;
        }
        self.tell();
        self.collect();
        let mut state = self.shared.lock();
        let reserved = match state.plan.reserve(BYTES, 4, to % 4) {
            Ok(reserved) => reserved,
            Err(Refused::Stalled { may_grow: false, oldest, on }) => {
                state.plan.stalled(std::time::Duration::ZERO);
                drop(state);
                if let (true, Some(oldest)) = (self.waits, oldest) {
                    // For a moment it is taken for forgotten where another thread tells of a later flush first.
                    assert_ne!(on, StalledOn::AFlush);
                    self.wait(oldest);
                }
                return false;
            }
            Err(refused) => panic!("{refused}"),
        };
        if reserved.offset < 4 {
            state.begin(reserved.buffer, to, Location::caller());
        }
        state.plan.copy(reserved, Destination { buffer: 0, offset: to });
        drop(state);
        self.memory.staging[reserved.buffer as usize].lock().write(reserved.offset, value);
        self.last = Some((reserved.buffer, reserved.offset + BYTES, to + BYTES));
        true
    }

    fn tell(&mut self) {
        let (bytes, writes) = std::mem::take(&mut self.more);
        if let Some((buffer, ..)) = self.last.take()
            && writes > 0
        {
            assert!(self.shared.tell(buffer, bytes, writes));
        }
    }

    fn flush(&mut self) {
        self.tell();
        self.collect();
        let mut flush = Flush::default();
        if !self.shared.lock().plan.flush(&mut flush) {
            return;
        }
        for &buffer in &flush.buffers {
            self.memory.staging[buffer as usize].lock().is_mapped = false;
        }
        let returning = |&buffer| (buffer, Returning::new(&self.shared, buffer, flush.number));
        let returning = flush.buffers.iter().map(returning).collect();
        let fate = match shuttle::rand::thread_rng().gen_range(0..6) {
            0 => Fate::CannotBeMapped,
            1 => Fate::IsDropped,
            _ => Fate::Arrives,
        };
        let flight = Flight { returning, copies: std::mem::take(&mut flush.copies), fate };
        self.queue.send(flight).unwrap();
        self.shared.lock().plan.submitted(|_| ());
    }

    /// Until that buffer has landed. Whoever polls hears of what the GPU is done with, unless another thread is about to tell.
    fn wait(&mut self, oldest: u32) {
        while self.shared.lock().plan.is_in_flight(oldest) {
            let next = self.flights.lock().try_recv();
            match next {
                Ok(flight) => flight.carry_out(&self.memory),
                Err(_) => shuttle::thread::yield_now(),
            }
            self.collect();
        }
    }

    fn collect(&mut self) {
        let mut from = 0;
        loop {
            let next = self.shared.lock().plan.next_landed(from);
            let Some((buffer, landing)) = next else { return };
            from = buffer + 1;
            match landing {
                Landing::Mapped => assert!(self.shared.lock().plan.ready(buffer)),
                // It is made anew.
                Landing::Failed => {
                    *self.memory.staging[buffer as usize].lock() = Staging { bytes: vec![0; 64], is_mapped: true };
                    assert!(self.shared.lock().plan.ready(buffer));
                }
                Landing::Dropped => {
                    let flush = self.shared.lock().plan.remapping(buffer).unwrap();
                    let returning = vec![(buffer, Returning::new(&self.shared, buffer, flush))];
                    self.queue.send(Flight { copies: Vec::new(), returning, fate: Fate::Arrives }).unwrap();
                }
            }
        }
    }
}

impl Flight {
    fn carry_out(self, memory: &Memory) {
        for copy in &self.copies {
            let Copy::Buffer(copy) = copy else { unreachable!("no other copies were asked for") };
            let (at, bytes) = (copy.to.offset as usize, copy.from.bytes as usize);
            if self.fate == Fate::IsDropped {
                memory.lost.lock()[at..at + bytes].fill(true);
                continue;
            }
            let staging = memory.staging[copy.from.buffer as usize].lock();
            let staged = staging.bytes[copy.from.offset as usize..][..bytes].to_vec();
            drop(staging);
            memory.destination.lock()[at..at + bytes].copy_from_slice(&staged);
        }
        for (buffer, returning) in self.returning {
            match self.fate {
                Fate::Arrives => {
                    memory.staging[buffer as usize].lock().is_mapped = true;
                    returning.mapped(true);
                }
                Fate::CannotBeMapped => returning.mapped(false),
                Fate::IsDropped => drop(returning),
            }
        }
    }
}

fn report(shared: &Shared) -> StagingRingReport {
    match shared.report() {
        StoreReport::StagingRing(report) => report,
        other => panic!("not a ring: {other:?}"),
    }
}

/// One program under one schedule.
fn model(waits: bool) {
    let config = PlanConfig {
        buffers: 2,
        buffer_bytes: 64,
        most_buffers: 2,
        most_dedicated_bytes: 0,
        largest_dedicated_bytes: 0,
        quiet_ticks: 100,
    };
    let shared = Arc::new(Shared::new("model", config));
    let memory = Arc::new(Memory {
        staging: (0..2).map(|_| sync::Mutex::new(Staging { bytes: vec![0; 64], is_mapped: true })).collect(),
        destination: sync::Mutex::new(vec![0; (WRITERS * WRITES * BYTES) as usize]),
        lost: sync::Mutex::new(vec![false; (WRITERS * WRITES * BYTES) as usize]),
    });
    let (queue, flights) = shuttle::sync::mpsc::channel::<Flight>();
    let flights: Arc<Flights> = Arc::new(sync::Mutex::new(flights));
    let ring = Arc::new(sync::Mutex::new(Ring {
        shared: Arc::clone(&shared),
        last: None,
        more: (0, 0),
        memory: Arc::clone(&memory),
        queue,
        flights: Arc::clone(&flights),
        waits,
    }));
    // Two that poll: submissions end in any order.
    let gpus: Vec<_> = (0..2)
        .map(|_| {
            let (flights, memory) = (Arc::clone(&flights), Arc::clone(&memory));
            shuttle::thread::spawn(move || {
                loop {
                    let next = flights.lock().try_recv();
                    match next {
                        Ok(flight) => flight.carry_out(&memory),
                        Err(TryRecvError::Empty) => shuttle::thread::yield_now(),
                        Err(TryRecvError::Disconnected) => return,
                    }
                }
            })
        })
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let ring = Arc::clone(&ring);
            shuttle::thread::spawn(move || {
                for write in 0..WRITES {
                    let number = writer * WRITES + write;
                    loop {
                        if ring.lock().write(number as u8 + 1, number * BYTES) {
                            break;
                        }
                        ring.lock().flush();
                        shuttle::thread::yield_now();
                    }
                    if write % 2 == 1 {
                        ring.lock().flush();
                    }
                }
            })
        })
        .collect();
    let reader = {
        let shared = Arc::clone(&shared);
        shuttle::thread::spawn(move || {
            let mut before = StagingRingReport::default();
            for _ in 0..4 {
                let now = report(&shared);
                assert!(now.written_bytes >= before.written_bytes && now.copies >= before.copies);
                assert!(now.wraps >= before.wraps && now.stalls >= before.stalls);
                assert!(now.in_flight_bytes.iter().all(|&bytes| bytes <= 64));
                assert!(now.unsubmitted_bytes <= 128 && now.high_water_bytes <= 128);
                assert!(shared.unsubmitted().is_none_or(|staged| staged.bytes > 0));
                assert_eq!(now.written_bytes % BYTES, 0, "no write is seen in part");
                before = now;
            }
        })
    };
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    ring.lock().flush();
    reader.join().unwrap();
    // What was dropped is mapped again when somebody looks.
    while shared.stats().in_flight_buffers > 0 || shared.lock().plan.next_landed(0).is_some() {
        ring.lock().collect();
        shuttle::thread::yield_now();
    }
    drop(ring);
    gpus.into_iter().for_each(|gpu| gpu.join().unwrap());
    let written = (0..WRITERS * WRITES).flat_map(|number| [number as u8 + 1; BYTES as usize]);
    let lost = memory.lost.lock().clone();
    let expected: Vec<u8> = written.zip(&lost).map(|(byte, lost)| if *lost { 0 } else { byte }).collect();
    assert_eq!(*memory.destination.lock(), expected);
    let (report, stats) = (report(&shared), shared.stats());
    assert_eq!((report.written_bytes, report.in_flight_bytes), (WRITERS * WRITES * BYTES, vec![0, 0]));
    assert_eq!((report.unsubmitted_bytes, shared.unsubmitted()), (0, None));
    assert_eq!(stats.dropped_bytes, lost.into_iter().filter(|lost| *lost).count() as u64);
}

#[test]
fn what_threads_write_arrives_under_every_schedule_that_is_tried() {
    let schedules = std::env::var("ENGINE_VITALS_SOAK_SCHEDULES").map_or(400, |text| text.parse().unwrap());
    for waits in [false, true] {
        shuttle::check_random(move || model(waits), schedules / 4);
        shuttle::check_pct(move || model(waits), schedules / 4, 3);
    }
}

/// Commands of a ring that ends before they do are told to nobody, whichever comes first.
#[test]
fn a_ring_that_ends_first_is_told_nothing() {
    shuttle::check_random(
        || {
            let config = PlanConfig {
                buffers: 1,
                buffer_bytes: 64,
                most_buffers: 1,
                most_dedicated_bytes: 0,
                largest_dedicated_bytes: 0,
                quiet_ticks: 1,
            };
            let shared = Arc::new(Shared::new("model", config));
            shared.lock().plan.reserve(4, 4, 0).unwrap();
            let mut flush = Flush::default();
            assert!(shared.lock().plan.flush(&mut flush));
            let [told, dropped] = [(); 2].map(|()| Returning::new(&shared, 0, flush.number));
            let weak = Arc::downgrade(&shared);
            let gpu = shuttle::thread::spawn(move || {
                told.mapped(true);
                drop(dropped);
                if let Some(shared) = weak.upgrade() {
                    let landed = shared.lock().plan.next_landed(0);
                    assert_eq!(landed, Some((0, Landing::Mapped)), "the first word stands");
                }
            });
            drop(shared);
            gpu.join().unwrap();
        },
        200,
    );
}

const THREADS: usize = 4;
const ROUNDS: u64 = 100;
const SHARE: usize = 4096;

fn config() -> StagingConfig {
    StagingConfig {
        ring_count: 2,
        buffer_size: 8 << 10,
        stall: StallPolicy::Grow { most_buffers: 64 },
        ..StagingConfig::default()
    }
}

/// Polls the device and reads reports until it is told to stop.
fn watch(gpu: &Gpu, tracker: &Tracker, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        gpu.device.poll(wgpu::PollType::Poll).unwrap();
        assert!(!tracker.stores().is_empty());
    }
}

#[test]
fn threads_that_share_a_ring_behind_a_lock_lose_nothing() {
    let test = "threads_that_share_a_ring_behind_a_lock_lose_nothing";
    for gpu in [Some(kit::noop()), kit::gpu(test, wgpu::Features::empty())].into_iter().flatten() {
        let tracker = Tracker::new();
        let ring = StagingRing::with_config(&gpu.device, tracker.probe(), "shared", config());
        let ring = std::sync::Mutex::new(ring);
        let target = gpu.buffer((THREADS * SHARE) as u64);
        let mut expected = vec![0; THREADS * SHARE];
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| watch(&gpu, &tracker, &stop));
            let writers: Vec<_> = expected
                .chunks_mut(SHARE)
                .enumerate()
                .map(|(thread, share)| {
                    let (ring, target, gpu) = (&ring, &target, &gpu);
                    scope.spawn(move || {
                        let mut random = Random::seeded(thread as u64);
                        for round in 0..ROUNDS {
                            let bytes = random.size(9) as usize / 4 * 4 + 4;
                            let at = random.below(((SHARE - bytes) / 4 + 1) as u64) as usize * 4;
                            let data = vec![random.next() as u8; bytes];
                            let mut ring = ring.lock().unwrap();
                            ring.write_buffer(target, (thread * SHARE + at) as u64, &data).unwrap();
                            share[at..at + bytes].copy_from_slice(&data);
                            if round % 4 == 0 {
                                let mut encoder = gpu.encoder();
                                ring.flush(&mut encoder);
                                let submission = gpu.queue.submit([encoder.finish()]);
                                ring.advance_ring(submission);
                            }
                        }
                    })
                })
                .collect();
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            stop.store(true, Ordering::Relaxed);
            watcher.join().unwrap();
        });
        let mut ring = ring.into_inner().unwrap();
        let mut encoder = gpu.encoder();
        ring.flush(&mut encoder);
        ring.advance_ring(gpu.run(encoder));
        assert!(gpu.read(&target) == expected);
        let stats = ring.stats();
        assert_eq!((stats.writes, stats.failures, stats.in_flight_bytes), (THREADS as u64 * ROUNDS, 0, 0), "{stats:?}");
    }
}

#[test]
fn a_ring_for_each_thread_needs_no_lock() {
    let Some(gpu) = kit::gpu("a_ring_for_each_thread_needs_no_lock", wgpu::Features::empty()) else { return };
    let targets: Vec<_> = (0..THREADS).map(|_| gpu.buffer(SHARE as u64)).collect();
    std::thread::scope(|scope| {
        for (thread, target) in targets.iter().enumerate() {
            let gpu = &gpu;
            scope.spawn(move || {
                let config = StagingConfig { stall: StallPolicy::Wait { timeout: LONG }, ..config() };
                let mut ring = StagingRing::with_config(&gpu.device, Probe::OFF, "own", config);
                let mut random = Random::seeded(100 + thread as u64);
                let mut expected = vec![0; SHARE];
                for _ in 0..ROUNDS {
                    let bytes = random.size(10) as usize;
                    let at = random.below((SHARE - bytes + 1) as u64) as usize;
                    let data = vec![random.next() as u8; bytes];
                    ring.write_buffer(target, at as u64, &data).unwrap();
                    expected[at..at + bytes].copy_from_slice(&data);
                    let mut encoder = gpu.encoder();
                    ring.flush(&mut encoder);
                    ring.advance_ring(gpu.queue.submit([encoder.finish()]));
                }
                gpu.wait(None);
                assert!(gpu.read(target) == expected, "thread {thread}");
                assert_eq!(ring.stats().buffers, 2);
            });
        }
    });
}

#[test]
fn a_ring_can_be_sent() {
    fn is_send<T: Send>() {}
    is_send::<StagingRing>();
}
