//! What engine-vitals reports of a run, as far as the tests look at it.

use serde::Deserialize;

use crate::program::Owner;

/// The file that `--report` writes.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) telemetry: Telemetry,
    pub(crate) leaks: Vec<Leak>,
    pub(crate) warnings: Vec<Warning>,
}

/// The life of the program's resources, window by window.
#[derive(Debug, Deserialize)]
pub(crate) struct Telemetry {
    pub(crate) startup: Startup,
    pub(crate) steady_state: Option<Window>,
    pub(crate) shutdown: Option<Window>,
    pub(crate) readiness: Readiness,
}

/// What was reused, rebuilt and made anew.
#[derive(Debug, Deserialize)]
pub(crate) struct Readiness {
    pub(crate) kinds: Vec<Reuse>,
    pub(crate) queue_reuse_ratio: Option<f64>,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Reuse {
    pub(crate) kind: String,
    pub(crate) created: u64,
    pub(crate) reused: u64,
    pub(crate) recreated: u64,
    pub(crate) resize_requests: u64,
    pub(crate) resize_rebuilds: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Startup {
    pub(crate) ended: Option<String>,
    pub(crate) stable_packets: usize,
    pub(crate) presented_before_stable: Option<usize>,
    pub(crate) presented_at_stable: Option<usize>,
    pub(crate) window: Window,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Window {
    pub(crate) window: String,
    pub(crate) open: bool,
    pub(crate) packets: Packets,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) mean_lifetime_seconds: Option<f64>,
    pub(crate) contributors: Vec<Contributor>,
    pub(crate) recreate_loops: Vec<RecreateLoop>,
    pub(crate) destroy_bursts: Vec<Burst>,
    pub(crate) destroyed_resources: Vec<Destroyed>,
    pub(crate) destroyed_resources_left_out: u64,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Packets {
    pub(crate) queued: usize,
    pub(crate) presented: usize,
    pub(crate) dropped: usize,
    pub(crate) no_op: usize,
    pub(crate) failed: usize,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Kind {
    pub(crate) kind: String,
    pub(crate) created: usize,
    pub(crate) destroyed: usize,
    pub(crate) live: usize,
    pub(crate) mean_lifetime_seconds: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Contributor {
    pub(crate) owner: Owner,
    pub(crate) created: u64,
    pub(crate) destroyed: u64,
    pub(crate) site: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RecreateLoop {
    pub(crate) owner: Owner,
    pub(crate) remade: usize,
    pub(crate) replaced: usize,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Burst {
    pub(crate) destroyed: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Destroyed {
    pub(crate) kind: String,
    pub(crate) owner: Option<Owner>,
    pub(crate) site: Option<String>,
    pub(crate) created_in: Option<Packet>,
    pub(crate) destroyed_in: Option<Packet>,
    pub(crate) window: String,
    pub(crate) reason: String,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Packet {
    pub(crate) lane: String,
    pub(crate) number: u64,
}

/// Resources alike that were never released.
#[derive(Debug, Deserialize)]
pub(crate) struct Leak {
    pub(crate) kind: String,
    pub(crate) owner: Option<Owner>,
    pub(crate) site: Option<String>,
    pub(crate) count: usize,
}

/// What a guard warned of.
#[derive(Debug, Deserialize)]
pub(crate) struct Warning {
    pub(crate) guard: String,
    pub(crate) owner: Option<Owner>,
    pub(crate) site: Option<String>,
}

impl Telemetry {
    /// Startup, steady state and shutdown.
    pub(crate) fn windows(&self) -> [&Window; 3] {
        [&self.startup.window, self.steady_state.as_ref().unwrap(), self.shutdown.as_ref().unwrap()]
    }
}

impl Window {
    /// The figures of a kind of which there was one in the window.
    pub(crate) fn kind(&self, name: &str) -> Option<&Kind> {
        self.kinds.iter().find(|kind| kind.kind == name)
    }
}
