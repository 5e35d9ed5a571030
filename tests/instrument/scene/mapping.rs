//! Mapping: reading and writing, parts of buffers, what is refused and with which words.

use super::Log;
use super::tools::{Gpu, panic_of, pattern};
use std::sync::{Arc, Mutex, mpsc};

const READ: wgpu::BufferUsages = wgpu::BufferUsages::MAP_READ.union(wgpu::BufferUsages::COPY_DST);
const WRITE: wgpu::BufferUsages = wgpu::BufferUsages::MAP_WRITE.union(wgpu::BufferUsages::COPY_SRC);

fn mapped_at_creation(gpu: &Gpu, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    let label = Some("mapped at creation");
    gpu.device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: true })
}

pub(super) fn stage(gpu: &Gpu, log: &mut Log<'_>) {
    // One mappable and one not, since wgpu maps them in different ways.
    for (what, usage) in [("mappable", WRITE), ("staged", wgpu::BufferUsages::COPY_SRC)] {
        let buffer = mapped_at_creation(gpu, 256, usage);
        let mut first = buffer.get_mapped_range_mut(0..64).unwrap();
        let mut last = buffer.slice(192..).get_mapped_range_mut().unwrap();
        first.copy_from_slice(&pattern(64, 1));
        last.slice(..32).copy_from_slice(&pattern(32, 2));
        log.text(&format!("{what}, lengths"), format!("{} {} {}", first.len(), last.len(), last.is_empty()));
        drop((first, last));
        let mut again = buffer.get_mapped_range_mut(64..96).unwrap();
        again.slice(8..16).copy_from_slice(&[5; 8]);
        drop(again);
        // A view that is never written leaves what is there.
        drop(buffer.get_mapped_range_mut(96..128).unwrap());
        log.step(gpu, "mapped");
        buffer.unmap();
        log.bytes(what, gpu.read(&buffer));
    }
    let buffer = gpu.buffer("written by mapping", 128, WRITE);
    map(gpu, &buffer, wgpu::MapMode::Write, 32..96).unwrap();
    buffer.get_mapped_range_mut(32..64).unwrap().copy_from_slice(&pattern(32, 3));
    let seen = buffer.get_mapped_range(32..96).unwrap().to_vec();
    log.bytes("read while mapped for writing", seen);
    buffer.unmap();
    log.bytes("written by mapping", gpu.read(&buffer));
    let readback = gpu.buffer("read by mapping", 128, READ);
    gpu.submit("copy", |encoder| encoder.copy_buffer_to_buffer(&buffer, 0, &readback, 0, None));
    map(gpu, &readback, wgpu::MapMode::Read, 0..128).unwrap();
    let (one, two) = (readback.get_mapped_range(0..64).unwrap(), readback.get_mapped_range(32..128).unwrap());
    log.bytes("overlapping views for reading", [&*one, &*two].concat());
    let exclusive = readback.get_mapped_range_mut(0..16).map(drop);
    log.text("an overlapping view for writing", refusal(exclusive));
    log.text("unmap under a view", panic_of(|| readback.unmap()));
    drop((one, two));
}

/// Ranges that would alias are refused, whichever was written to before.
pub(super) fn overlaps(gpu: &Gpu, log: &mut Log<'_>) {
    for written in [false, true] {
        let buffer = mapped_at_creation(gpu, 256, WRITE);
        let mut first = buffer.get_mapped_range_mut(0..64).unwrap();
        let second = buffer.get_mapped_range(128..192).unwrap();
        if written {
            first.copy_from_slice(&[1; 64]);
        }
        log.text("a write over a write", refusal(buffer.get_mapped_range_mut(32..96).map(drop)));
        log.text("a read over a write", refusal(buffer.get_mapped_range(0..8).map(drop)));
        log.text("a write over a read", refusal(buffer.get_mapped_range_mut(128..136).map(drop)));
        log.text("a read over a read", refusal(buffer.get_mapped_range(136..200).map(drop)));
        let between = buffer.get_mapped_range_mut(64..128);
        log.text("between them", between.as_ref().is_ok());
        between.unwrap().copy_from_slice(&[2; 64]);
        drop((first, second));
        log.text("afterwards", refusal(buffer.get_mapped_range_mut(0..256).map(drop)));
        buffer.unmap();
        log.bytes("written", gpu.read(&buffer));
    }
}

