//! Uploads of 100 MiB: a staging ring against what wgpu has for it, and against copying the bytes into memory and nothing else.
//!
//! A round is a frame: all pieces are written, their copies recorded and submitted, and the GPU is waited for. What is measured is the CPU time
//! of the thread that does it; on a software GPU the copies themselves run on other threads, and waiting takes none. All subjects write the same
//! bytes in the same pieces. Destinations are adjacent, as they are where a mesh or an array is filled, or scattered: every other piece of a
//! buffer of twice the size, from its end, so that no two copies are neighbours. The ring has three buffers and the belt chunks of the size of a
//! frame, so that no subject makes a buffer in a frame of its own accord.
//!
//! Where the copy of the bytes is nearly all there is, two subjects differ by less than a machine varies. So what the ring and the belt do beside the
//! copy is measured apart too: the same frames, with all calls, in which nobody writes the bytes, and with the GPU two frames behind, as it is
//! in an engine: then both rotate. Beside them, as the limit, what no way through mapped buffers of wgpu goes without, written by hand: a buffer is
//! unmapped, one copy is recorded, and it is mapped again on submission. For one piece that is all that the belt does too.
//!
//! The ring copies past the caches where a flush takes more than they hold, which these uploads do; the memcpy is whatever the system's library does.
//!
//! Before anything is timed each subject writes a few frames into a destination of zeros, which is read back and compared; what it holds and
//! allocates is taken then.
//!
//! A ring writes other memory each frame, which is a cost of its own beside one buffer that stays warm: the memcpy into three places by turns, as
//! much memory as the ring has, shows it. The targets are held against the one place.
//!
//! The targets: less than 2 ms beyond the memcpy, the spec's bar; at most 1.1 times the memcpy in all, 1.2 times with 6,400 pieces; ahead of
//! `StagingBelt` in all and in what is beside the copy; on one piece five times ahead of `Queue::write_buffer`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cpu_time::ThreadTime;
use engine_vitals::resources::staging::{StagingConfig, StagingError, StagingRing};
use engine_vitals_core::probe::Probe;
use engine_vitals_core::tracker::Tracker;

use crate::harness::{Effort, Subject, alternate, nanoseconds};
use crate::here;
use crate::report::Row;

const GROUP: &str = "staging";
const TOTAL: u64 = 100 << 20;
/// Beyond the memcpy, in milliseconds.
const BEYOND: f64 = 2.0;

struct Case {
    pieces: u64,
    about: &'static str,
    /// At most so many times the memcpy.
    of_memcpy: f64,
}

const CASES: [Case; 4] = [
    Case { pieces: 1, about: "1 x 100 MiB", of_memcpy: 1.1 },
    Case { pieces: 100, about: "100 x 1 MiB", of_memcpy: 1.1 },
    Case { pieces: 1_600, about: "1,600 x 64 KiB", of_memcpy: 1.1 },
    Case { pieces: 6_400, about: "6,400 x 16 KiB", of_memcpy: 1.2 },
];

const MEMCPY: usize = 0;
const EMPTY: usize = 1;
const ROTATING: usize = 2;
const RING: usize = 3;
const PROBED: usize = 4;
const BELT: usize = 5;
const WRITE_BUFFER: usize = 6;
/// Frames of a round in which nobody writes the bytes, and how many of them the GPU may be behind.
const BARE_FRAMES: u64 = 8;
const BEHIND: usize = 2;
/// Beside the copy: these against one another.
const BARE: [&str; 3] = ["staging ring", "StagingBelt", "by hand, the limit"];
const NAMES: [&str; 8] = [
    "memcpy alone",
    "memcpy and an empty submission",
    "memcpy, three places by turns",
    "staging ring",
    "staging ring, with a probe",
    "StagingBelt",
    "Queue::write_buffer",
    "Queue::write_buffer_with",
];

