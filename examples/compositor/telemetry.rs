//! engine-vitals in the compositors: what is measured, where it is served, and what it says of a run.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use engine_vitals::analysis::{Leaks, Rules};
use engine_vitals::tracker::PASSING_KINDS;
use engine_vitals::{Registry, ResourceKind, Tracker, TrackingAllocator, Vitals};
use serde_json::{Value, json};

use super::failure::Failure;
use super::options::Options;

/// Counts the heap of this program.
#[global_allocator]
static HEAP: TrackingAllocator = TrackingAllocator::system();

/// Every frame is looked at, however long that takes: what a report says is then exact to the frame on a slow machine too.
const BUDGET: Duration = Duration::from_secs(1);

/// Resources made and destroyed for each frame shown, up to which the startup is over: a compositor at rest makes next to nothing.
const STABLE_RATIO: f64 = 0.5;

/// Starts measuring and serving. `scratch` is what the renderer makes anew for each picture.
pub(crate) fn start(options: &Options, scratch: &[ResourceKind]) -> Vitals {
    let mut rules = Rules::default();
    rules.stable_ratio = STABLE_RATIO;
    let vitals = Vitals::builder()
        .app(env!("CARGO_BIN_NAME"), env!("CARGO_PKG_VERSION"))
        .listen(options.listen)
        .tracker(Tracker::builder().passing_kinds(&[&PASSING_KINDS[..], scratch].concat()))
        .churn_rules(rules)
        .registry(Registry::builder().update_budget(BUDGET).monitor_budget(BUDGET))
        .start();
    match vitals.url() {
        Some(url) => println!("page:    {url}\nmetrics: {url}metrics"),
        None => println!("nothing listens on {}: {}", options.listen, vitals.notices().join("; ")),
    }
    vitals
}

/// Writes what engine-vitals saw as JSON: its report, what was never released,
/// and what the guards warned of.
///
/// # Errors
/// When there is no report or the file cannot be written.
pub(crate) fn write_report(vitals: &Vitals, path: &Path) -> Result<(), Failure> {
    let failed = |what: &dyn std::fmt::Display| Failure::Running(format!("--report {}: {what}", path.display()));
    let report = vitals.report().ok_or_else(|| failed(&"nothing was tracked"))?;
    let report: Value = serde_json::from_str(&report.to_json()).map_err(|error| failed(&error))?;
    let said = json!({ "telemetry": report, "leaks": leaks(vitals), "warnings": vitals.warnings() });
    let text = serde_json::to_string_pretty(&said);
    std::fs::write(path, text.map_err(|error| failed(&error))?).map_err(|error| failed(&error))
}

/// What was never released, by what it has in common, the biggest first.
fn leaks(vitals: &Vitals) -> Vec<Value> {
    let leaks = Leaks::find(vitals.tracker());
    let mut alike: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    for resource in &leaks.resources {
        let what = (&*resource.kind, resource.owner.as_deref(), resource.site.as_deref(), resource.label.as_deref());
        let (bytes, count) = alike.entry(what).or_default();
        *bytes += resource.held_bytes();
        *count += 1;
    }
    let mut alike: Vec<_> = alike.into_iter().collect();
    alike.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
    let value = |((kind, owner, site, label), (bytes, count))| json!({ "kind": kind, "owner": owner, "site": site, "label": label, "bytes": bytes, "count": count });
    alike.into_iter().map(value).collect()
}