pub(super) fn failures(gpu: &Gpu, log: &mut Log<'_>) {
    let buffer = gpu.buffer("unmapped", 64, READ);
    log.text("a view of an unmapped buffer", refusal(buffer.get_mapped_range(..).map(drop)));
    map(gpu, &buffer, wgpu::MapMode::Read, 16..32).unwrap();
    log.text("a view beyond what is mapped", refusal(buffer.get_mapped_range(0..32).map(drop)));
    log.text("mapped twice", format!("{:?}", map(gpu, &buffer, wgpu::MapMode::Read, 0..16)));
    let used = gpu.invalid(|| {
        let other = gpu.buffer("other", 64, wgpu::BufferUsages::COPY_SRC);
        gpu.submit("use while mapped", |encoder| encoder.copy_buffer_to_buffer(&other, 0, &buffer, 0, None));
    });
    log.outcome("used while mapped", used);
    buffer.unmap();
    log.outcome("unmapped twice", gpu.invalid(|| buffer.unmap()));
    for (what, mode, range) in [
        ("the other mode", wgpu::MapMode::Write, 0..64),
        ("odd offset", wgpu::MapMode::Read, 3..16),
        ("odd size", wgpu::MapMode::Read, 0..7),
    ] {
        let mut result = Ok(());
        let target = gpu.buffer("mapped wrongly", 64, READ);
        let error = gpu.invalid(|| result = map(gpu, &target, mode, range));
        log.outcome(what, error);
        log.text(&format!("{what}, callback"), format!("{result:?}"));
    }
    log.outcome(
        "no usage for it",
        gpu.invalid(|| {
            let buffer = gpu.buffer("not mappable", 64, wgpu::BufferUsages::VERTEX);
            assert!(map(gpu, &buffer, wgpu::MapMode::Read, 0..64).is_err());
        }),
    );
    log.text("beyond the end", panic_of(|| buffer.slice(..128).map_async(wgpu::MapMode::Read, |_| {})));
    given_up(gpu, log);
}

/// A mapping that is given up before it is there tells its callback so, once.
fn given_up(gpu: &Gpu, log: &mut Log<'_>) {
    type GiveUp = fn(&wgpu::Buffer);
    let ways: [(&str, GiveUp); 2] = [("unmapped", wgpu::Buffer::unmap), ("destroyed", wgpu::Buffer::destroy)];
    for (what, give_up) in ways {
        let buffer = gpu.buffer("given up", 64, READ);
        let (sender, results) = mpsc::channel();
        buffer.map_async(wgpu::MapMode::Read, .., move |result| sender.send(result).unwrap());
        give_up(&buffer);
        gpu.wait();
        log.text(what, format!("{:?}", results.try_iter().collect::<Vec<_>>()));
    }
    let (sender, results) = mpsc::channel();
    let buffer = gpu.buffer("dropped", 64, READ);
    buffer.map_async(wgpu::MapMode::Read, .., move |result| sender.send(result).unwrap());
    drop(buffer);
    gpu.wait();
    log.text("dropped", format!("{:?}", results.try_iter().collect::<Vec<_>>()));
    log.step(gpu, "given up");
}

fn map(
    gpu: &Gpu,
    buffer: &wgpu::Buffer,
    mode: wgpu::MapMode,
    range: std::ops::Range<u64>,
) -> Result<(), wgpu::BufferAsyncError> {
    let (sender, result) = mpsc::channel();
    buffer.map_async(mode, range, move |result| sender.send(result).unwrap());
    gpu.wait();
    result.try_recv().unwrap()
}

fn refusal(result: Result<(), wgpu::MapRangeError>) -> String {
    result.map_or_else(|error| error.to_string(), |()| "granted".to_owned())
}

/// Mappings and callbacks that a command buffer carries.
pub(super) fn on_submit(gpu: &Gpu, log: &mut Log<'_>) {
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &str| {
        let (order, what) = (Arc::clone(&order), what.to_owned());
        move || order.lock().unwrap().push(what)
    };
    let source = gpu.filled("source", &pattern(256, 4), wgpu::BufferUsages::COPY_SRC);
    let buffers = ["by encoder", "by pass", "by compute pass"].map(|label| gpu.buffer(label, 256, READ));
    let target = super::kit::Target::new(gpu);
    let mut encoder = gpu.encoder("map on submit");
    for buffer in &buffers {
        encoder.copy_buffer_to_buffer(&source, 0, buffer, 0, None);
    }
    let mapped = |what: &str| {
        let note = note(what);
        move |result: Result<(), wgpu::BufferAsyncError>| {
            result.unwrap();
            note();
        }
    };
    encoder.on_submitted_work_done(note("work of the encoder done"));
    encoder.map_buffer_on_submit(&buffers[0], wgpu::MapMode::Read, .., mapped("encoder's buffer mapped"));
    let pass = target.pass(&mut encoder);
    pass.map_buffer_on_submit(&buffers[1], wgpu::MapMode::Read, 64..128, mapped("pass's buffer mapped"));
    pass.on_submitted_work_done(note("work of the pass done"));
    drop(pass);
    let pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    pass.map_buffer_on_submit(&buffers[2], wgpu::MapMode::Read, .., mapped("compute pass's buffer mapped"));
    drop(pass);
    let commands = encoder.finish();
    gpu.wait();
    log.text("before the submit", format!("{:?}", order.lock().unwrap()));
    gpu.queue.submit([commands]);
    note("submitted")();
    gpu.wait();
    log.step(gpu, "mapped");
    log.text("order", format!("{:?}", order.lock().unwrap()));
    log.bytes("encoder's", buffers[0].get_mapped_range(..).unwrap().to_vec());
    log.bytes("pass's", buffers[1].get_mapped_range(64..128).unwrap().to_vec());
    log.text("pass's, the rest", refusal(buffers[1].get_mapped_range(..).map(drop)));
    drop(gpu.encoder("never submitted"));
    let never = gpu.buffer("never mapped", 64, READ);
    let dropped = gpu.encoder("dropped");
    dropped.map_buffer_on_submit(&never, wgpu::MapMode::Read, .., |_| panic!("it was not submitted"));
    drop(dropped.finish());
    gpu.wait();
}
