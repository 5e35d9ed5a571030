//! The figures as plain text: a page, or one line. Pure.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

use super::passes::{Hitches, Pass};
use super::rates::{Health, Quantile, Rates, Resource, Tag, Timing};
use super::state::Watched;
use super::stores::{Pool, Ring, Targets};
use super::units::{bytes, count, percent, rate, seconds};

/// All figures, for `--once`.
pub(crate) fn page(watched: &Watched) -> String {
    let Some(rates) = watched.rates() else { return String::new() };
    let mut out = format!("{}: {}\n", watched.url(), identity(rates));
    let interval = watched.interval().as_secs_f64();
    let _ = writeln!(out, "{} series, rates over {interval} s{}\n", rates.series, losses(rates));
    section(&mut out, &["times", "per second", "mean", "~p50", "~p95"], timings(rates));
    if !rates.passes.is_empty() {
        section(&mut out, &["GPU passes", "runs/s", "mean", "per second"], passes(rates));
    }
    if !rates.hitches.is_empty() {
        section(&mut out, &["hitches", "in all", "new"], hitches(rates));
    }
    section(&mut out, &["memory", ""], memory(rates));
    if !rates.tags.is_empty() {
        section(&mut out, &["heap by tag", "bytes", "blocks", "allocs/s", "allocated/s"], tags(rates));
    }
    section(&mut out, &["VRAM", ""], vram(rates));
    if !rates.rings.is_empty() {
        let header =
            ["staging rings", "bytes", "in flight", "written/s", "copies/s", "stalls", "stalled in 1 s", "apart"];
        section(&mut out, &header, rings(rates));
    }
    if !rates.pools.is_empty() {
        let header = [
            "memory pools",
            "reserved",
            "allocated",
            "loss",
            "blocks",
            "waiting",
            "slabs",
            "allocs/s",
            "moved/s",
            "refused",
        ];
        section(&mut out, &header, pools(rates));
    }
    if !rates.targets.is_empty() {
        section(&mut out, &["render target pools", "in use", "kept", "reused/s", "made/s"], targets(rates));
    }
    section(&mut out, &["resources", "live", "bytes", "created/s", "destroyed/s"], resources(rates));
    section(&mut out, &["submissions", ""], submissions(rates));
    section(&mut out, &["monitors", "state", "per update", "updates/s", "failures", "usage"], monitors(rates));
    out
}

/// The figures that matter most, for where there is no terminal.
pub(crate) fn line(watched: &Watched) -> String {
    let Some(rates) = watched.rates() else { return String::new() };
    let gpu = rates.timings.iter().find(|timing| timing.name == "GPU frame").and_then(|timing| timing.mean);
    let sum = |of: fn(&Resource) -> Option<f64>| rates.resources.iter().filter_map(of).reduce(|a, b| a + b);
    format!(
        "fps {}  frame {}  gpu {}  heap {}  rss {}  vram live {} reserved {}  resources {} +{}/s -{}/s  {}",
        rate(rates.frame.map(|frame| frame.per_second)),
        seconds(rates.frame.and_then(|frame| frame.mean)),
        seconds(gpu),
        bytes(rates.heap.live_bytes),
        bytes(rates.resident_bytes),
        bytes(rates.vram.live_bytes),
        bytes(rates.vram.reserved_bytes),
        count(sum(|resource| resource.live)),
        rate(sum(|resource| resource.created_per_second)),
        rate(sum(|resource| resource.destroyed_per_second)),
        health(rates),
    )
}

/// Who answered: application, engine-vitals, adapter.
pub(crate) fn identity(rates: &Rates) -> String {
    let identity = &rates.identity;
    let words =
        |parts: &[&Option<String>]| parts.iter().filter_map(|part| part.as_deref()).collect::<Vec<_>>().join(" ");
    let app = words(&[&identity.app, &identity.app_version]);
    let version = identity.version.as_ref().map(|version| format!("engine-vitals {version}")).unwrap_or_default();
    let adapter = words(&[&identity.adapter, &identity.backend]);
    let driver = identity.driver.as_ref().map(|driver| format!("driver {driver}")).unwrap_or_default();
    let parts: Vec<_> = [app, version, adapter, driver].into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "an engine that does not name itself".to_owned() } else { parts.join(" · ") }
}

/// How the monitors fare, in a few words.
pub(crate) fn health(rates: &Rates) -> String {
    let named = |state| {
        let names = rates.monitors.iter().filter(|health| health.well == state).map(|health| health.name.as_str());
        names.collect::<Vec<_>>()
    };
    let (failing, well) = (named(Some(false)), named(Some(true)));
    if !failing.is_empty() {
        format!("monitors failing or stale: {}", failing.join(", "))
    } else if well.is_empty() {
        "monitors -".to_owned()
    } else {
        format!("monitors {} well", well.len())
    }
}

