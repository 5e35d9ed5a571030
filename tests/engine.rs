//! The demo engine as a user runs it: as a program.
#![expect(clippy::unwrap_used, reason = "a test: helpers may fail it too")]

#[cfg(feature = "trace")]
#[path = "../exporters/trace/tests/reader/mod.rs"]
mod reader;
mod support;

use std::collections::HashSet;
#[cfg(all(unix, feature = "serve"))]
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use support::{Guarded, NO_ADAPTER, Xvfb, build, read_png, scratch, stdout, without_adapter};

#[test]
fn a_run_without_a_window_ends_in_a_screenshot_of_the_scene() {
    let test = "a_run_without_a_window_ends_in_a_screenshot_of_the_scene";
    let file = scratch("headless.png");
    let arguments = ["--no-ui", "--frames", "3", "--fps", "0", "--size", "320x180", "--screenshot"];
    let output = run(engine().args(arguments).arg(&file));
    if without_adapter(test, &output) {
        return;
    }
    assert!(output.status.success(), "{output:?}");
    assert!(stdout(&output).contains("rendered 3 frames"), "{output:?}");
    assert_shows_the_scene(&file, 320, 180);
}

#[test]
fn the_live_panel_lies_over_the_scene_and_changes_nothing_beside_it() {
    let test = "the_live_panel_lies_over_the_scene_and_changes_nothing_beside_it";
    let (with, without) = (scratch("panel.png"), scratch("no-panel.png"));
    let arguments = ["--frames", "2", "--fps", "0", "--size", "480x270", "--samples", "1", "--screenshot"];
    let output = run(engine().args(arguments).arg(&with));
    if without_adapter(test, &output) {
        return;
    }
    assert!(output.status.success(), "{output:?}");
    assert!(run(engine().arg("--no-ui").args(arguments).arg(&without)).status.success());
    let ((width, _, with), (_, _, without)) = (read_png(&with), read_png(&without));
    let texels = with.chunks_exact(4).zip(without.chunks_exact(4)).enumerate();
    let differ: Vec<_> = texels.filter(|(_, (with, without))| with != without).map(|(at, _)| at as u32).collect();
    let right = differ.iter().map(|at| at % width).max();
    assert!(differ.len() > 30_000, "only {} texels show the panel", differ.len());
    assert!(right < Some(width * 2 / 3), "the panel reaches to {right:?} of {width}");
}

#[test]
fn churn_leaks_and_resizes_do_not_stop_it() {
    let file = scratch("busy.png");
    let arguments = ["--frames", "9", "--fps", "0", "--size", "96x54", "--samples", "1"];
    let busy = ["--churn", "40", "--leak", "7", "--resize-every", "2", "--screenshot"];
    let output = run(engine().args(arguments).args(busy).arg(&file));
    if without_adapter("churn_leaks_and_resizes_do_not_stop_it", &output) {
        return;
    }
    assert!(output.status.success(), "{output:?}");
    assert!(stdout(&output).contains("rendered 9 frames"), "{output:?}");
    let (width, height, _) = read_png(&file);
    assert_eq!((width, height), (96, 54), "the ninth frame has the full size again");
}

#[test]
fn the_scene_looks_the_same_wherever_its_meshes_are_moved_to() {
    let (still, moving) = (scratch("still.png"), scratch("moving.png"));
    let arguments = ["--no-ui", "--frames", "130", "--fps", "0", "--size", "32x18", "--samples", "1", "--screenshot"];
    let output = run(engine().args(arguments).arg(&still));
    if without_adapter("the_scene_looks_the_same_wherever_its_meshes_are_moved_to", &output) {
        return;
    }
    assert!(stdout(&output).contains(" 0 moved (0 B), 0 of them the scene's\n"), "{output:?}");
    let output = run(engine().args(["--churn", "40"]).args(arguments).arg(&moving));
    assert!(output.status.success(), "{output:?}");
    let line = stdout(&output).lines().find(|line| line.starts_with("pool: ")).unwrap().to_owned();
    assert!(line.contains(" moved (") && !line.contains(", 0 of them the scene's"), "{line}");
    assert!(read_png(&still) == read_png(&moving), "another picture with {line}");
}

#[test]
fn a_window_under_xvfb_presents_its_frames() {
    let test = "a_window_under_xvfb_presents_its_frames";
    let Some(display) = Xvfb::start(test) else { return };
    let file = scratch("window.png");
    let arguments = ["--window", "--no-ui", "--frames", "4", "--fps", "0", "--size", "320x180", "--screenshot"];
    let output = run(display.shows(engine().args(arguments).arg(&file)));
    if without_adapter(test, &output) {
        return;
    }
    assert!(output.status.success(), "{output:?}");
    assert!(stdout(&output).contains("presented 4 frames"), "{output:?}");
    assert_shows_the_scene(&file, 320, 180);
}

