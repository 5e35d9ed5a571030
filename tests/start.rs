//! `start()` and what it returns, through the public interface.
#![cfg(feature = "serve")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: helpers may fail it too")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use engine_vitals::analysis::Dump;
use engine_vitals::contract::{MemoryPoolReport, Store, StoreReport, Value};
use engine_vitals::gpu::TimestampSupport;
use engine_vitals::monitor::GpuFrameMonitor;
#[cfg(feature = "trace")]
use engine_vitals::probe::Level;
use engine_vitals::registry::Snapshot;
use engine_vitals::{Context, New, StandardMonitor, Vitals};

/// On any free port.
fn vitals() -> Vitals {
    Vitals::builder().port(0).start()
}

fn count(table: &Snapshot, name: &str, labels: &[(&str, &str)]) -> u64 {
    table.value(name, labels).and_then(Value::as_u64).unwrap_or_else(|| panic!("{name}{labels:?} is absent"))
}

/// The answer of `/metrics`.
fn scrape(url: &str) -> String {
    get(url, "/metrics")
}

fn get(url: &str, path: &str) -> String {
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    text
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}: not seen within 30 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn monitors_of_the_default_registry_are_shown_when_it_is_given() {
    let registry = engine_vitals::registry::global::registry();
    engine_vitals::register_resource_monitor(Arc::new(GpuFrameMonitor::new("mine"))).unwrap();
    let vitals = Vitals::builder().port(0).in_registry(registry).start();
    vitals.frame();
    let text = scrape(&vitals.url().unwrap());
    assert!(text.contains("vitals_monitor_success{monitor=\"mine\"} 1"), "{text}");
    assert!(text.contains("vitals_frames_total{lane=\"main\"} 1"), "{text}");
    drop(vitals);
    let left: Vec<_> = registry.monitors().iter().map(|monitor| monitor.monitor_id()).collect();
    assert_eq!(left, ["mine"], "the standard monitors are taken out again");
}

#[test]
fn the_dump_is_on_the_page_while_the_program_runs() {
    let vitals = vitals();
    let _buffer = vitals.probe().create(New::buffer(4_096).label("vertices"));
    vitals.frame();
    let url = vitals.url().unwrap();
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let get = |path: &str| {
        let mut stream = TcpStream::connect(host).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        body.to_owned()
    };
    let served = Dump::read_json(get("/dump.json").as_bytes(), 1 << 20).unwrap();
    let taken = vitals.dump();
    assert_eq!((&served.run, &served.resources), (&taken.run, &taken.resources));
    assert_eq!(served.resources[0].label.as_deref(), Some("vertices"));
    assert_eq!(
        served.packets.iter().map(|packet| packet.result.as_deref()).collect::<Vec<_>>(),
        [Some("presented"), None]
    );
    assert!(get("/dump.txt").contains("\"vertices\""));
    assert!(get("/").contains("/dump.txt"));
}

#[test]
fn frames_packets_and_resources_reach_the_table_and_the_page() {
    let vitals = vitals();
    let buffer = vitals.probe().create(New::buffer(4_096).label("vertices"));
    for _ in 0..5 {
        vitals.frame();
    }
    let table = vitals.registry().snapshot();
    assert_eq!(count(&table, "vitals_frames_total", &[("lane", "main")]), 5);
    assert_eq!(count(&table, "vitals_packets_total", &[("result", "presented")]), 5);
    assert_eq!(count(&table, "vitals_resource_live_bytes", &[("resource", "buffer")]), 4_096);
    assert_eq!(count(&table, "vitals_vram_live_bytes", &[]), 4_096);
    let text = scrape(&vitals.url().unwrap());
    for line in [
        "vitals_vram_live_bytes 4096",
        "vitals_frames_total{lane=\"main\"} 5",
        "vitals_frame_seconds_count{lane=\"main\"} 4",
    ] {
        assert!(text.lines().any(|known| known == line), "no line {line:?} in\n{text}");
    }
    drop(buffer);
    vitals.frame();
    assert_eq!(count(&vitals.registry().snapshot(), "vitals_vram_live_bytes", &[]), 0);
}

