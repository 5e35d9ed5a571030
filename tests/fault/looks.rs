//! How each fault looks from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use engine_vitals::ResourceKind;
use engine_vitals::instrument::fault::{Call, Fault, FaultPlan, Rule, When};
use engine_vitals::probe::Event;

use crate::creations::{buffer, creation};
use crate::tools::{Stage, noop_instance};

/// A device that some calls on fail.
fn stage(rules: impl IntoIterator<Item = Rule>) -> (Stage, wgpu::Device, wgpu::Queue) {
    let plan = rules.into_iter().fold(FaultPlan::seeded(1), FaultPlan::fail).wait_limit(Duration::from_millis(20));
    let stage = Stage::new(noop_instance(), &plan).unwrap();
    let (device, queue) = stage.device().unwrap();
    (stage, device, queue)
}

fn always(fault: Fault, call: Call) -> Rule {
    Rule::new(fault, When::Every(1)).on(call)
}

/// The error of that sort that `call` gives; there is no other.
fn error(device: &wgpu::Device, filter: wgpu::ErrorFilter, call: impl FnOnce()) -> Option<String> {
    let scope = device.push_error_scope(filter);
    call();
    pollster::block_on(scope.pop()).map(|error| error.to_string())
}

const COPIES: wgpu::BufferUsages = wgpu::BufferUsages::COPY_SRC.union(wgpu::BufferUsages::COPY_DST);

/// It makes an object of the device's.
fn makes(call: Call) -> bool {
    let writes = [Call::WriteBuffer, Call::WriteTexture];
    Fault::OutOfMemory.befalls(call) && Fault::Validation.befalls(call) && !writes.contains(&call)
}

#[test]
fn what_fails_to_be_made_is_an_invalid_object_without_bytes() {
    let mut tried = 0;
    for call in Call::ALL.iter().copied().filter(|call| makes(*call)) {
        let (out_of_memory, validation) = (wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation);
        for (fault, filter) in [(Fault::OutOfMemory, out_of_memory), (Fault::Validation, validation)] {
            let (stage, device, queue) = stage([always(fault, call)]);
            let mut used = None;
            let reported = error(&device, filter, || used = Some(creation(&device, &queue, call)))
                .unwrap_or_else(|| panic!("{call}: no error"));
            if fault == Fault::Validation {
                assert!(reported.contains(&format!("injected fault: validation error in `{call}`")), "{reported}");
            }
            assert_eq!(stage.plan.failed(), 1, "{call}");
            let resources = stage.tracker.snapshot().resources;
            let bytes: u64 = resources.iter().map(|resource| resource.bytes).sum();
            let texture = if call == Call::CreateView { 4 * 8 * 8 } else { 0 };
            assert!(bytes == 0 || bytes == texture, "{call}: {bytes} bytes");
            stage.plan.disarm();
            let use_error = error(&device, validation, used.unwrap());
            let use_error = use_error.unwrap_or_else(|| panic!("{call}: {fault:?}: it is valid"));
            assert!(use_error.contains("invalid") || use_error.contains("destroyed"), "{call}: {use_error}");
            drop((device, queue));
            stage.assert_books_are_back_to_zero(call.name());
            tried += 1;
        }
    }
    assert_eq!(tried, 22);
}

#[test]
fn a_creation_without_a_fault_makes_valid_objects() {
    let (stage, device, queue) = stage([]);
    let mut tried = 0;
    for call in Call::ALL.iter().copied().filter(|call| makes(*call)) {
        let used = creation(&device, &queue, call);
        assert_eq!(error(&device, wgpu::ErrorFilter::Validation, used), None, "{call}");
        tried += 1;
    }
    assert_eq!(tried, 11);
    drop((device, queue));
    stage.assert_books_are_back_to_zero("valid objects");
}

#[test]
fn errors_go_to_the_handler_where_no_scope_takes_them() {
    let (stage, device, queue) = stage([always(Fault::OutOfMemory, Call::WriteBuffer)]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let handler = Arc::clone(&told);
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| handler.lock().unwrap().push(error)));
    let target = buffer(&device, COPIES);
    queue.write_buffer(&target, 0, &[1; 4]);
    assert!(queue.write_buffer_with(&target, 0, wgpu::BufferSize::new(4).unwrap()).is_none());
    let told = told.lock().unwrap();
    assert!(matches!(told[..], [wgpu::Error::OutOfMemory { .. }, wgpu::Error::OutOfMemory { .. }]), "{told:?}");
    assert_eq!(stage.tracker.totals().submissions.unsubmitted_bytes(), 0, "what failed is not staged");
}

