//! Sums of counters, as readers get them.

use std::time::Duration;

/// Live bytes that a thread gains or loses before it adds them to the total that the peak is taken from: the peak is known
/// to within this much per thread.
pub const PEAK_FOLD_BYTES: u64 = 64 * 1024;

/// What was counted of one resource kind or owner kind, over all threads and since the tracker was made. Nothing is reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Resources created.
    pub created: u64,
    /// Bytes created, growth by resizing included.
    pub created_bytes: u64,
    /// Resources that are no longer live: their handle was dropped, or they were destroyed or released.
    pub left_live: u64,
    /// Bytes that are no longer live, shrinkage by resizing included.
    pub left_live_bytes: u64,
    /// Resources released: the last reference is gone.
    pub released: u64,
    /// Bytes released, shrinkage by resizing included.
    pub released_bytes: u64,
    /// Resources destroyed explicitly, released or not.
    pub destroyed: u64,
    /// Times that a resource's storage was rebuilt in another size.
    pub rebuilds: u64,
    /// Calls that asked for another size, whether they led to a rebuild or not.
    pub resize_requests: u64,
    /// Times that a resource was taken again where another could have been made: from a pool or a cache.
    pub reused: u64,
    /// Resources released after a short life ([`TrackerBuilder::short_lived`](crate::tracker::TrackerBuilder::short_lived)).
    pub short_lived: u64,
    /// Nanoseconds that the released ones lived, in all.
    pub lifetime_nanos: u64,
}

impl Counts {
    /// Resources that are live: created, and their handle neither dropped nor destroyed.
    #[must_use]
    pub fn live(&self) -> u64 {
        self.created.saturating_sub(self.left_live)
    }

    /// Bytes of the live resources.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.created_bytes.saturating_sub(self.left_live_bytes)
    }

    /// Resources that have left live and are not released yet: views, bind groups or work in flight hold them.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.left_live.saturating_sub(self.released)
    }

    /// Bytes of the pending resources.
    #[must_use]
    pub fn pending_bytes(&self) -> u64 {
        self.left_live_bytes.saturating_sub(self.released_bytes)
    }

    /// Mean life of the released ones; `None` if there are none.
    #[must_use]
    pub fn mean_lifetime(&self) -> Option<Duration> {
        Some(Duration::from_nanos(self.lifetime_nanos.checked_div(self.released)?))
    }

    /// What was counted since `earlier`, which was read before.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = *self;
        for (count, before) in difference.words().into_iter().zip(earlier.clone().words()) {
            *count = count.wrapping_sub(*before);
        }
        difference
    }

    /// All counters.
    fn words(&mut self) -> [&mut u64; 12] {
        let Self {
            created,
            created_bytes,
            left_live,
            left_live_bytes,
            released,
            released_bytes,
            destroyed,
            rebuilds,
            resize_requests,
            reused,
            short_lived,
            lifetime_nanos,
        } = self;
        [
            created,
            created_bytes,
            left_live,
            left_live_bytes,
            released,
            released_bytes,
            destroyed,
            rebuilds,
            resize_requests,
            reused,
            short_lived,
            lifetime_nanos,
        ]
    }

    /// The algebra `created >= left_live >= released` holds. A reader counts where it does not, since the differences
    /// above would then read 0.
    #[cfg(feature = "telemetry")]
    pub(crate) fn consistent(&self) -> bool {
        self.created >= self.left_live
            && self.left_live >= self.released
            && self.created_bytes >= self.left_live_bytes
            && self.left_live_bytes >= self.released_bytes
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, mut other: Self) {
        for (sum, amount) in self.words().into_iter().zip(other.words()) {
            add_to(sum, *amount);
        }
    }
}

/// Sums that wrap, as the counters themselves do.
pub(crate) fn add_to(sum: &mut u64, amount: u64) {
    *sum = sum.wrapping_add(amount);
}
