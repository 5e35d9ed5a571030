//! The main job, end to end: a real engine is scraped by a real Prometheus that runs the shipped configuration, and
//! the shipped dashboard finds an answer to every question that it asks.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod dashboard;
mod engine;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod table;

use dashboard::{Dashboard, Question};
use engine::Engine;
use server::Prometheus;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. Nothing waits that long when all is well.
const GUARD: Duration = Duration::from_secs(120);

/// Engines with the standard monitors stay below it, without what the engine switches on beyond them.
const SERIES: f64 = 500.0;
const SWITCHED_ON: &str = "vitals_heap_(tag|allocation_size)_.+";

/// What has no figure where there is nothing to measure, and why there may be none.
const ABSENT: [(&str, &str); 4] = [
    ("vitals_gpu_engine_busy_seconds_total", NO_ACCOUNTS),
    ("vitals_gpu_busy_ratio", NO_ACCOUNTS),
    ("vitals_vram_device_used_bytes", NO_ACCOUNTS),
    ("vitals_soft_budget_exhaustion_seconds", "the engine's use of GPU memory does not grow"),
];
const NO_ACCOUNTS: &str = "no driver keeps account of the adapter";

/// Families of which at least one figure must move while the engine runs.
const MOVING: [&str; 7] = [
    "vitals_heap_.+",
    "vitals_frames?_.+",
    "vitals_gpu_.+",
    "vitals_vram_.+",
    "vitals_resources?_.+",
    "vitals_staging_.+",
    "vitals_pool_.+",
];

#[test]
fn a_running_engine_answers_the_dashboard_and_the_rules() {
    let test = "a_running_engine_answers_the_dashboard_and_the_rules";
    let Some(program) = Prometheus::program(test) else { return };
    let Some(engine) = Engine::start(test) else { return };
    let prometheus = Prometheus::start(program, &engine.address());
    prometheus.wait_until("min(up{job=\"engine\"}) == 1");

    every_question_is_answered(&prometheus);
    rules_are_healthy(&prometheus);
    every_series_is_documented(&prometheus);
    for family in MOVING {
        let names = prometheus.label_values("__name__", &format!("{{job=\"engine\", __name__=~\"{family}\"}}"));
        let moves = |name: &String| format!("max(changes({name}{{job=\"engine\"}}[1m])) > 0");
        prometheus.wait_until(&names.expect("names").iter().map(moves).collect::<Vec<_>>().join(" or "));
    }
    let standard = format!("{{job=\"engine\", __name__=~\"vitals_.+\", __name__!~\"{SWITCHED_ON}\"}}");
    let series = prometheus.number(&format!("count({standard})"));
    assert!(series < SERIES, "{series} series");
    promtool_finds_nothing(&engine.scrape());
}

#[test]
fn the_dashboard_is_one_that_grafana_provisions() {
    let faults = Dashboard::shipped().faults();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Every expression parses, and answers with at least one number and only with finite ones. A rate needs a few scrapes
/// and a quantile needs frames, so each gets its time.
fn every_question_is_answered(prometheus: &Prometheus) {
    let questions = Dashboard::shipped().questions(prometheus);
    assert!(questions.len() > 40, "only {} questions were found in the dashboard", questions.len());
    let unparsed: Vec<_> = questions.iter().filter_map(|question| question.parse(prometheus).err()).collect();
    assert!(unparsed.is_empty(), "questions that do not parse:\n{}", unparsed.join("\n"));

    let start = Instant::now();
    let mut open: Vec<&Question> = questions.iter().collect();
    loop {
        let mut unanswered = Vec::new();
        open.retain(|question| match question.ask(prometheus) {
            Ok(()) => false,
            Err(why) => {
                unanswered.push(why);
                true
            }
        });
        let absent = |question: &&Question| ABSENT.iter().find(|(metric, _)| question.asks_for(metric));
        if open.iter().all(|question| absent(question).is_some()) {
            let without: BTreeSet<_> = open.iter().filter_map(absent).collect();
            without.iter().for_each(|(metric, why)| support::skipped(metric, why));
            return;
        }
        assert!(start.elapsed() < GUARD, "questions without an answer:\n{}", unanswered.join("\n"));
        std::thread::sleep(Duration::from_millis(250));
    }
}

fn rules_are_healthy(prometheus: &Prometheus) {
    let start = Instant::now();
    loop {
        let rules = prometheus.rules();
        assert!(!rules.is_empty(), "no rule is loaded");
        match rules.iter().find(|(_, health)| health != "ok") {
            None => return,
            Some((rule, health)) => {
                assert!(health != "err" && start.elapsed() < GUARD, "the rule {rule} is {health}");
                std::thread::sleep(Duration::from_millis(250));
            }
        }
    }
}

/// What is served is in docs/METRICS.md, with its kind, its meaning and no label that the page does not name.
fn every_series_is_documented(prometheus: &Prometheus) {
    let page = documented();
    let mut faults = BTreeSet::new();
    for (name, kind, help) in prometheus.metadata("vitals_") {
        match page.get(name.as_str()) {
            None => faults.insert(format!("{name} is missing")),
            Some(row) if row.kind != kind => faults.insert(format!("{name}: {kind} is served, {} written", row.kind)),
            Some(row) if row.help != help => {
                faults.insert(format!("{name}: {help:?} is served, {:?} written", row.help))
            }
            Some(_) => false,
        };
    }
    for labels in prometheus.series("{job=\"engine\", __name__=~\"vitals_.+\"}") {
        let name = labels["__name__"].as_str();
        let ends = ["", "_bucket", "_sum", "_count"];
        if name == "vitals_build_info" {
            continue; // Its labels are the application's own.
        }
        let Some(row) = ends.iter().find_map(|end| page.get(name.strip_suffix(end)?)) else { continue };
        for label in labels.keys().filter(|label| !["__name__", "le"].contains(&label.as_str())) {
            if !row.labels.contains(&label.as_str()) {
                faults.insert(format!("{name}: the label {label} is missing"));
            }
        }
    }
    assert!(faults.is_empty(), "docs/METRICS.md is not what the engine serves: {faults:#?}");
}

struct Row<'a> {
    kind: &'a str,
    labels: Vec<&'a str>,
    help: String,
}

/// The rows of docs/METRICS.md.
fn documented() -> BTreeMap<&'static str, Row<'static>> {
    let row = |line: &'static str| {
        let cells: Vec<_> = line.strip_prefix("| `vitals_").map(|_| line.splitn(7, " | ").collect())?;
        let [name, kind, _unit, labels, help] = cells[..] else { return None };
        let labels = labels.split(',').map(|label| label.trim().trim_matches('`')).collect();
        let help = help.trim_end_matches(" |").replace("\\|", "|");
        Some((name.trim_matches(['|', ' ', '`']), Row { kind, labels, help }))
    };
    include_str!("../../docs/METRICS.md").lines().filter_map(row).collect()
}

/// Prometheus's own linter of what is served.
fn promtool_finds_nothing(page: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool comes with Prometheus");
    promtool.stdin.take().expect("piped").write_all(page.as_bytes()).expect("promtool reads its input");
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "promtool: {}", String::from_utf8_lossy(&said));
}
