//! What the server counts about itself: everything refused, closed and capped. All of it is on `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::guard::Refusal;
use crate::render::{Labels, family};

/// Why the server closed a connection on its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Closed {
    /// The request's header did not arrive in time (a half-open connection).
    HeaderTimeout,
    /// Nothing was asked for too long.
    IdleTimeout,
    /// The client did not take its answer in time.
    WriteTimeout,
    /// The longest-waiting one, closed to make room for a newer one.
    Evicted,
    /// Turned away at the door: all connections allowed are at work.
    OverCapacity,
}

impl Closed {
    const ALL: [Self; 5] =
        [Self::HeaderTimeout, Self::IdleTimeout, Self::WriteTimeout, Self::Evicted, Self::OverCapacity];

    const fn reason(self) -> &'static str {
        match self {
            Self::HeaderTimeout => "header_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::Evicted => "evicted",
            Self::OverCapacity => "over_capacity",
        }
    }
}

/// The server's own counters: exact, lock-free, never reset.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) connections: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) scrapes: AtomicU64,
    pub(crate) coalesced: AtomicU64,
    gathers: AtomicU64,
    gather_nanos: AtomicU64,
    closed: [AtomicU64; Closed::ALL.len()],
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Stats {
    pub(crate) fn close(&self, why: Closed) {
        self.closed[why as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn refuse(&self, why: Refusal) {
        self.refused[why as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn gathered(&self, took: Duration) {
        self.gathers.fetch_add(1, Relaxed);
        self.gather_nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Appends the counters in the Prometheus text format. A reason appears once it has happened.
    pub(crate) fn write(&self, out: &mut String, labels: &Labels) {
        let count = |value: &AtomicU64| value.load(Relaxed).to_string();
        let seconds = Duration::from_nanos(self.gather_nanos.load(Relaxed)).as_secs_f64().to_string();
        let mut plain = |name, kind, help, value| family(out, name, kind, help, [(labels, value)]);
        let open = count(&self.connections);
        plain("vitals_exporter_connections", "gauge", "Open connections to the exporter.", open);
        let accepted = count(&self.accepted);
        plain("vitals_exporter_connections_total", "counter", "Connections that the exporter accepted.", accepted);
        let errors = count(&self.accept_errors);
        plain("vitals_exporter_accept_errors_total", "counter", "Connections that could not be accepted.", errors);
        plain("vitals_exporter_requests_total", "counter", "Requests that the exporter read.", count(&self.requests));
        plain("vitals_exporter_scrapes_total", "counter", "Scrapes that were answered.", count(&self.scrapes));
        let shared = count(&self.coalesced);
        plain("vitals_exporter_scrapes_coalesced_total", "counter", "Scrapes that shared another's gather.", shared);
        let gathers = count(&self.gathers);
        plain("vitals_exporter_gathers_total", "counter", "Times that the figures were gathered.", gathers);
        plain("vitals_exporter_gather_seconds_total", "counter", "Time spent in gathering, in seconds.", seconds);
        let closed = Closed::ALL.iter().zip(&self.closed).map(|(why, value)| (why.reason(), value));
        by_reason(
            out,
            labels,
            "vitals_exporter_connections_closed_total",
            "Connections that the exporter closed.",
            closed,
        );
        let refused = Refusal::ALL.iter().zip(&self.refused).map(|(why, value)| (why.reason(), value));
        by_reason(
            out,
            labels,
            "vitals_exporter_requests_refused_total",
            "Requests that the exporter refused.",
            refused,
        );
    }
}

/// The reasons that have happened.
fn by_reason<'a>(
    out: &mut String,
    labels: &Labels,
    name: &str,
    help: &str,
    rows: impl Iterator<Item = (&'static str, &'a AtomicU64)>,
) {
    let rows = rows.map(|(reason, value)| (reason, value.load(Relaxed))).filter(|(_, value)| *value > 0);
    let samples: Vec<_> = rows.map(|(reason, value)| (labels.and("reason", reason), value)).collect();
    if !samples.is_empty() {
        family(out, name, "counter", help, samples.iter().map(|(labels, value)| (labels, value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_happened_is_left_out() {
        let stats = Stats::default();
        stats.close(Closed::Evicted);
        stats.close(Closed::Evicted);
        let mut out = String::new();
        stats.write(&mut out, &Labels::default());
        assert!(out.contains("\nvitals_exporter_connections_closed_total{reason=\"evicted\"} 2\n"), "{out}");
        assert!(!out.contains("idle_timeout"), "{out}");
        assert!(!out.contains("requests_refused"), "{out}");
        assert!(out.contains("\nvitals_exporter_requests_total 0\n"), "{out}");
    }

    #[test]
    fn every_reason_has_its_own_place() {
        for (index, closed) in Closed::ALL.into_iter().enumerate() {
            assert_eq!(closed as usize, index);
        }
    }
}
