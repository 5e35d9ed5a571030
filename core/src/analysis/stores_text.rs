//! Staging rings, memory pools and pools of render targets as tables.

use super::text::{Side, Table, bytes, duration, plain};
use crate::contract::{MemoryPoolReport, StagingRingReport, TargetPoolReport};

/// The heading of [`rings`].
pub(crate) const RINGS: &str = "Staging rings";
/// The heading of [`pools`].
pub(crate) const POOLS: &str =
    "Memory pools; loss is what rounding up and free space of no use take of the reserved bytes";
/// The heading of [`targets`].
pub(crate) const TARGETS: &str = "Pools of render targets";

/// Each ring.
pub(crate) fn rings(rings: &[StagingRingReport]) -> Table<10> {
    let mut table = Table::new([
        ("ring", Side::Left),
        ("bytes", Side::Right),
        ("in flight, by buffer", Side::Left),
        ("most in flight", Side::Right),
        ("unsubmitted", Side::Right),
        ("written (apart)", Side::Right),
        ("copies (merged)", Side::Right),
        ("wraps", Side::Right),
        ("stalls", Side::Left),
        ("refused", Side::Right),
    ]);
    for ring in rings {
        let in_flight = &ring.in_flight_bytes;
        let mut shown: Vec<_> = in_flight.iter().take(MOST_BUFFERS).map(|&buffer| bytes(buffer)).collect();
        if in_flight.len() > MOST_BUFFERS {
            shown.push(format!("{} more", in_flight.len() - MOST_BUFFERS));
        }
        table.row([
            plain(&ring.name),
            bytes(ring.ring_bytes),
            shown.join(", "),
            bytes(ring.high_water_bytes),
            bytes(ring.unsubmitted_bytes),
            format!("{} ({})", bytes(ring.written_bytes), ring.dedicated),
            format!("{} ({})", ring.copies, ring.merged_copies),
            ring.wraps.to_string(),
            format!("{}, {}", ring.stalls, duration(ring.stall_time)),
            ring.failures.to_string(),
        ]);
    }
    table
}

/// Buffers of a ring that are told one by one.
const MOST_BUFFERS: usize = 8;

/// Each pool.
pub(crate) fn pools(pools: &[MemoryPoolReport]) -> Table<11> {
    let mut table = Table::new([
        ("pool", Side::Left),
        ("reserved", Side::Right),
        ("of", Side::Right),
        ("allocated", Side::Right),
        ("requested", Side::Right),
        ("loss", Side::Right),
        ("largest free", Side::Right),
        ("blocks (waiting)", Side::Right),
        ("slabs", Side::Right),
        ("given out (refused)", Side::Right),
        ("moved", Side::Left),
    ]);
    for pool in pools {
        table.row([
            plain(&pool.name),
            bytes(pool.reserved_bytes),
            pool.budget_bytes.map_or_else(|| "-".to_owned(), bytes),
            bytes(pool.allocated_bytes),
            bytes(pool.requested_bytes),
            pool.loss_ratio().map_or_else(|| "-".to_owned(), |loss| format!("{:.1} %", loss * 100.0)),
            bytes(pool.largest_free_bytes),
            format!("{} ({})", pool.blocks, pool.waiting_blocks),
            pool.slabs.to_string(),
            format!("{} ({})", pool.allocations, pool.failures),
            format!("{}, {}", pool.defrag_moves, bytes(pool.defrag_moved_bytes)),
        ]);
    }
    table
}

/// Each pool of render targets.
pub(crate) fn targets(pools: &[TargetPoolReport]) -> Table<6> {
    let mut table = Table::new([
        ("pool", Side::Left),
        ("in use", Side::Left),
        ("kept", Side::Left),
        ("reused", Side::Right),
        ("made", Side::Right),
        ("given up", Side::Right),
    ]);
    for pool in pools {
        table.row([
            plain(&pool.name),
            format!("{}, {}", pool.used, bytes(pool.used_bytes)),
            format!("{}, {}", pool.idle, bytes(pool.idle_bytes)),
            pool.reused.to_string(),
            pool.created.to_string(),
            pool.released.to_string(),
        ]);
    }
    table
}
