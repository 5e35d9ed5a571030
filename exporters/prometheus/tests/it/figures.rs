//! What stands on `/metrics`: known figures, all of them, and nothing else.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use engine_vitals_core::contract::{Histogram, Reading, Unit};
use engine_vitals_core::registry::Registry;
use metrics::{Key, Level, Metadata, Recorder};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::common::{Scripted, get, start_on, value, wait_until};

const NONE: Option<u64> = None;
const THINGS: &str = r#"app_things_total{kind="a \"b\"\\"}"#;

fn reading(value: impl Into<Reading>) -> Reading {
    value.into()
}

#[test]
fn unknown_figures_are_absent_with_their_heads() {
    let registry = Registry::new();
    let monitor = Scripted::standard("m");
    registry.register(Arc::clone(&monitor)).unwrap();
    let exporter = start_on(&registry, |builder| builder);
    let names = ["app_things_total", "app_level_bytes", "app_work_seconds_total"];
    let absent = |text: &str| names.iter().all(|name| !text.contains(name));
    assert!(absent(&exporter.render()), "nothing is known yet");

    monitor.set([reading(5_u64), reading(7_u64), reading(Duration::from_millis(1500))]);
    registry.update();
    let text = get(&exporter, "/metrics").text().to_owned();
    assert_eq!(value(&text, THINGS), Some("5"), "{text}");
    assert_eq!(value(&text, "app_level_bytes"), Some("7"));
    assert_eq!(value(&text, "app_work_seconds_total"), Some("1.5"));
    for name in names {
        assert!(text.contains(&format!("# HELP {name} ")) && text.contains(&format!("# TYPE {name} ")), "{name}");
    }

    monitor.set([reading(NONE), reading(NONE), reading(NONE)]);
    registry.update();
    let text = exporter.render();
    assert!(absent(&text), "{text}");
    assert!(!text.contains("NaN"), "{text}");

    monitor.set([reading(6_u64), reading(0_u64), reading(Duration::from_secs(2))]);
    registry.update();
    let text = exporter.render();
    assert_eq!(value(&text, THINGS), Some("6"));
    assert_eq!(value(&text, "app_level_bytes"), Some("0"), "zero is a value");
    assert_eq!(value(&text, "app_work_seconds_total"), Some("2"));
}

#[test]
fn one_absent_series_leaves_the_others_of_its_metric() {
    let registry = Registry::new();
    let both = vec![reading(1_u64), reading(2_u64)];
    let monitor = Scripted::new("m", both, |series| {
        series.counter("app_runs_total", Unit::Count, "Runs.").label("pass", "a");
        series.counter("app_runs_total", Unit::Count, "Runs.").label("pass", "b");
    });
    registry.register(Arc::clone(&monitor)).unwrap();
    let exporter = start_on(&registry, |builder| builder.add_global_label("site", "x"));
    let series = |pass: &str| format!("app_runs_total{{site=\"x\",pass=\"{pass}\"}}");
    let text = exporter.render();
    assert_eq!((value(&text, &series("a")), value(&text, &series("b"))), (Some("1"), Some("2")), "{text}");
    monitor.set([reading(NONE), reading(3_u64)]);
    registry.update();
    let text = exporter.render();
    assert_eq!((value(&text, &series("a")), value(&text, &series("b"))), (None, Some("3")), "{text}");
}

#[test]
fn counters_never_fall_when_their_monitor_begins_anew() {
    let registry = Registry::new();
    let exporter = start_on(&registry, |builder| builder);
    let run = |things: u64, work: Duration| {
        let monitor = Scripted::standard("m");
        monitor.set([reading(things), reading(1_u64), reading(work)]);
        registry.register(monitor).unwrap();
        let text = exporter.render();
        registry.unregister("m");
        let gone = exporter.render();
        assert!(!gone.contains("app_things_total") && !gone.contains("app_level_bytes"), "{gone}");
        (value(&text, THINGS).unwrap().to_owned(), value(&text, "app_work_seconds_total").unwrap().to_owned())
    };
    assert_eq!(run(10, Duration::from_secs(4)), ("10".into(), "4".into()));
    assert_eq!(run(3, Duration::from_secs(1)), ("13".into(), "5".into()), "begun anew: added to what was");
    assert_eq!(run(5, Duration::from_secs(2)), ("15".into(), "6".into()), "gone on: not added again");
    assert_eq!(run(5, Duration::from_secs(2)), ("15".into(), "6".into()));
}

#[test]
fn histograms_are_whole() {
    let registry = Registry::new();
    let histogram = Arc::new(Histogram::new([Duration::from_millis(10), Duration::from_millis(20)]));
    let shared = Arc::clone(&histogram);
    let monitor = Scripted::new("m", Vec::new(), move |series| {
        series.histogram("app_frame_seconds", "Time of a frame, in seconds.", &shared).label("lane", "main");
    });
    registry.register(monitor).unwrap();
    let exporter = start_on(&registry, |builder| builder);
    for ms in [5, 10, 15, 100] {
        histogram.record(Duration::from_millis(ms));
    }
    let text = exporter.render();
    let bucket = |le: &str| value(&text, &format!("app_frame_seconds_bucket{{lane=\"main\",le=\"{le}\"}}"));
    assert_eq!((bucket("0.01"), bucket("0.02"), bucket("+Inf")), (Some("2"), Some("3"), Some("4")), "{text}");
    assert_eq!(value(&text, "app_frame_seconds_count{lane=\"main\"}"), Some("4"));
    assert_eq!(value(&text, "app_frame_seconds_sum{lane=\"main\"}"), Some("0.13"));
    assert_eq!(text.matches("# TYPE app_frame_seconds histogram").count(), 1);
}