/// What engine-vitals could not keep, in words that follow others; empty where there is nothing.
pub(crate) fn losses(rates: &Rates) -> String {
    let each = rates.losses.iter().map(|(what, lost)| format!("{} {what}", count(Some(*lost))));
    let all = each.collect::<Vec<_>>().join(", ");
    if all.is_empty() { all } else { format!(", lost: {all}") }
}

/// Name, per second, mean, quantiles.
pub(crate) fn timings(rates: &Rates) -> Vec<Vec<String>> {
    let quantile = |quantile| match quantile {
        None => seconds(None),
        Some(Quantile::About(time)) => seconds(Some(time)),
        Some(Quantile::Above(time)) => format!(">{}", seconds(Some(time))),
    };
    let row = |timing: &Timing| {
        let [p50, p95] = [timing.p50, timing.p95].map(quantile);
        vec![timing.name.clone(), rate(timing.per_second), seconds(timing.mean), p50, p95]
    };
    rates.timings.iter().map(row).collect()
}

/// Pass on the GPU, runs per second, time of a run, time in a second.
pub(crate) fn passes(rates: &Rates) -> Vec<Vec<String>> {
    let row =
        |pass: &Pass| vec![pass.name.clone(), rate(pass.runs_per_second), seconds(pass.mean), seconds(pass.share)];
    rates.passes.iter().map(row).collect()
}

/// Cause, frames since the start, frames in between.
pub(crate) fn hitches(rates: &Rates) -> Vec<Vec<String>> {
    let row = |hitches: &Hitches| vec![hitches.cause.clone(), count(Some(hitches.count)), count(hitches.new)];
    rates.hitches.iter().map(row).collect()
}

/// Kind, live, bytes, created and destroyed per second.
pub(crate) fn resources(rates: &Rates) -> Vec<Vec<String>> {
    let row = |resource: &Resource| {
        vec![
            resource.kind.clone(),
            count(resource.live),
            bytes(resource.live_bytes),
            rate(resource.created_per_second),
            rate(resource.destroyed_per_second),
        ]
    };
    rates.resources.iter().map(row).collect()
}

/// Ring, bytes, bytes in flight, bytes written and copies per second, stalls in between, time of them in a second.
pub(crate) fn rings(rates: &Rates) -> Vec<Vec<String>> {
    let row = |ring: &Ring| {
        vec![
            ring.name.clone(),
            bytes(ring.bytes),
            bytes(ring.in_flight),
            bytes(ring.written_per_second),
            rate(ring.copies_per_second),
            count(ring.stalls),
            seconds(ring.stalled),
            count(ring.dedicated),
        ]
    };
    rates.rings.iter().map(row).collect()
}

/// Pool, bytes reserved and allocated, loss, blocks, allocations and bytes moved per second, requests refused since the start.
pub(crate) fn pools(rates: &Rates) -> Vec<Vec<String>> {
    let row = |pool: &Pool| {
        vec![
            pool.name.clone(),
            bytes(pool.reserved),
            bytes(pool.allocated),
            percent(pool.loss),
            count(pool.blocks),
            count(pool.waiting),
            count(pool.slabs),
            rate(pool.allocations_per_second),
            bytes(pool.moved_per_second),
            count(pool.failures),
        ]
    };
    rates.pools.iter().map(row).collect()
}

/// Pool of render targets, bytes in use and kept, reused and made per second.
pub(crate) fn targets(rates: &Rates) -> Vec<Vec<String>> {
    let row = |pool: &Targets| {
        vec![
            pool.name.clone(),
            bytes(pool.used),
            bytes(pool.idle),
            rate(pool.reused_per_second),
            rate(pool.created_per_second),
        ]
    };
    rates.targets.iter().map(row).collect()
}

/// Tag of the heap, live bytes and blocks, allocations and bytes allocated per second.
pub(crate) fn tags(rates: &Rates) -> Vec<Vec<String>> {
    let row = |tag: &Tag| {
        vec![
            tag.name.clone(),
            bytes(tag.live_bytes),
            count(tag.live_allocations),
            rate(tag.allocations_per_second),
            bytes(tag.allocated_bytes_per_second),
        ]
    };
    rates.tags.iter().map(row).collect()
}

/// Name, state, seconds per update, updates per second, failures since the start, usage.
pub(crate) fn monitors(rates: &Rates) -> Vec<Vec<String>> {
    let state = |well| match well {
        Some(true) => "well",
        Some(false) => "FAILING",
        None => "-",
    };
    let row = |health: &Health| {
        vec![
            health.name.clone(),
            state(health.well).to_owned(),
            seconds(health.seconds_per_update),
            rate(health.updates_per_second),
            count(health.failures),
            bytes(health.usage_bytes),
        ]
    };
    rates.monitors.iter().map(row).collect()
}

/// Names and figures of the heap, the process and the machine, those that matter most first.
pub(crate) fn memory(rates: &Rates) -> Vec<Vec<String>> {
    let heap = &rates.heap;
    vec![
        vec!["heap live".to_owned(), bytes(heap.live_bytes)],
        vec!["heap peak".to_owned(), bytes(heap.peak_bytes)],
        vec!["allocations/s".to_owned(), rate(heap.allocations_per_second)],
        vec!["process resident".to_owned(), bytes(rates.resident_bytes)],
        vec!["allocated/s".to_owned(), bytes(heap.allocated_bytes_per_second)],
        vec!["live allocations".to_owned(), count(heap.live_allocations)],
        vec!["system available".to_owned(), bytes(rates.system_available_bytes)],
    ]
}