#[test]
fn a_frame_makes_its_packet_the_context_of_the_thread_and_hands_it_over() {
    let vitals = vitals();
    assert!(vitals.context().packet().is_none(), "nothing is under way before the first frame");
    vitals.frame();
    let first = Context::current().packet();
    assert!(!first.is_none());
    let context = vitals.context();
    let ticket = std::thread::scope(|scope| {
        let worker = scope.spawn(move || {
            assert!(Context::current().packet().is_none());
            let _guard = context.enter();
            assert_eq!(Context::current().packet(), first);
            vitals.probe().create(New::buffer(1))
        });
        worker.join().unwrap()
    });
    drop(ticket);
}

#[test]
fn a_taken_port_gives_way_to_another_and_dropping_frees_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let vitals = Vitals::builder().port(port).start();
    let url = vitals.url().unwrap();
    assert!(!url.contains(&format!(":{port}/")), "{url}");
    scrape(&url);
    let address: SocketAddr = url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    drop(vitals);
    TcpListener::bind(address).unwrap();
}

#[test]
fn an_address_that_cannot_be_had_is_a_notice_and_no_failure() {
    // TEST-NET-1: no machine has it.
    let vitals = Vitals::builder().listen("192.0.2.1:9184".parse().unwrap()).start();
    assert_eq!(vitals.url(), None);
    let notices = vitals.notices();
    assert!(notices.iter().any(|notice| notice.contains("192.0.2.1")), "{notices:?}");
    vitals.frame();
    let quiet = Vitals::builder().without_server().start();
    assert_eq!(quiet.url(), None);
}

#[test]
fn a_program_without_a_heap_allocator_of_ours_is_told_what_to_do() {
    let vitals = vitals();
    let notices = vitals.notices();
    assert!(notices.iter().any(|notice| notice.contains("#[global_allocator]")), "{notices:?}");
    assert!(vitals.registry().snapshot().value("vitals_heap_bytes", &[]).is_none(), "unknown is absent");
}

#[test]
fn monitors_can_be_left_out() {
    let vitals = Vitals::builder().port(0).without(StandardMonitor::Process).without(StandardMonitor::Heap).start();
    let ids: Vec<_> = vitals.registry().monitors().iter().map(|monitor| monitor.monitor_id().into_owned()).collect();
    let left =
        ["allocator", "frames", "hitches", "gpu", "passes", "lifecycle", "budgets", "reconcile", "stores", "registry"];
    assert_eq!(ids, left);
}

#[test]
fn a_program_without_frames_is_updated_in_the_background() {
    let vitals = Vitals::builder().port(0).update_every(Duration::from_millis(5)).start();
    let buffer = vitals.probe().create(New::buffer(10));
    wait_until("the buffer in the table", || {
        vitals.registry().snapshot().value("vitals_vram_live_bytes", &[]) == Some(Value::U64(10))
    });
    drop(buffer);
}

#[test]
fn rings_and_pools_that_the_probe_lists_are_served() {
    #[derive(Debug)]
    struct Pool;

    impl Store for Pool {
        fn report(&self) -> StoreReport {
            let name = "meshes".into();
            StoreReport::MemoryPool(MemoryPoolReport { name, reserved_bytes: 4096, ..MemoryPoolReport::default() })
        }
    }

    let vitals = Vitals::builder().port(0).update_every(Duration::from_millis(5)).start();
    let url = vitals.url().unwrap();
    assert!(!scrape(&url).contains("vitals_pool_reserved"), "a program without pools has none of their figures");
    let pool = Arc::new(Pool);
    let weak: Weak<Pool> = Arc::downgrade(&pool);
    vitals.probe().list(weak);
    let reserved = || vitals.registry().snapshot().value("vitals_pool_reserved_bytes", &[("pool", "meshes")]);
    wait_until("the pool in the table", || reserved() == Some(Value::U64(4096)));
    assert!(scrape(&url).contains("vitals_pool_reserved_bytes{pool=\"meshes\"} 4096\n"));
    assert!(vitals.dump().to_string().contains("memory pools"));
    assert!(get(&url, "/").contains("<td>meshes</td><td>memory pool</td>"));
    drop(pool);
    wait_until("the pool's end in the table", || reserved().is_none());
}