#[test]
fn a_figure_s_own_label_stands_above_a_global_one_of_the_same_name() {
    let registry = Registry::new();
    let histogram = Arc::new(Histogram::for_frames());
    histogram.record(Duration::from_millis(7));
    let monitor = Scripted::new("m", vec![reading(1_u64), reading(Duration::from_secs(2))], move |series| {
        series.gauge("app_level_bytes", Unit::Bytes, "A level.").label("lane", "main");
        series.counter("app_work_seconds_total", Unit::Seconds, "Work.").label("lane", "main");
        series.histogram("app_frame_seconds", "Time of a frame.", &histogram).label("lane", "main");
    });
    registry.register(monitor).unwrap();
    let text = start_on(&registry, |builder| builder.add_global_label("lane", "all")).render();
    for (name, expected) in
        [("app_level_bytes", "1"), ("app_work_seconds_total", "2"), ("app_frame_seconds_count", "1")]
    {
        assert_eq!(value(&text, &format!("{name}{{lane=\"main\"}}")), Some(expected), "{text}");
    }
}

#[test]
fn the_application_s_own_metrics_stand_beside_ours() {
    let registry = Registry::new();
    let exporter = start_on(&registry, |builder| builder.application_buckets([0.5, 1.0]));
    metrics::with_local_recorder(&*exporter.recorder(), || {
        metrics::counter!("game_shots_total", "weapon" => "bow").increment(3);
        metrics::histogram!("game_think_seconds").record(0.7);
    });
    let text = exporter.render();
    assert_eq!(value(&text, "game_shots_total{weapon=\"bow\"}"), Some("3"), "{text}");
    assert_eq!(value(&text, "game_think_seconds_bucket{le=\"1\"}"), Some("1"), "{text}");
}

#[test]
fn figures_join_a_recorder_that_is_there_already() {
    let theirs = PrometheusBuilder::new().build_recorder();
    let handle = theirs.handle();
    let own = Metadata::new("app", Level::INFO, None);
    theirs.register_counter(&Key::from_name("game_shots_total"), &own).absolute(2);
    let registry = Registry::new();
    let monitor = Scripted::standard("m");
    monitor.set([reading(5_u64), reading(7_u64)]);
    registry.register(monitor).unwrap();
    let exporter = start_on(&registry, |builder| builder.join(Arc::new(theirs)));
    wait_until("the joined recorder has the figures", || value(&handle.render(), THINGS) == Some("5"));
    assert_eq!(value(&handle.render(), "app_level_bytes"), Some("7"));
    assert_eq!(value(&handle.render(), "game_shots_total"), Some("2"));
    assert_eq!(value(&exporter.render(), THINGS), Some("5"));
}

#[test]
fn constant_labels_stand_in_one_place() {
    let registry = Registry::new();
    registry
        .register(Scripted::new("m", vec![reading(1_u64)], |series| {
            series.gauge("app_level_bytes", Unit::Bytes, "Level.");
        }))
        .unwrap();
    let exporter = start_on(&registry, |builder| builder.app("engine", "1.2").constant_label("scene", "a \"b\"\n"));
    let text = exporter.render();
    assert_eq!(text.matches("scene=").count(), 1, "{text}");
    assert!(text.contains(r#",app="engine",app_version="1.2",scene="a \"b\"\n"} 1"#), "{text}");
}

/// `promtool check metrics` also reads the text as Prometheus does.
#[test]
fn promtool_finds_nothing() {
    let registry = Registry::new();
    let monitor = Scripted::standard("m");
    monitor.set([reading(5_u64), reading(7_u64), reading(Duration::from_millis(1500))]);
    registry.register(monitor).unwrap();
    let histogram = Arc::new(Histogram::for_frames());
    histogram.record(Duration::from_millis(7));
    registry
        .register(Scripted::new("h", Vec::new(), move |series| {
            series.histogram("app_frame_seconds", "Time of a frame, in seconds.", &histogram).label("lane", "main");
        }))
        .unwrap();
    let exporter = start_on(&registry, |builder| builder.app("engine", "1").add_global_label("site", "x"));
    assert_eq!(get(&exporter, "/nothing").status, 404);
    let text = get(&exporter, "/metrics").body;
    let promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut promtool = match promtool {
        Ok(promtool) => promtool,
        Err(error) => {
            println!("skipped (1): promtool cannot be run ({error}); install it with `apt-get install prometheus`");
            return;
        }
    };
    std::io::Write::write_all(&mut promtool.stdin.take().unwrap(), &text).unwrap();
    let found = promtool.wait_with_output().unwrap();
    let problems = String::from_utf8_lossy(&found.stderr);
    assert!(found.status.success() && problems.is_empty(), "{problems}\n{}", String::from_utf8_lossy(&text));
}
