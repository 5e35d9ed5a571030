//! The page at `/`: what this program is, where its figures are and how its monitors do. Pure: facts in, HTML out.

use std::fmt::Write;
use std::time::Duration;

use engine_vitals_core::registry::MonitorState;

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

    #[test]
    fn names_cannot_become_markup() {
        let line = MonitorLine { id: "<script>", resource: "a&b", state: MonitorState::Failed };
        let html = page("\"<b>'", Some("1.0"), false, false, &[line], &["<i>near</i>".to_owned()]);
        assert!(!html.contains("<script>") && !html.contains("<b>") && !html.contains("<i>"), "{html}");
        assert!(html.contains("&lt;script&gt;") && html.contains("a&amp;b") && html.contains("panicked"), "{html}");
        assert!(html.contains("&quot;&lt;b&gt;&#39; 1.0") && html.contains("&lt;i&gt;near"), "{html}");
    }
}