#[test]
fn an_encoder_out_of_memory_says_so_at_once_and_is_invalid() {
    let (stage, device, queue) = stage([always(Fault::OutOfMemory, Call::CreateCommandEncoder)]);
    let mut encoder = None;
    let made = || encoder = Some(device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default()));
    assert!(error(&device, wgpu::ErrorFilter::OutOfMemory, made).is_some());
    let mut commands = None;
    let finished = || commands = encoder.map(wgpu::CommandEncoder::finish);
    let text = error(&device, wgpu::ErrorFilter::Validation, finished).unwrap();
    assert!(text.contains("injected fault"), "{text}");
    let text = error(&device, wgpu::ErrorFilter::Validation, || _ = queue.submit(commands)).unwrap();
    assert!(text.contains("invalid"), "{text}");
    drop((device, queue));
    stage.assert_books_are_back_to_zero("an encoder");
}

#[test]
fn commands_and_submissions_are_refused() {
    let (stage, device, queue) =
        stage([always(Fault::Validation, Call::Finish), always(Fault::Validation, Call::Submit)]);
    let encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let text = error(&device, wgpu::ErrorFilter::Validation, || drop(encoder.finish())).unwrap();
    assert!(text.contains("injected fault"), "{text}");
    let mut index = None;
    let text = error(&device, wgpu::ErrorFilter::Validation, || index = Some(queue.submit([]))).unwrap();
    assert!(text.contains("injected fault: validation error in `Queue::submit`"), "{text}");
    device.poll(wgpu::PollType::Wait { submission_index: index, timeout: None }).unwrap();
    drop((device, queue));
    stage.assert_books_are_back_to_zero("refused commands");
}