#[test]
fn a_watched_device_has_memory_a_name_and_a_timer_until_the_watch_is_dropped() {
    let test = "a_watched_device_has_memory_a_name_and_a_timer_until_the_watch_is_dropped";
    let Some((device, queue)) = support::device(test) else { return };
    let vitals = vitals();
    let watch = vitals.watch_device(&device, &queue);
    let second = vitals.watch_device(&device, &queue);
    let without_times = vitals.notices().iter().filter(|notice| notice.starts_with("no times on the GPU")).count();
    let expected = usize::from(watch.timer().support() == TimestampSupport::None);
    assert_eq!(without_times, expected, "devices of one kind are noticed once");
    let submissions = vitals.submissions();
    for _ in 0..3 {
        let mut frame = watch.timer().begin();
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        frame.start(&mut encoder);
        frame.end(&mut encoder);
        frame.submit(|| submissions.submit(&queue, [encoder.finish()]));
        vitals.frame();
    }
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    vitals.frame();
    let table = vitals.registry().snapshot();
    assert_eq!(count(&table, "vitals_submissions_completed_total", &[]), 3);
    let lifecycle = table.monitor("lifecycle").unwrap();
    let (_, latency) = lifecycle.histograms.iter().find(|(figure, _)| figure.name.contains("latency")).unwrap();
    assert_eq!(latency.count, 3);
    assert!(vitals.registry().gpu("gpu").unwrap().get_gpu_report().unwrap().cpu_submission_time_us.is_some());
    let text = scrape(&vitals.url().unwrap());
    assert!(text.contains("vitals_adapter_info{adapter="), "{text}");
    assert!(vitals.registry().vram("vram").is_some() && vitals.registry().vram("vram-2").is_some());
    drop((watch, second));
    assert!(vitals.registry().vram("vram").is_none() && vitals.registry().vram("vram-2").is_none());
    let text = scrape(&vitals.url().unwrap());
    assert!(!text.contains("vitals_adapter_info{"), "what is gone is absent");
}