pub(super) fn run(effort: Effort) -> Result<Vec<Row>, Box<dyn Error>> {
    let Some(gpu) = Gpu::open()? else {
        eprintln!("SKIPPED: group `{GROUP}`: no GPU adapter (install mesa-vulkan-drivers)");
        return Ok(Vec::new());
    };
    // No two pieces are the same.
    let data: Vec<u8> = (0..TOTAL).map(|byte| (byte ^ (byte >> 8) ^ (byte >> 16)).wrapping_mul(7) as u8).collect();
    let mut rows = Vec::new();
    for case in &CASES {
        for scattered in [false, true] {
            // One piece has no neighbours.
            if case.pieces > 1 || !scattered {
                let places = places(case, scattered, &data);
                let pieces = Pieces::new(&places, scattered);
                rows.extend(held(&gpu, case, &pieces)?);
                rows.extend(measure(&gpu, effort, case, &pieces)?);
            }
        }
    }
    Ok(rows)
}

fn measure(gpu: &Gpu, effort: Effort, case: &Case, pieces: &Pieces<'_>) -> Result<Vec<Row>, Box<dyn Error>> {
    let tracker = Tracker::new();
    let mut uploaders: Vec<_> = (0..NAMES.len()).map(|index| gpu.uploader(index, &tracker)).collect();
    let scattered = pieces.scattered;
    let failed = RefCell::new(None);
    let subject = |(name, uploader): (&&'static str, &mut Box<dyn Uploader>)| -> f64 {
        match gpu.frames(uploader.as_mut(), pieces, 1, 0) {
            Ok(nanos) => nanos,
            Err(error) => {
                failed.replace(Some(format!("{name}: {error}")));
                f64::NAN
            }
        }
    };
    let mut subjects: Vec<_> = NAMES
        .iter()
        .zip(&mut uploaders)
        .map(|(name, uploader)| Subject::new(name, move || subject((name, &mut *uploader))))
        .collect();
    let rounds = alternate(effort, &mut subjects);
    drop(subjects);
    if let Some(error) = failed.into_inner() {
        return Err(error.into());
    }
    let about = |what: &str| case.row(what, scattered);
    let mut rows = Vec::new();
    for (index, name) in NAMES.iter().enumerate() {
        let row = Row::new(GROUP, about("upload of"), name, "ms", rounds.value(index) / 1e6);
        rows.push(match index {
            MEMCPY => row,
            RING if !scattered => row.against(NAMES[MEMCPY], rounds.ratio(index, MEMCPY)).at_most(case.of_memcpy),
            _ => row.against(NAMES[MEMCPY], rounds.ratio(index, MEMCPY)),
        });
    }
    let beyond = |index| rounds.difference(index, MEMCPY) / 1e6;
    for index in [ROTATING, RING, BELT] {
        let row = Row::new(GROUP, about("beyond the memcpy, for"), NAMES[index], "ms more", beyond(index));
        rows.push(if index == RING && !scattered { row.at_most(BEYOND) } else { row });
    }
    let ring = || Row::new(GROUP, about("upload of"), NAMES[RING], "ms", rounds.value(RING) / 1e6);
    let beside_belt = ring().against(NAMES[BELT], rounds.ratio(RING, BELT));
    rows.push(if scattered { beside_belt } else { beside_belt.at_most(1.0) });
    if case.pieces == 1 {
        rows.push(ring().against(NAMES[WRITE_BUFFER], rounds.ratio(RING, WRITE_BUFFER)).at_most(0.2));
    }
    rows.extend(beside_the_copy(gpu, effort, pieces, &about("all but the copy, for"))?);
    Ok(rows)
}