#[test]
fn a_lost_device_is_told_of_once_and_stays_lost() {
    let (stage, device, queue) = stage([Rule::new(Fault::DeviceLost, When::Calls(vec![2]))]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let callback = Arc::clone(&told);
    device.set_device_lost_callback(move |reason, text| callback.lock().unwrap().push((reason, text)));
    let readback = buffer(&device, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let done = Arc::new(AtomicU64::new(0));
    for _ in 0..3 {
        queue.submit([]);
        let done = Arc::clone(&done);
        queue.on_submitted_work_done(move || _ = done.fetch_add(1, Ordering::Relaxed));
    }
    let _ = device.poll(wgpu::PollType::Poll);
    device.destroy();
    let _ = device.poll(wgpu::PollType::Poll);
    {
        let told = told.lock().unwrap();
        let [(wgpu::DeviceLostReason::Unknown, text)] = &told[..] else { panic!("{told:?}") };
        assert!(text.contains("injected fault: device lost in `Queue::submit`"), "{text}");
    }
    assert_eq!(done.load(Ordering::Relaxed), 3, "callbacks are called, as wgpu does");
    let (sender, mapped) = mpsc::channel();
    readback.map_async(wgpu::MapMode::Read, .., move |result| sender.send(result).unwrap());
    let _ = device.poll(wgpu::PollType::Poll);
    assert_eq!(mapped.try_iter().collect::<Vec<_>>(), [Err(wgpu::BufferAsyncError)]);
    let submissions = stage.tracker.totals().submissions;
    assert_eq!((submissions.submitted, submissions.abandoned), (3, 1), "{submissions:?}");
    drop((device, queue, readback));
    stage.assert_books_are_back_to_zero("a lost device");
}

/// The error of `unmap` after a mapping that failed is what plain wgpu gives after one.
#[test]
fn a_failed_mapping_leaves_the_buffer_as_wgpu_does() {
    let (stage, device, queue) = stage([Rule::new(Fault::MapFailure, When::Calls(vec![1]))]);
    let readback = buffer(&device, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let map = || {
        let (sender, mapped) = mpsc::channel();
        readback.map_async(wgpu::MapMode::Read, .., move |result| sender.send(result).unwrap());
        device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        mapped.try_iter().collect::<Vec<_>>()
    };
    assert_eq!(map(), [Err(wgpu::BufferAsyncError)]);
    assert!(readback.get_mapped_range(..).is_err());
    assert_eq!(map(), [Err(wgpu::BufferAsyncError)], "taken for mapped");
    let text = error(&device, wgpu::ErrorFilter::Validation, || readback.unmap()).unwrap();
    assert!(text.contains("not mapped"), "{text}");
    assert_eq!(map(), [Ok(())]);
    assert_eq!(stage.plan.counts()[0].seen, 2, "what wgpu refuses by itself is not seen");
    readback.unmap();
    drop((device, queue, readback));
    stage.assert_books_are_back_to_zero("a failed mapping");
}

/// Submits three times and asks for a mapping in between. `told` hears of each end.
fn three_submissions(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    told: &Told,
) -> (wgpu::Buffer, [wgpu::SubmissionIndex; 3]) {
    let tell = |what: &'static str| {
        let told = Arc::clone(told);
        move || told.lock().unwrap().push(what)
    };
    let readback = buffer(device, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let first = queue.submit([]);
    queue.on_submitted_work_done(tell("first"));
    let second = queue.submit([]);
    queue.on_submitted_work_done(tell("second"));
    let mapped = tell("mapped");
    readback.map_async(wgpu::MapMode::Read, .., move |result| {
        assert!(result.is_ok());
        mapped();
    });
    let third = queue.submit([]);
    queue.on_submitted_work_done(tell("third"));
    device.poll(wgpu::PollType::Poll).unwrap();
    (readback, [first, second, third])
}

type Told = Arc<Mutex<Vec<&'static str>>>;

#[test]
fn a_held_submission_completes_when_it_is_released_and_all_after_it_in_order() {
    let (_, device, queue) = stage([]);
    let usual = Told::default();
    three_submissions(&device, &queue, &usual);
    let usual = usual.lock().unwrap().clone();
    assert_eq!(usual.len(), 4);

    let (stage, device, queue) = stage([Rule::new(Fault::Stall, When::Calls(vec![2]))]);
    let told = Told::default();
    let (readback, [first, second, _]) = three_submissions(&device, &queue, &told);
    let wait = |index: &wgpu::SubmissionIndex, timeout| {
        device.poll(wgpu::PollType::Wait { submission_index: Some(index.clone()), timeout })
    };
    assert_eq!(device.poll(wgpu::PollType::Poll).unwrap(), wgpu::PollStatus::Poll);
    assert!(wait(&first, None).is_ok());
    assert_eq!(*told.lock().unwrap(), ["first"]);
    for timeout in [Some(Duration::ZERO), Some(Duration::from_millis(1)), None] {
        assert!(matches!(wait(&second, timeout), Err(wgpu::PollError::Timeout)));
    }
    assert!(!stage.instance.poll_all(true));
    assert_eq!(*told.lock().unwrap(), ["first"]);
    assert!(stage.plan.holds());
    assert_eq!(stage.tracker.totals().submissions.in_flight(), 2);
    stage.plan.release();
    assert!(!stage.plan.holds());
    assert_eq!(wait(&second, None).unwrap(), wgpu::PollStatus::QueueEmpty);
    assert_eq!(*told.lock().unwrap(), usual);
    assert_eq!(stage.tracker.totals().submissions.in_flight(), 0);
    assert_eq!(readback.get_mapped_range(..).unwrap().len(), 64);
    drop((device, queue, readback));
    stage.assert_books_are_back_to_zero("a held submission");
}

#[test]
fn a_mapping_that_waits_is_called_off_by_unmap_and_destroy() {
    let (stage, device, queue) = stage([Rule::new(Fault::Stall, When::Calls(vec![1]))]);
    queue.submit([]);
    let buffers = [(); 3].map(|()| buffer(&device, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST));
    let (sender, mapped) = mpsc::channel();
    for (number, buffer) in buffers.iter().enumerate() {
        let sender = sender.clone();
        buffer.map_async(wgpu::MapMode::Read, .., move |result| sender.send((number, result.is_ok())).unwrap());
    }
    device.poll(wgpu::PollType::Poll).unwrap();
    buffers[1].unmap();
    buffers[2].destroy();
    assert_eq!(mapped.try_iter().collect::<Vec<_>>(), [(1, false), (2, false)]);
    stage.plan.release();
    device.poll(wgpu::PollType::Poll).unwrap();
    assert_eq!(mapped.try_iter().collect::<Vec<_>>(), [(0, true)]);
    drop((device, queue, buffers));
    stage.assert_books_are_back_to_zero("mappings that are called off");
}

#[test]
fn what_is_never_released_ends_with_the_queue() {
    let (stage, device, queue) = stage([always(Fault::Stall, Call::Submit)]);
    let target = buffer(&device, COPIES);
    let readback = buffer(&device, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.clear_buffer(&target, 0, None);
    queue.submit([encoder.finish()]);
    let told = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&told);
    queue.on_submitted_work_done(move || tell.store(true, Ordering::Relaxed));
    let (sender, mapped) = mpsc::channel();
    readback.map_async(wgpu::MapMode::Read, .., move |result| sender.send(result.is_ok()).unwrap());
    device.poll(wgpu::PollType::Poll).unwrap();
    drop(target);
    let totals = stage.tracker.totals();
    assert_eq!(totals.device().pending_bytes(), 64, "the held submission keeps what it uses");
    assert_eq!(totals.kind(ResourceKind::COMMAND_BUFFER).device.released, 0);
    drop((device, queue));
    assert!(told.load(Ordering::Relaxed));
    assert_eq!(mapped.try_iter().collect::<Vec<_>>(), [false]);
    let submissions = stage.tracker.totals().submissions;
    assert_eq!((submissions.completed, submissions.abandoned), (0, 1), "{submissions:?}");
    drop(readback);
    stage.assert_books_are_back_to_zero("a submission that is never released");
}

#[test]
fn a_wait_without_a_timeout_ends_after_the_limit_and_a_release_ends_it_at_once() {
    let plan = FaultPlan::seeded(1).fail(always(Fault::Stall, Call::Submit));
    let stage = Stage::new(noop_instance(), &plan).unwrap();
    let (device, queue) = stage.device().unwrap();
    queue.submit([]);
    let begun = Instant::now();
    assert!(matches!(device.poll(wgpu::PollType::wait_indefinitely()), Err(wgpu::PollError::Timeout)));
    // The limit that is documented.
    assert!(begun.elapsed() >= Duration::from_secs(5));
    let plan = plan.wait_limit(Duration::from_secs(3_600));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| device.poll(wgpu::PollType::wait_indefinitely()));
        while !waiting.is_finished() {
            plan.release();
            std::thread::yield_now();
        }
        assert_eq!(waiting.join().unwrap().unwrap(), wgpu::PollStatus::QueueEmpty);
    });
    drop((device, queue));
    stage.assert_books_are_back_to_zero("a long wait");
}

