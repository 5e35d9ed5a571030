//! engine-vitals in the compositors: what is measured, where it is served, and what it says of a run.

use engine_vitals::{TrackingAllocator, Vitals};

use super::options::Options;

/// Counts the heap of this program.
#[global_allocator]
static HEAP: TrackingAllocator = TrackingAllocator::system();

/// Starts measuring and serving.
pub(crate) fn start(options: &Options) -> Vitals {
    let vitals =
        Vitals::builder().app(env!("CARGO_BIN_NAME"), env!("CARGO_PKG_VERSION")).listen(options.listen).start();
    match vitals.url() {
        Some(url) => println!("page:    {url}\nmetrics: {url}metrics"),
        None => println!("nothing listens on {}: {}", options.listen, vitals.notices().join("; ")),
    }
    vitals
}