/// The ring and the belt without anybody who writes the bytes.
fn beside_the_copy(gpu: &Gpu, effort: Effort, pieces: &Pieces<'_>, case: &str) -> Result<Vec<Row>, Box<dyn Error>> {
    let [ring, belt, limit] = [0, 1, 2];
    let tracker = Tracker::new();
    let mut uploaders = [gpu.uploader(RING, &tracker), gpu.uploader(BELT, &tracker), Box::new(ByHand::new(gpu))];
    let failed = RefCell::new(None);
    let bare = Pieces { written: false, ..*pieces };
    let round = |uploader: &mut dyn Uploader| {
        gpu.frames(uploader, &bare, BARE_FRAMES, BEHIND).unwrap_or_else(|error| {
            failed.replace(Some(error));
            f64::NAN
        }) / 1e3
    };
    let round = &round;
    let mut subjects: Vec<_> = BARE
        .iter()
        .zip(&mut uploaders)
        .map(|(name, uploader)| Subject::new(name, move || round(uploader.as_mut())))
        .collect();
    let rounds = alternate(effort, &mut subjects);
    drop(subjects);
    if let Some(error) = failed.into_inner() {
        return Err(error);
    }
    let row = |index: usize| Row::new(GROUP, case, BARE[index], "us", rounds.value(index));
    let against_belt = row(ring).against(BARE[belt], rounds.ratio(ring, belt));
    let mut rows = vec![row(belt), if pieces.scattered { against_belt } else { against_belt.at_most(1.0) }];
    // It is one copy, which scattered pieces are not.
    if !pieces.scattered {
        rows.push(row(limit));
        for index in [ring, belt] {
            rows.push(row(index).against(BARE[limit], rounds.ratio(index, limit)));
        }
    }
    Ok(rows)
}

/// What each keeps while a frame is in flight, and what it allocates for it. All bytes must have arrived.
fn held(gpu: &Gpu, case: &Case, pieces: &Pieces<'_>) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::new();
    for (index, name) in NAMES.iter().enumerate().skip(RING) {
        gpu.clear()?;
        let before = gpu.allocated();
        let tracker = Tracker::new();
        let mut uploader = gpu.uploader(index, &tracker);
        for _ in 0..5 {
            gpu.frames(uploader.as_mut(), pieces, 1, 0)?;
        }
        let allocations = here::allocations();
        let mut encoder = gpu.encoder();
        uploader.write(gpu, Some(&mut encoder), pieces)?;
        let submission = gpu.queue.submit([encoder.finish()]);
        uploader.submitted(submission);
        let allocations = here::allocations() - allocations;
        if let (Some(before), Some(after)) = (before, gpu.allocated()) {
            let mebibytes = (after as f64 - before as f64) / f64::from(1 << 20);
            rows.push(Row::new(GROUP, case.row("GPU memory held,", pieces.scattered), name, "MiB", mebibytes));
        }
        let about = case.row("allocations for", pieces.scattered);
        rows.push(Row::new(GROUP, about, name, "allocations", allocations as f64));
        gpu.wait(None)?;
        if !gpu.has(pieces)? {
            return Err(format!("{name}: {}: not all bytes arrived", case.row("upload of", pieces.scattered)).into());
        }
        drop(uploader);
        gpu.wait(None)?;
    }
    Ok(rows)
}

impl Case {
    fn row(&self, what: &str, scattered: bool) -> String {
        format!("{what} {}{}", self.about, if scattered { ", scattered" } else { "" })
    }
}

/// What a frame writes.
struct Pieces<'a> {
    bytes: usize,
    /// From where in the destination, and which bytes.
    places: &'a [(u64, &'a [u8])],
    scattered: bool,
    /// Somebody writes the bytes.
    written: bool,
}

/// Where the pieces of `data` go.
fn places<'a>(case: &Case, scattered: bool, data: &'a [u8]) -> Vec<(u64, &'a [u8])> {
    let bytes = TOTAL / case.pieces;
    let place = |(index, piece)| {
        let index = index as u64;
        (bytes * if scattered { 2 * (case.pieces - 1 - index) } else { index }, piece)
    };
    data.chunks(bytes as usize).enumerate().map(place).collect()
}

impl<'a> Pieces<'a> {
    fn new(places: &'a [(u64, &'a [u8])], scattered: bool) -> Self {
        Self { bytes: places.first().map_or(0, |(_, piece)| piece.len()), places, scattered, written: true }
    }
}

/// Where commands are recorded, if anything is submitted.
type Encoder<'a> = Option<&'a mut wgpu::CommandEncoder>;
type Written = Result<(), StagingError>;

/// A way to write.
trait Uploader {
    fn write(&mut self, gpu: &Gpu, encoder: Encoder<'_>, pieces: &Pieces<'_>) -> Written;

    /// Whether there is anything to submit.
    fn submits(&self) -> bool {
        true
    }

    /// What was written is submitted.
    fn submitted(&mut self, _: wgpu::SubmissionIndex) {}
}