#[test]
fn no_device_and_slow_calls() {
    let slow = Duration::from_millis(30);
    let plan = FaultPlan::seeded(1)
        .fail(Rule::new(Fault::NoDevice, When::Calls(vec![1])))
        .fail(always(Fault::Slow(slow), Call::Poll));
    let stage = Stage::new(noop_instance(), &plan).unwrap();
    let text = stage.device().unwrap_err().to_string();
    assert!(text.contains("injected fault: no device in `Adapter::request_device`"), "{text}");
    let (device, queue) = stage.device().unwrap();
    let begun = Instant::now();
    device.poll(wgpu::PollType::Poll).unwrap();
    assert!(begun.elapsed() >= slow);
    assert_eq!(plan.counts().iter().map(|count| (count.seen, count.failed)).collect::<Vec<_>>(), [(2, 1), (1, 1)]);
    drop((device, queue));
    stage.assert_books_are_back_to_zero("no device");
}

/// Without a window: the faults come before the real surface is asked.
#[test]
fn surfaces_give_what_the_plan_says() {
    let expected = [Fault::SurfaceLost, Fault::SurfaceOutdated, Fault::SurfaceTimeout, Fault::SurfaceOccluded];
    // A call that an earlier rule fails is not seen by a later one.
    let (stage, device, queue) = stage(expected.map(|fault| Rule::new(fault, When::Calls(vec![1]))));
    let window = wgpu::rwh::RawWindowHandle::Xlib(wgpu::rwh::XlibWindowHandle::new(1));
    let display = wgpu::rwh::RawDisplayHandle::Xlib(wgpu::rwh::XlibDisplayHandle::new(None, 0));
    let target = wgpu::SurfaceTargetUnsafe::RawHandle { raw_display_handle: Some(display), raw_window_handle: window };
    // SAFETY: the backend that does nothing does not look at the window.
    let surface = unsafe { stage.instance.create_surface_unsafe(target) }.unwrap();
    let given: Vec<_> = (0..4).map(|_| format!("{:?}", surface.get_current_texture())).collect();
    assert_eq!(given, ["Lost", "Outdated", "Timeout", "Occluded"]);
    drop((device, queue, surface));
    stage.assert_books_are_back_to_zero("surfaces");
}

#[test]
fn a_disarmed_plan_sees_nothing_and_faults_are_markers_among_the_events() {
    let (stage, device, queue) = stage([always(Fault::OutOfMemory, Call::CreateBuffer).persistent()]);
    stage.plan.disarm();
    drop(buffer(&device, COPIES));
    assert_eq!(stage.plan.counts()[0].seen, 0);
    stage.plan.arm();
    stage.tracker.set_level(engine_vitals::probe::Level::Events);
    assert!(error(&device, wgpu::ErrorFilter::OutOfMemory, || drop(buffer(&device, COPIES))).is_some());
    let events = stage.tracker.recent_events(8);
    let named = |event: &Event| event.marker == Some("injected out of memory: Device::create_buffer");
    assert!(events.iter().any(named), "{events:?}");
    drop((device, queue));
    stage.assert_books_are_back_to_zero("a disarmed plan");
}
