//! One call that sets everything up, with the defaults that most programs want.
//!
//! This room ties the others together and owns nothing that they do not have: whatever [`start`] does can be done by hand with a
//! [`Registry`](engine_vitals_core::registry::Registry), monitors and an exporter. No other room uses it.
//!
//! Without the feature `telemetry` the same calls compile to nothing: no thread, no port, no allocation.

#[cfg(feature = "telemetry")]
mod at_exit;
mod builder;
#[cfg(feature = "telemetry")]
mod device;
#[cfg(feature = "telemetry")]
mod files;
mod heap_profile;
#[cfg(not(feature = "telemetry"))]
mod off;
#[cfg(feature = "telemetry")]
mod reports;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "telemetry")]
mod shortages;
mod summary;
#[cfg(feature = "telemetry")]
mod toggles;
#[cfg(feature = "trace")]
mod trace_file;
#[cfg(feature = "telemetry")]
mod vitals;

pub use builder::{Builder, StandardMonitor};
#[cfg(feature = "telemetry")]
pub use device::{DeviceSources, DeviceWatch};
pub use heap_profile::HeapProfileError;
#[cfg(not(feature = "telemetry"))]
pub use off::{DeviceSources, DeviceWatch, Vitals};
pub use summary::FrameSummary;
#[cfg(feature = "telemetry")]
pub use vitals::Vitals;

/// Starts measuring with defaults: the standard monitors, and with the feature `serve` their figures at `http://127.0.0.1:9184/metrics`
/// (the next free port when that one is taken).
///
/// It never fails: what could not be had is listed, with what to do, by [`Vitals::notices`] and on the served page. Call it once, early;
/// keep what it returns for as long as the program runs.
///
/// ```
/// let vitals = engine_vitals::start();
/// println!("{:?}", vitals.url());
/// for _frame in 0..3 {
///     // render
///     vitals.frame();
/// }
/// ```
#[must_use = "dropping it stops everything"]
pub fn start() -> Vitals {
    Vitals::builder().start()
}