struct Memcpy {
    /// Places that are written by turns.
    to: VecDeque<Vec<u8>>,
    /// An empty submission goes with it.
    submits: bool,
}

impl Memcpy {
    fn boxed(places: usize, submits: bool) -> Box<dyn Uploader> {
        Box::new(Self { to: vec![vec![1; TOTAL as usize]; places].into(), submits })
    }
}

impl Uploader for Memcpy {
    fn write(&mut self, _: &Gpu, _: Encoder<'_>, pieces: &Pieces<'_>) -> Written {
        // One after the other, as a ring lays them out.
        self.to.rotate_left(1);
        if let Some(whole) = self.to.front_mut() {
            for (to, (_, piece)) in whole.chunks_mut(pieces.bytes).zip(pieces.places) {
                to.copy_from_slice(piece);
            }
            black_box(whole);
        }
        Ok(())
    }

    fn submits(&self) -> bool {
        self.submits
    }
}

impl Uploader for StagingRing {
    fn write(&mut self, gpu: &Gpu, encoder: Encoder<'_>, pieces: &Pieces<'_>) -> Written {
        for &(offset, piece) in pieces.places {
            if pieces.written {
                self.write_buffer(&gpu.destination, offset, piece)?;
            } else {
                self.reserve(piece.len() as u64, 4)?.copy_to_buffer(&gpu.destination, offset)?;
            }
        }
        if let Some(encoder) = encoder {
            self.flush(encoder);
        }
        Ok(())
    }

    fn submitted(&mut self, submission: wgpu::SubmissionIndex) {
        self.advance_ring(submission);
    }
}

struct Belt(wgpu::util::StagingBelt);

impl Uploader for Belt {
    fn write(&mut self, gpu: &Gpu, encoder: Encoder<'_>, pieces: &Pieces<'_>) -> Written {
        let Some(encoder) = encoder else { return Ok(()) };
        for &(offset, piece) in pieces.places {
            if let Some(size) = wgpu::BufferSize::new(piece.len() as u64) {
                let mut view = self.0.write_buffer(encoder, &gpu.destination, offset, size);
                if pieces.written {
                    view.copy_from_slice(piece);
                }
            }
        }
        self.0.finish_and_recall_on_submit(encoder);
        Ok(())
    }
}

/// One copy from a mapped buffer, and no more: three buffers by turns, of which the next is there whenever the GPU is two frames behind.
struct ByHand {
    buffers: VecDeque<(wgpu::Buffer, Arc<AtomicBool>)>,
}

impl ByHand {
    fn new(gpu: &Gpu) -> Self {
        let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
        let descriptor = wgpu::BufferDescriptor { label: None, size: TOTAL, usage, mapped_at_creation: true };
        let buffer = |_| (gpu.device.create_buffer(&descriptor), Arc::new(AtomicBool::new(true)));
        Self { buffers: (0..=BEHIND).map(buffer).collect() }
    }
}

impl Uploader for ByHand {
    fn write(&mut self, gpu: &Gpu, encoder: Encoder<'_>, _: &Pieces<'_>) -> Written {
        let (Some(encoder), Some((buffer, mapped))) = (encoder, self.buffers.front()) else { return Ok(()) };
        if !mapped.swap(false, Ordering::AcqRel) {
            return Err(StagingError::NoBuffer);
        }
        // Where somebody would write.
        drop(black_box(buffer.get_mapped_range_mut(..).map_err(|_| StagingError::NoBuffer)?));
        buffer.unmap();
        encoder.copy_buffer_to_buffer(buffer, 0, &gpu.destination, 0, TOTAL);
        let mapped = Arc::clone(mapped);
        encoder.map_buffer_on_submit(buffer, wgpu::MapMode::Write, .., move |result| {
            mapped.store(result.is_ok(), Ordering::Release);
        });
        self.buffers.rotate_left(1);
        Ok(())
    }
}

struct WriteBuffer;

impl Uploader for WriteBuffer {
    fn write(&mut self, gpu: &Gpu, _: Encoder<'_>, pieces: &Pieces<'_>) -> Written {
        for &(offset, piece) in pieces.places {
            gpu.queue.write_buffer(&gpu.destination, offset, piece);
        }
        Ok(())
    }
}

struct WriteBufferWith;

