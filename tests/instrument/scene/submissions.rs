//! Waiting for submissions in all ways, and the order of callbacks.

use super::Log;
use super::tools::{Gpu, pattern};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn index(gpu: &Gpu, work: &wgpu::Buffer) -> wgpu::SubmissionIndex {
    gpu.submit("submission", |encoder| encoder.clear_buffer(work, 0, None))
}

pub(super) fn stage(gpu: &Gpu, log: &mut Log<'_>) {
    let work = gpu.buffer("work", 1 << 16, wgpu::BufferUsages::COPY_DST);
    let wait = |index: &wgpu::SubmissionIndex| {
        let timeout = Some(Duration::from_secs(60));
        gpu.device.poll(wgpu::PollType::Wait { submission_index: Some(index.clone()), timeout })
    };
    let indices: Vec<_> = (0..6).map(|_| index(gpu, &work)).collect();
    log.text("in the middle", said(wait(&indices[2]).map(|_| "waited")));
    log.text("the last", said(wait(&indices[5])));
    log.text("long done", said(wait(&indices[0])));
    log.text("nothing to do", said(gpu.device.poll(wgpu::PollType::Poll)));
    log.text("waiting for nothing", said(gpu.device.poll(wgpu::PollType::wait_indefinitely())));
    // Old indices stay valid, however many have followed.
    for _ in 0..300 {
        gpu.queue.submit([]);
    }
    gpu.wait();
    log.text("much later", said(wait(&indices[1])));
    let other = gpu.another("other");
    let foreign = other.device.poll(wgpu::PollType::Wait { submission_index: Some(indices[5].clone()), timeout: None });
    log.text("of another device", kind(&foreign));
    log.text("without a submission", said(gpu.device.poll(wgpu::PollType::Poll)));
    index(gpu, &work);
    log.text("all devices", gpu.instance.poll_all(true));
    let empty = gpu.queue.submit([]);
    log.text("empty", said(wait(&empty)));
    log.step(gpu, "waited");
    let fresh = gpu.another("fresh");
    log.text("nothing was submitted", said(fresh.device.poll(wgpu::PollType::wait_indefinitely())));
    log.outcome("commands twice", invalid_commands(gpu, &work));
}

/// A command buffer that could not be recorded refuses its submission.
fn invalid_commands(gpu: &Gpu, work: &wgpu::Buffer) -> Option<wgpu::Error> {
    let mut commands = None;
    let recorded = gpu.invalid(|| {
        let mut encoder = gpu.encoder("invalid");
        encoder.clear_buffer(work, 1, None);
        commands = Some(encoder.finish());
    });
    assert!(recorded.is_some());
    gpu.invalid(|| _ = gpu.queue.submit(commands))
}

fn said(result: Result<impl std::fmt::Debug, wgpu::PollError>) -> String {
    result.map_or_else(|error| format!("error: {error}"), |status| format!("{status:?}"))
}

/// The kind only: its text tells the numbers of submissions, which are an instance's own.
fn kind(result: &Result<wgpu::PollStatus, wgpu::PollError>) -> String {
    match result {
        Ok(status) => format!("{status:?}"),
        Err(wgpu::PollError::Timeout) => "timeout".to_owned(),
        Err(wgpu::PollError::WrongSubmissionIndex(..)) => "wrong submission index".to_owned(),
    }
}

/// Callbacks come in their order, and may call wgpu again.
pub(super) fn callbacks(gpu: &Gpu, log: &mut Log<'_>) {
    let order = Arc::new(Mutex::new(Vec::new()));
    let buffer = gpu.buffer("called back", 64, wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC);
    let readback = gpu.buffer("called back", 64, wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ);
    for round in 0..3 {
        let noted = Arc::clone(&order);
        let (device, queue, target) = (gpu.device.clone(), gpu.queue.clone(), buffer.clone());
        index(gpu, &gpu.buffer("round", 64, wgpu::BufferUsages::COPY_DST));
        gpu.queue.on_submitted_work_done(move || {
            noted.lock().unwrap().push(format!("round {round} done"));
            queue.write_buffer(&target, round * 8, &pattern(8, round as usize));
            let encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("again") });
            let again = Arc::clone(&noted);
            queue.submit([encoder.finish()]);
            queue.on_submitted_work_done(move || again.lock().unwrap().push(format!("round {round} done again")));
        });
        // Rounds that end together would be called back in one go, or not, as the GPU pleases.
        gpu.wait();
        gpu.wait();
    }
    log.text("order", format!("{:?}", order.lock().unwrap()));
    log.bytes("written from callbacks", gpu.read(&buffer));
    // A mapping's callback that maps and submits.
    let noted = Arc::clone(&order);
    let (inner_queue, inner_device, mapped) = (gpu.queue.clone(), gpu.device.clone(), readback.clone());
    gpu.submit("copy", |encoder| encoder.copy_buffer_to_buffer(&buffer, 0, &readback, 0, None));
    readback.map_async(wgpu::MapMode::Read, .., move |result| {
        let seen = mapped.get_mapped_range(8..16).unwrap().to_vec();
        mapped.unmap();
        noted.lock().unwrap().push(format!("{result:?} {seen:?}"));
        let encoder = inner_device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        inner_queue.submit([encoder.finish()]);
    });
    gpu.wait();
    log.text("order with a mapping", format!("{:?}", order.lock().unwrap()));
    log.step(gpu, "called back");
}