#[test]
fn every_source_of_gpu_memory_is_told_and_those_that_there_are_are_served() {
    let test = "every_source_of_gpu_memory_is_told_and_those_that_there_are_are_served";
    let Some((device, queue)) = support::device(test) else { return };
    let vitals = vitals();
    assert!(vitals.vram_sources().is_empty(), "no device is measured yet");
    let watch = vitals.watch_device(&device, &queue);
    let devices = vitals.vram_sources();
    assert_eq!(devices.len(), 1);
    assert_eq!(devices[0].adapter, device.adapter_info().name);
    let sources = &devices[0].sources;
    assert_eq!(
        devices[0].best().map(|best| best.source()),
        sources.first().filter(|one| one.knows.used).map(|one| one.name)
    );
    for source in sources {
        assert_eq!(devices[0].get(source.name).is_some(), source.rank.is_some(), "{source}");
    }
    assert!(devices[0].get("none").is_none());
    assert!(sources.iter().any(|source| source.rank.is_none() && source.note.is_some()), "{sources:?}");
    for source in sources {
        let id = if source.name == "wgpu" { "vram".to_owned() } else { format!("vram-{}", source.name) };
        // That of wgpu's allocator is there on every backend.
        let measured = vitals.registry().vram(&id).is_some();
        assert_eq!(measured, source.rank.is_some() || source.name == "wgpu", "{source}");
    }
    let url = vitals.url().unwrap();
    let served = |name: &str, figure: &str| {
        let begin = format!("vitals_vram_{figure}_bytes{{");
        let label = format!("source=\"{name}\"");
        scrape(&url).lines().any(|line| line.starts_with(&begin) && line.contains(&label))
    };
    for source in sources {
        let knows = source.knows;
        let figures = [(knows.used, "used"), (knows.capacity, "capacity"), (knows.device_used, "device_used")];
        for (known, figure) in figures {
            if known {
                wait_until(&format!("{figure} of {source}"), || served(source.name, figure));
            } else {
                assert!(!served(source.name, figure), "{figure} of {source}");
            }
        }
        if knows.heaps > 0 {
            let figure = if knows.used { "heap_used" } else { "heap_capacity" };
            wait_until(&format!("heaps of {source}"), || served(source.name, figure));
        }
    }
    let allocator = sources.iter().find(|source| source.name == "wgpu").unwrap();
    wait_until("wgpu's allocator", || watch.memory().get_vram_usage_bytes().is_some() == allocator.knows.used);
    assert_eq!(scrape(&url).contains("\nvitals_vram_reserved_bytes"), allocator.knows.used);
    let best = devices[0].best();
    assert_eq!(best.and_then(|best| best.get_vram_usage_bytes()).is_some(), sources.iter().any(|one| one.knows.used));
    drop(watch);
    assert!(vitals.vram_sources().is_empty());
    assert!(devices[0].best().is_none(), "a list that is kept keeps no device");
    assert!(sources.iter().all(|source| !served(source.name, "used") && !served(source.name, "heap_capacity")));
}

#[cfg(feature = "instrument")]
#[test]
fn the_memory_of_an_instrumented_device_is_measured_once_and_known_to_its_watch() {
    let test = "the_memory_of_an_instrumented_device_is_measured_once_and_known_to_its_watch";
    let vitals = vitals();
    let instance = vitals.wrap(wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env()));
    let Ok(adapter) = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())) else {
        return support::skipped_without_adapter(test);
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    let devices = vitals.vram_sources();
    assert_eq!(devices.len(), 1);
    let known = devices[0].sources.iter().any(|source| source.name == "wgpu" && source.knows.used);
    let watch = vitals.watch_device(&device, &queue);
    assert_eq!(vitals.vram_sources().len(), 1, "the device is measured already");
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 64 << 20,
        usage: wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    wait_until("the buffer in wgpu's allocator", || {
        watch.memory().get_vram_allocated_bytes() >= Some(64 << 20) || !known
    });
    drop((buffer, watch, queue, device));
    assert!(vitals.vram_sources().is_empty(), "with the last handle the measuring ends");
}

#[test]
fn what_start_returns_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Vitals>();
    shared::<engine_vitals::DeviceWatch>();
    shared::<engine_vitals::prometheus::Exporter>();
    shared::<engine_vitals::Ticket>();
}

#[test]
#[cfg(feature = "trace")]
fn a_trace_file_is_written_until_the_end_and_one_that_cannot_be_is_a_notice() {
    let file = support::scratch("start.perfetto-trace");
    let vitals = Vitals::builder().without_server().trace_file(&file).start();
    assert_eq!(vitals.tracker().level(), Level::Events);
    drop(vitals.probe().create(New::buffer(8).label("a name in the trace")));
    vitals.frame();
    drop(vitals);
    let trace = std::fs::read(&file).unwrap();
    let holds = |text: &str| trace.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds("a name in the trace") && holds("lane main") && holds("trace ends"));

    let vitals = Vitals::builder().without_server().trace_file(file.join("below a file")).start();
    assert_eq!(vitals.tracker().level(), Level::Counters, "no trace, no events");
    let notices = vitals.notices();
    assert!(notices.iter().any(|notice| notice.starts_with("no trace:")), "{notices:?}");
    vitals.frame();
}
