//! The page at `/`: what this program is, where its figures are, how its monitors do, what rings and pools it has. Pure: facts in, HTML out.

use std::fmt::Write;
use std::time::Duration;

use engine_vitals_core::contract::{StoreReport, bytes_to_mb};
use engine_vitals_core::registry::MonitorState;

/// Rings and pools that the page shows; more are counted.
const MOST_STORES: usize = 64;

/// A monitor, as the page shows it.
#[derive(Debug)]
pub(crate) struct MonitorLine<'a> {
    pub(crate) id: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) state: MonitorState,
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem;\
color:#1c2128;background:#fdfdfc}h1{font-weight:600;margin:0}p.sub{margin:.2rem 0 2rem;color:#667}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #e4e4e0}\
a{color:#0b6bcb}.good{color:#197b3d}.warn{color:#a4520a}\
@media(prefers-color-scheme:dark){body{color:#dfe3e8;background:#16191d}p.sub{color:#98a1ab}\
th,td{border-color:#2b3138}a{color:#6cb2ff}.good{color:#62c884}.warn{color:#f0a45d}}";

/// The page. `issues` are sentences about what is wrong.
pub(crate) fn page(
    app: &str,
    version: Option<&str>,
    has_dump: bool,
    has_heap: bool,
    monitors: &[MonitorLine<'_>],
    stores: &[StoreReport],
    issues: &[String],
) -> String {
    let mut html = String::with_capacity(2048 + monitors.len() * 128);
    let app = escape(app);
    let version = version.map_or_else(String::new, |version| format!(" {}", escape(version)));
    let dump = match has_dump {
        true => {
            " &middot; <a href=\"/dump.txt\">/dump.txt</a> <a href=\"/dump.json\">/dump.json</a> resources and last packets"
        }
        false => "",
    };
    let heap = match has_heap {
        true => {
            " &middot; <a href=\"/heap.txt\">/heap.txt</a> <a href=\"/heap.folded\">/heap.folded</a> \
             <a href=\"/heap.pb.gz\">/heap.pb.gz</a> call sites of the heap"
        }
        false => "",
    };
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{app} - Engine Vitals</title>\
         <style>{STYLE}</style></head><body><h1>{app}{version}</h1>\
         <p class=\"sub\">Engine Vitals {}</p>\
         <p><a href=\"/metrics\">/metrics</a> figures for Prometheus &middot; <a href=\"/healthz\">/healthz</a>{dump}{heap}</p>\
         <table><thead><tr><th>Monitor</th><th>Resource</th><th>State</th></tr></thead><tbody>",
        env!("CARGO_PKG_VERSION")
    );
    for MonitorLine { id, resource, state } in monitors {
        let (class, words) = words(*state);
        let (id, resource) = (escape(id), escape(resource));
        let _ = write!(html, "<tr><td>{id}</td><td>{resource}</td><td class=\"{class}\">{words}</td></tr>");
    }
    if monitors.is_empty() {
        html.push_str("<tr><td colspan=\"3\">No monitor is registered.</td></tr>");
    }
    html.push_str("</tbody></table>");
    store_table(&mut html, stores);
    if !issues.is_empty() {
        html.push_str("<ul>");
        for issue in issues {
            let _ = write!(html, "<li class=\"warn\">{}</li>", escape(issue));
        }
        html.push_str("</ul>");
    }
    html.push_str("</body></html>\n");
    html
}

/// Rings and pools, where there are any.
fn store_table(html: &mut String, stores: &[StoreReport]) {
    if stores.is_empty() {
        return;
    }
    html.push_str(
        "<table><thead><tr><th>Ring or pool</th><th></th><th>Bytes</th><th>Of them</th><th></th></tr></thead><tbody>",
    );
    let mib = |bytes: u64| format!("{:.2} MiB", bytes_to_mb(bytes));
    for store in stores.iter().take(MOST_STORES) {
        let (what, name, bytes, used, more) = match store {
            StoreReport::StagingRing(ring) => {
                let in_flight = ring.in_flight_bytes.iter().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
                let (stalls, seconds) = (ring.stalls, ring.stall_time.as_secs_f64());
                let more = format!(
                    "{stalls} stalls, {seconds:.3} s; {} writes apart, {} refused",
                    ring.dedicated, ring.failures
                );
                ("staging ring", &ring.name, ring.ring_bytes, format!("{} in flight", mib(in_flight)), more)
            }
            StoreReport::MemoryPool(pool) => {
                let loss = pool.loss_ratio().map_or_else(String::new, |loss| format!(", {:.1} % lost", loss * 100.0));
                let more = format!(
                    "{} blocks in {} slabs, {} waiting, {} moved, {} refused{loss}",
                    pool.blocks, pool.slabs, pool.waiting_blocks, pool.defrag_moves, pool.failures
                );
                let allocated = format!("{} allocated", mib(pool.allocated_bytes));
                ("memory pool", &pool.name, pool.reserved_bytes, allocated, more)
            }
            StoreReport::TargetPool(pool) => {
                let bytes = pool.used_bytes.saturating_add(pool.idle_bytes);
                let reuse = format!("{} made, {} reused", pool.created, pool.reused);
                ("render targets", &pool.name, bytes, format!("{} in use", mib(pool.used_bytes)), reuse)
            }
            _ => continue,
        };
        let name = escape(name);
        let _ = write!(
            html,
            "<tr><td>{name}</td><td>{what}</td><td>{}</td><td>{used}</td><td>{more}</td></tr>",
            mib(bytes)
        );
    }
    if stores.len() > MOST_STORES {
        let _ = write!(html, "<tr><td colspan=\"5\">and {} more</td></tr>", stores.len() - MOST_STORES);
    }
    html.push_str("</tbody></table>");
}

fn words(state: MonitorState) -> (&'static str, String) {
    let ago = |age: Duration| format!("{:.1} s ago", age.as_secs_f64());
    match state {
        MonitorState::Fresh(age) => ("good", format!("good, {}", ago(age))),
        MonitorState::Waiting => ("warn", "waiting for its first run".to_owned()),
        MonitorState::Stale(age) => ("warn", format!("stale, last run {}", ago(age))),
        MonitorState::Failed => ("warn", "its last run panicked".to_owned()),
        _ => ("warn", format!("{state:?}")),
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine_vitals_core::contract::{MemoryPoolReport, StagingRingReport};

    #[test]
    fn names_cannot_become_markup() {
        let line = MonitorLine { id: "<script>", resource: "a&b", state: MonitorState::Failed };
        let ring = StagingRingReport {
            name: "<u>up".into(),
            in_flight_bytes: vec![1 << 20; 2],
            dedicated: 6,
            ..Default::default()
        };
        let pool = MemoryPoolReport {
            name: "p".into(),
            reserved_bytes: 3 << 20,
            unusable_bytes: 3 << 19,
            slabs: 2,
            waiting_blocks: 4,
            failures: 5,
            ..Default::default()
        };
        let mut stores = vec![StoreReport::StagingRing(ring), StoreReport::MemoryPool(pool)];
        let issues = ["<i>near</i>".to_owned()];
        let html = page("\"<b>'", Some("1.0"), false, false, &[line], &stores, &issues);
        assert!(html.contains("&lt;u&gt;up") && !html.contains("<u>"), "{html}");
        assert!(html.contains("2.00 MiB in flight") && html.contains("<td>3.00 MiB</td>"), "{html}");
        assert!(html.contains("0 blocks in 2 slabs, 4 waiting, 0 moved, 5 refused, 50.0 % lost"), "{html}");
        assert!(html.contains("0 stalls, 0.000 s; 6 writes apart, 0 refused"), "{html}");
        stores.resize(100, stores[0].clone());
        let many = page("a", None, false, false, &[], &stores, &[]);
        assert!(many.contains("and 36 more") && !page("a", None, false, false, &[], &[], &[]).contains("Ring or pool"));
        assert!(!html.contains("<script>") && !html.contains("<b>") && !html.contains("<i>"), "{html}");
        assert!(html.contains("&lt;script&gt;") && html.contains("a&amp;b") && html.contains("panicked"), "{html}");
        assert!(html.contains("&quot;&lt;b&gt;&#39; 1.0") && html.contains("&lt;i&gt;near"), "{html}");
    }
}