/// Names and figures of the adapter's memory. They overlap: no sum of them means anything.
pub(crate) fn vram(rates: &Rates) -> Vec<Vec<String>> {
    let vram = &rates.vram;
    let mut rows = vec![
        vec!["live".to_owned(), bytes(vram.live_bytes)],
        vec!["pending".to_owned(), bytes(vram.pending_bytes)],
        vec!["allocated".to_owned(), bytes(vram.allocated_bytes)],
        vec!["reserved".to_owned(), bytes(vram.reserved_bytes)],
    ];
    for source in &vram.sources {
        rows.push(vec![format!("used ({})", source.name), bytes(source.used_bytes)]);
        for (what, of) in [("budget", source.budget_bytes), ("capacity", source.capacity_bytes)] {
            rows.extend(of.map(|of| vec![format!("{what} ({})", source.name), bytes(Some(of))]));
        }
    }
    rows
}

/// Names and figures of submissions and packets, those that matter most first.
pub(crate) fn submissions(rates: &Rates) -> Vec<Vec<String>> {
    let submissions = &rates.submissions;
    let mut rows = vec![
        vec!["submitted/s".to_owned(), rate(submissions.submitted_per_second)],
        vec!["in flight".to_owned(), count(submissions.in_flight)],
        vec!["completed/s".to_owned(), rate(submissions.completed_per_second)],
        vec!["mean latency".to_owned(), seconds(submissions.latency.mean)],
        vec!["unsubmitted".to_owned(), bytes(submissions.unsubmitted_bytes)],
        vec!["packets queued/s".to_owned(), rate(submissions.packets_queued_per_second)],
    ];
    let by_result = submissions.packets_per_second.iter();
    rows.extend(by_result.map(|(result, value)| vec![format!("packets {result}/s"), rate(*value)]));
    rows
}

fn section(out: &mut String, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    table.add_rows(rows);
    if table.is_empty() {
        table.add_row(["-"]);
    }
    for numbers in table.column_iter_mut().skip(1) {
        numbers.set_cell_alignment(CellAlignment::Right);
    }
    for line in table.lines() {
        // Cells have a space on either side.
        out.push_str(line.trim_end().strip_prefix(' ').unwrap_or(&line));
        out.push('\n');
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::watch::sample::Sample;

    fn watched(texts: &[&str]) -> Watched {
        let mut watched = Watched::new("http://h:1/metrics".to_owned(), Duration::from_secs(1));
        let start = Instant::now();
        for (index, text) in texts.iter().enumerate() {
            watched.take(Ok(Sample::read(text).unwrap()), start + Duration::from_secs(index as u64));
        }
        watched
    }

    #[test]
    fn what_an_engine_lacks_is_a_dash() {
        let one = watched(&["vitals_other 1"]);
        assert_eq!(
            line(&one),
            "fps -  frame -  gpu -  heap -  rss -  vram live - reserved -  resources - +-/s --/s  monitors -"
        );
        let page = page(&one);
        assert!(page.starts_with("http://h:1/metrics: an engine that does not name itself\n1 series"), "{page}");
        let rows = page.lines().skip(3).filter(|line| !line.is_empty());
        let digits: Vec<_> =
            rows.filter(|line| line.replace("~p50", "").replace("~p95", "").contains(char::is_numeric)).collect();
        assert!(digits.is_empty(), "{digits:?}");
    }

    #[test]
    fn failing_monitors_are_named() {
        let one = watched(&["vitals_monitor_success{monitor=\"a\"} 1\nvitals_monitor_success{monitor=\"b\"} 0"]);
        assert!(line(&one).ends_with("monitors failing or stale: b"));
        assert!(page(&one).contains("FAILING"));
    }

    #[test]
    fn losses_are_told_where_there_are_any() {
        let text = "vitals_events_lost_total 7\nvitals_untracked_resources_total 0\nvitals_label_overflow_total 2";
        assert!(page(&watched(&[text])).contains("3 series, rates over 1 s, lost: 7 events, 2 labels\n"));
        assert!(page(&watched(&["vitals_events_lost_total 0"])).contains("1 series, rates over 1 s\n"));
    }

    #[test]
    fn identity_names_what_is_known() {
        let one = watched(&["vitals_build_info{app=\"demo\",app_version=\"2\",version=\"0.1.0\"} 1\n\
             vitals_adapter_info{adapter=\"A (x, y)\",backend=\"Vulkan\",driver=\"D 1\"} 1"]);
        assert_eq!(identity(one.rates().unwrap()), "demo 2 · engine-vitals 0.1.0 · A (x, y) Vulkan · driver D 1");
    }
}
