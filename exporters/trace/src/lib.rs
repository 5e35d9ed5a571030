//! What engine-vitals knows in files: resource events as JSON lines, in the schema of `docs/EVENTS.md`, and as a trace that
//! [Perfetto](https://ui.perfetto.dev) opens, as `docs/TRACE.md` tells; the heap's call sites as a profile that pprof opens.
//!
//! ```text
//!  hooks ─▶ rings ─▶ EventCursor ─▶ a thread ─┬─ EventLog ──▶ one object per line ─▶ any io::Write
//!                                             └─ TraceFile ─▶ Perfetto's packets ──▶ any io::Write
//! ```
//!
//! - [`EventLog`] and [`TraceFile`] follow a tracker's events on a thread of their own. Hooks never write and never wait
//!   for the writer: what it is too slow for is overwritten in the rings, and counted.
//! - [`write_pprof`] writes a heap profile.
//! - [`EventLine`] is one event as it is written, and [`write_event`] writes one, for dumps.
//!
//! Events are recorded at [`Level::Events`](engine_vitals_core::probe::Level::Events), which whoever makes the tracker
//! sets; the log leaves the level alone.
//!
//! ```
//! use engine_vitals_core::{probe::{Level, New}, tracker::Tracker};
//! use engine_vitals_trace::{EventLog, Options};
//! use std::sync::Arc;
//!
//! let tracker = Arc::new(Tracker::builder().level(Level::Events).build());
//! let mut log = EventLog::start(Arc::clone(&tracker), std::io::stderr(), Options::new())?;
//! drop(tracker.probe().create(New::texture(4 * 256 * 256)));
//! assert!(log.stop()); // or drop it: what is left is written
//! assert_eq!((log.delivered(), log.lost()), (2, 0));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A line, here broken in two:
//! ```json
//! {"ts":1700000000000,"backend":"Vulkan","event":"Create","resourceType":"texture","resourceId":65,"threadId":5060351,
//!  "width":256,"height":256,"depthOrLayers":1,"bytes":262144,"ownerKind":"transient","sequence":0,"tookUs":12.5}
//! ```
//! What is unknown or does not apply is absent: never `null`, and never 0 in place of a figure. Where events were lost, a
//! line without `event` says how many: `{"ts":1700000000050,"lost":12}`. A frame that took too long has a line with `hitch`, where the log was
//! given a monitor of them ([`Options::hitches`]).

mod file;
mod hitch_line;
mod line;
mod log;
mod perfetto;
mod pprof;
mod pump;

pub use file::{TraceFile, TraceOptions};
pub use line::{EventLine, write_event};
pub use log::EventLog;
pub use pprof::write_pprof;
pub use pump::Options;
