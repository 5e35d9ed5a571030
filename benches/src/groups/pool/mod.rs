//! Memory pools: what a block costs, what planning moves costs, and how little is lost, against allocators that engines use for this.
//!
//! - `speed`: a block freed and another one given out, with 10^3 to 10^6 that live, by chance and among the youngest; in frames that the GPU is
//!   behind of; the plan of a frame's moves.
//! - `peers`: how each allocator is made to do so.
//! - `devices`: the pool on a device with its lock, its handle and the probe, against wgpu buffers made anew.
//! - `quality`: churn traces on the layout with and without moves, and on offset-allocator alone.

mod devices;
#[path = "../../../../examples/memory_pool/hour.rs"]
mod hour;
#[path = "../../../../tests/pool_hour/layout.rs"]
mod layout;
mod peers;
mod quality;
mod speed;
#[path = "../../../../examples/memory_pool/traces.rs"]
mod traces;

use std::error::Error;

use crate::harness::Effort;
use crate::report::Row;

const GROUP: &str = "pool";
const OURS: &str = "engine-vitals";
const LIMIT: &str = "two reads: the limit";

pub(super) fn run(effort: Effort) -> Result<Vec<Row>, Box<dyn Error>> {
    let (device, queue) = peers::adapter_device()?;
    let mut rows = speed::run(effort, device.as_ref());
    rows.extend(devices::run(effort, device.as_ref().zip(queue.as_ref()))?);
    rows.extend(quality::run(effort));
    Ok(rows)
}