#[test]
fn a_window_shows_the_live_panel() {
    let test = "a_window_shows_the_live_panel";
    let Some(display) = Xvfb::start(test) else { return };
    let arguments = ["--window", "--frames", "3", "--fps", "0", "--size", "96x54", "--samples", "1"];
    let output = run(display.shows(engine().args(arguments).env("ENGINE_VITALS_TRACE", "1")));
    if without_adapter(test, &output) {
        return;
    }
    assert!(output.status.success(), "{output:?}");
    assert!(stdout(&output).contains("presented 3 frames"), "{output:?}");
    #[cfg(feature = "trace")]
    {
        let events = events(&output);
        let presented = events.iter().filter(|event| event["event"] == "Present");
        let lanes: Vec<_> = presented.map(|event| event["laneId"].as_str().unwrap()).collect();
        assert_eq!(lanes, ["surface 1"; 3], "packets are the surface's");
        every_resource_ends(&events);
    }
}

#[cfg(all(unix, feature = "serve"))]
#[test]
fn it_serves_its_figures_and_ends_on_a_signal() {
    let test = "it_serves_its_figures_and_ends_on_a_signal";
    let arguments = ["--frames", "0", "--fps", "0", "--size", "64x36", "--samples", "1"];
    let mut child = Guarded::spawn(engine().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped())).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let Some(url) = lines.find_map(|line| line.strip_prefix("metrics: ").map(str::to_owned)) else {
        let output = child.output().unwrap();
        assert!(without_adapter(test, &output), "{output:?}");
        return;
    };
    // Figures that need a frame, or the sampler thread, are there soon; a hang ends the test by the harness's own limit.
    let wanted = [
        "vitals_heap_bytes",
        "vitals_gpu_frame_seconds_count",
        "vitals_cpu_phase_seconds_total",
        "vitals_vram_allocated_bytes",
        "vitals_process_resident_bytes",
        "vitals_resources_live{resource=\"texture_target\"",
        "vitals_resources_live{resource=\"shader_module\"",
        "vitals_owner_live_bytes{owner_kind=\"egui\"",
        "vitals_owner_live_bytes{owner_kind=\"render_target\"",
        "vitals_submission_latency_seconds_count",
        "vitals_vram_unaccounted_bytes",
    ];
    let mut text = String::new();
    for _ in 0..120 {
        text = get(&url);
        if wanted.iter().all(|name| text.contains(name)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    let missing: Vec<_> = wanted.iter().filter(|name| !text.contains(**name)).collect();
    let status = child.terminate().unwrap();
    assert!(missing.is_empty(), "{missing:?} missing in:\n{text}");
    assert!(status.success(), "{status:?}");
    assert_accounted(&text);
    let rest: Vec<_> = lines.collect();
    assert!(rest.iter().any(|line| line.starts_with("rendered ")), "{rest:?}");
}

#[test]
#[cfg(feature = "trace")]
fn the_event_stream_tells_the_life_of_every_resource() {
    let test = "the_event_stream_tells_the_life_of_every_resource";
    let arguments =
        ["--frames", "6", "--fps", "0", "--size", "64x36", "--samples", "1", "--churn", "3", "--resize-every", "2"];
    let output = run(engine().args(arguments).env("ENGINE_VITALS_TRACE", "1"));
    if without_adapter(test, &output) {
        return;
    }
    assert!(output.status.success(), "{output:?}");
    let events = events(&output);
    let created = every_resource_ends(&events);
    assert!(created > 100, "{created} resources");
    let resizes = events.iter().filter(|event| event["event"] == "ResizeRebuild").count();
    assert_eq!(resizes, 2 * 3, "two changes of the size, three targets that are rebuilt");
    let pooled = events.iter().filter(|event| event["event"] == "Create" && event["ownerKind"] == "target pool");
    let pooled = pooled.filter(|event| event["resourceType"] == "texture_target").count();
    assert_eq!(pooled, 2, "one target of the pool for each size, however often that comes back");
    let creates = events.iter().filter(|event| event["event"] == "Create");
    let egui: HashSet<_> = creates
        .filter(|event| event["ownerKind"] == "egui" && event["ownerName"] == "live panel")
        .map(|event| event["resourceType"].as_str().unwrap())
        .collect();
    for kind in ["bind_group", "buffer", "render_pipeline", "sampler", "shader_module", "texture", "texture_view"] {
        assert!(egui.contains(kind), "egui has no {kind} among {egui:?}");
    }
    for (kind, times) in [("Submit", 6), ("Complete", 6), ("Present", 6)] {
        assert_eq!(events.iter().filter(|event| event["event"] == kind).count(), times, "{kind}");
    }
    for event in &events {
        assert!(event["ts"].as_u64().is_some() && event["threadId"].as_u64().is_some(), "{event}");
    }
}

/// The trace against the event stream of the same run: two files by two writers, the trace read by Perfetto.
#[test]
#[cfg(feature = "trace")]
fn the_trace_of_a_run_is_read_by_perfetto_and_counts_what_the_event_stream_tells() {
    const FRAMES: u64 = 12;
    let test = "the_trace_of_a_run_is_read_by_perfetto_and_counts_what_the_event_stream_tells";
    let Some(reader) = reader::Reader::find(test) else { return };
    let file = scratch("run.perfetto-trace");
    let arguments = ["--fps", "0", "--size", "64x36", "--samples", "1", "--churn", "3", "--resize-every", "2"];
    let mut run_of = engine();
    run_of.args(arguments).args(["--frames", &FRAMES.to_string()]).env("ENGINE_VITALS_TRACE", "1");
    let output = run(run_of.env("ENGINE_VITALS_TRACE_FILE", &file));
    if without_adapter(test, &output) {
        return;
    }
    assert!(output.status.success(), "{output:?}");
    let events = events(&output);
    let count = |kind: &str| events.iter().filter(|event| event["event"] == kind).count() as u64;
    assert!(events.iter().all(|event| event.get("lost").is_none()), "nothing was lost, so that both tell the same");
    let created = every_resource_ends(&events) as u64;

    let queries = [
        "select count(*) n from slice where category = 'packet' and dur > 0 and extract_arg(arg_set_id, 'debug.result') = 'presented'",
        "select count(*) n from slice where category = 'submission' and dur >= 0 and extract_arg(arg_set_id, 'debug.outcome') = 'completed'",
        "select count(*) n from slice where category = 'resource' and dur >= 0",
        "select count(*) n from slice where category = 'resize'",
        "select count(*) n from slice where dur < 0 or category = 'loss'",
        "select count(*) n from stats where severity in ('error', 'data_loss') and value > 0",
        "select count(*) n from slice where category = 'resource' and extract_arg(arg_set_id, 'debug.owner') = 'live panel'",
        "select cast(max(value) as int) n from counter c join counter_track t on t.id = track_id where t.name = 'live bytes'",
    ];
    let read = reader.query(&file, &queries);
    let figures: Vec<_> = read.iter().map(|rows| rows[0]["n"].as_u64().unwrap()).collect();
    let of_panel = |event: &&serde_json::Value| event["event"] == "Create" && event["ownerName"] == "live panel";
    let panel = events.iter().filter(of_panel).count() as u64;
    let expected = [FRAMES, FRAMES, created, count("ResizeRebuild"), 0, 0, panel];
    assert_eq!(figures[..7], expected, "packets, submissions, lives, resizes, open ends, faults, lives of the panel");
    assert!(created > 100 && panel > 0 && count("ResizeRebuild") > 0, "{expected:?}");
    assert!(figures[7] > 0, "no live bytes");
}

#[test]
fn without_an_adapter_it_names_the_package_to_install() {
    let nowhere = "/nonexistent";
    let output = run(engine()
        .args(["--frames", "1"])
        .env("WGPU_BACKEND", "vulkan")
        .env("VK_DRIVER_FILES", nowhere)
        .env("VK_ICD_FILENAMES", nowhere));
    assert_eq!(output.status.code(), Some(NO_ADAPTER), "{output:?}");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("no GPU adapter") && message.contains("mesa-vulkan-drivers"), "{message}");
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_display_a_window_is_refused_with_a_reason() {
    let output = run(engine()
        .args(["--window", "--frames", "1"])
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("WAYLAND_SOCKET"));
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--window"), "{output:?}");
}

#[test]
fn wrong_options_are_refused_by_name() {
    let wrong = [
        ["--listen", "nonsense"],
        ["--size", "0x10"],
        ["--fps", "fast"],
        ["--frames", "many"],
        ["--churn", "100001"],
        ["--samples", "3"],
    ];
    for [option, value] in wrong {
        let output = run(engine().args([option, value]));
        assert_eq!(output.status.code(), Some(2), "{option} {value}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(option), "{option} {value}: {output:?}");
    }
}

#[test]
fn without_telemetry_it_renders_the_same_and_starts_none_of_our_threads() {
    let test = "without_telemetry_it_renders_the_same_and_starts_none_of_our_threads";
    // The panel shows figures, which differ.
    let arguments =
        ["--no-ui", "--frames", "2", "--fps", "0", "--size", "160x90", "--listen", "127.0.0.1:0", "--screenshot"];
    let (with, without) = (scratch("with.png"), scratch("without.png"));
    let plain = build(&["--no-default-features"]);
    let output = run(Command::new(&plain).args(arguments).arg(&without));
    if without_adapter(test, &output) {
        return;
    }
    assert!(output.status.success(), "{output:?}");
    assert!(stdout(&output).contains("telemetry is off"), "{output:?}");
    assert!(!stdout(&output).contains("http://"), "{output:?}");
    assert!(run(engine().args(arguments).arg(&with)).status.success());
    assert_eq!(read_png(&with), read_png(&without), "the same pixels");

    let arguments = ["--frames", "0", "--fps", "0", "--size", "64x36", "--samples", "1"];
    let mut child =
        Guarded::spawn(Command::new(&plain).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null())).unwrap();
    let threads = threads_of(&child);
    assert!(child.terminate().unwrap().success());
    assert!(!threads.iter().any(|name| name.starts_with("vitals") || name.starts_with("tokio")), "{threads:?}");
}

/// The engine, built with the features of this test, listening on any free port.
fn engine() -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let features: &[&str] = if cfg!(feature = "serve") { &[] } else { &["--no-default-features"] };
    let mut command = Command::new(BUILT.get_or_init(|| build(features)));
    command.args(["--listen", "127.0.0.1:0"]);
    command
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

/// The event stream of a run.
#[cfg(feature = "trace")]
fn events(output: &Output) -> Vec<serde_json::Value> {
    let text = String::from_utf8_lossy(&output.stderr);
    // The drivers write to stderr too.
    text.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Each resource is created once and destroyed once; returns how many there were.
#[cfg(feature = "trace")]
fn every_resource_ends(events: &[serde_json::Value]) -> usize {
    let ids = |kind: &str| {
        let of_kind = events.iter().filter(|event| event["event"] == kind);
        let mut ids: Vec<_> = of_kind.map(|event| event["resourceId"].as_u64().unwrap()).collect();
        ids.sort_unstable();
        ids
    };
    let created = ids("Create");
    assert!(created.windows(2).all(|pair| pair[0] < pair[1]), "each id once");
    assert_eq!(created, ids("Destroy"), "what was created was destroyed");
    created.len()
}

/// The picture has its size, many colours, a warm sky at the top and something else at the bottom.
fn assert_shows_the_scene(path: &Path, width: u32, height: u32) {
    let (actual_width, actual_height, pixels) = read_png(path);
    assert_eq!((actual_width, actual_height), (width, height));
    let colors: HashSet<&[u8]> = pixels.chunks_exact(4).collect();
    assert!(colors.len() > 1_000, "only {} colours", colors.len());
    let mean = |rows: std::ops::Range<u32>| {
        let texels = &pixels[(rows.start * width * 4) as usize..(rows.end * width * 4) as usize];
        let sum = |channel: usize| texels.iter().skip(channel).step_by(4).map(|&value| u64::from(value)).sum::<u64>();
        [0, 1, 2].map(|channel| sum(channel) * 4 / texels.len() as u64)
    };
    let (sky, ground) = (mean(height / 12..height / 5), mean(height * 2 / 3..height));
    assert!(sky[0] > sky[2] + 20, "the sky is warm: {sky:?}");
    assert!(ground[2] > ground[0] || ground[1] > ground[0], "the pillars in front are cool: {ground:?}");
}

#[cfg(feature = "serve")]
fn get(url: &str) -> String {
    use std::io::{Read, Write};

    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

/// What wgpu's allocator has given out is what is tracked, wgpu's own and alignment aside, to within 1 %.
#[cfg(all(unix, feature = "serve"))]
fn assert_accounted(metrics: &str) {
    let value = |series: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        assert!(line.is_some(), "{series} is missing in:\n{metrics}");
        line.unwrap().parse::<f64>().unwrap()
    };
    let class = |class: &str| value(&format!("vitals_vram_class_bytes{{class=\"{class}\"}}"));
    let given = value("vitals_vram_allocated_bytes") - class("wgpu_internal") - class("telemetry");
    let tracked = value("vitals_vram_live_bytes") + value("vitals_vram_pending_bytes") - class("elsewhere");
    assert!(
        tracked > 0.0 && (given - class("alignment") - tracked).abs() <= 0.01 * tracked,
        "{given}, {tracked}:\n{metrics}"
    );
    assert!(value("vitals_vram_unaccounted_bytes") <= 0.01 * tracked, "{metrics}");
}

/// The names of the process's threads, once it renders.
fn threads_of(child: &Child) -> Vec<String> {
    std::thread::sleep(Duration::from_secs(3));
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}