impl Uploader for WriteBufferWith {
    fn write(&mut self, gpu: &Gpu, _: Encoder<'_>, pieces: &Pieces<'_>) -> Written {
        for &(offset, piece) in pieces.places {
            let size = wgpu::BufferSize::new(piece.len() as u64);
            let view = size.and_then(|size| gpu.queue.write_buffer_with(&gpu.destination, offset, size));
            view.ok_or(StagingError::NoBuffer)?.copy_from_slice(piece);
        }
        Ok(())
    }
}

struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    destination: wgpu::Buffer,
}

impl Gpu {
    fn open() -> Result<Option<Self>, Box<dyn Error>> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        let Ok(adapter) = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())) else {
            return Ok(None);
        };
        let descriptor = wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))?;
        let destination = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 2 * TOTAL,
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        Ok(Some(Self { device, queue, destination }))
    }

    /// The one of that place in [`NAMES`].
    fn uploader(&self, index: usize, tracker: &Tracker) -> Box<dyn Uploader> {
        let config = StagingConfig { buffer_size: TOTAL, ..StagingConfig::default() };
        match index {
            MEMCPY => Memcpy::boxed(1, false),
            EMPTY => Memcpy::boxed(1, true),
            ROTATING => Memcpy::boxed(3, false),
            RING => Box::new(StagingRing::with_config(&self.device, Probe::OFF, "ring", config)),
            PROBED => Box::new(StagingRing::with_config(&self.device, tracker.probe(), "ring", config)),
            BELT => Box::new(Belt(wgpu::util::StagingBelt::new(self.device.clone(), TOTAL))),
            WRITE_BUFFER => Box::new(WriteBuffer),
            _ => Box::new(WriteBufferWith),
        }
    }

    /// The destination holds zeros, and nothing is under way.
    fn clear(&self) -> Result<(), wgpu::PollError> {
        let mut encoder = self.encoder();
        encoder.clear_buffer(&self.destination, 0, None);
        let submission = self.queue.submit([encoder.finish()]);
        self.wait(Some(submission))
    }

    /// Whether the pieces are where they belong.
    fn has(&self, pieces: &Pieces<'_>) -> Result<bool, Box<dyn Error>> {
        let readback = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: self.destination.size(),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = self.encoder();
        encoder.copy_buffer_to_buffer(&self.destination, 0, &readback, 0, readback.size());
        encoder.map_buffer_on_submit(&readback, wgpu::MapMode::Read, .., |_| ());
        let submission = self.queue.submit([encoder.finish()]);
        self.wait(Some(submission))?;
        let bytes = readback.get_mapped_range(..)?;
        Ok(pieces.places.iter().all(|(offset, piece)| bytes[*offset as usize..][..piece.len()] == **piece))
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// Nanoseconds of this thread for each of so many frames, of which the GPU may be some behind.
    fn frames(
        &self,
        uploader: &mut dyn Uploader,
        pieces: &Pieces<'_>,
        frames: u64,
        behind: usize,
    ) -> Result<f64, Box<dyn Error>> {
        let mut under_way = VecDeque::with_capacity(behind + 1);
        let start = ThreadTime::now();
        for _ in 0..frames {
            if !uploader.submits() {
                uploader.write(self, None, pieces)?;
                continue;
            }
            let mut encoder = self.encoder();
            uploader.write(self, Some(&mut encoder), pieces)?;
            let submission = self.queue.submit([encoder.finish()]);
            under_way.push_back(submission.clone());
            uploader.submitted(submission);
            if under_way.len() > behind {
                self.wait(under_way.pop_front())?;
            }
        }
        if !under_way.is_empty() {
            self.wait(None)?;
        }
        Ok(nanoseconds(start.elapsed()) / frames as f64)
    }

    fn wait(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<(), wgpu::PollError> {
        let timeout = Some(std::time::Duration::from_secs(60));
        self.device.poll(wgpu::PollType::Wait { submission_index, timeout })?;
        Ok(())
    }

    /// Bytes that wgpu has allocated, where it says so.
    fn allocated(&self) -> Option<u64> {
        Some(self.device.generate_allocator_report()?.total_allocated_bytes)
    }
}
