//! Serves the figures of an engine-vitals registry to Prometheus.
//!
//! ```text
//!  registry's table ─▶ bridge ─▶ recorder ─▶ render ─▶ server ─▶ /metrics
//!  the application's own `metrics` calls ──────┘
//! ```
//!
//! - [`Exporter`], made by [`ExporterBuilder`], ties the parts together.
//! - `bridge` takes the table over: gauges and counters through the [`metrics`] facade to a recorder of
//!   metrics-exporter-prometheus, histograms with fixed buckets beside it.
//! - `render` is the text itself: what is left out of the recorder's (unknown figures), what is added.
//!   Unknown is absent: a sample that is NaN, the application's own included, has no line.
//! - `server` is HTTP: limits, refusals, timeouts. It knows nothing of metrics.
//! - `dump` is what `/dump.json` and `/dump.txt` answer, where the program gives a source of dumps.
//! - `index` is the page at `/`.
//!
//! ```no_run
//! use engine_vitals_core::registry::Registry;
//! use engine_vitals_prometheus::Exporter;
//!
//! let registry = Registry::new();
//! let exporter = Exporter::builder(&registry).app("my-engine", "1.2.0").start()?;
//! println!("{}", exporter.url());
//! # Ok::<(), engine_vitals_prometheus::StartError>(())
//! ```

mod bridge;
mod dump;
mod exporter;
mod index;
mod render;
mod server;
mod ticker;

pub use exporter::{DEFAULT_PORT, Exporter, ExporterBuilder, StartError};
pub use server::HeapForm;
