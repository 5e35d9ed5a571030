//! Sums of counters, as readers get them.

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
    fn add_assign(&mut self, other: Self) {
        add_to(&mut self.created, other.created);
        add_to(&mut self.created_bytes, other.created_bytes);
        add_to(&mut self.left_live, other.left_live);
        add_to(&mut self.left_live_bytes, other.left_live_bytes);
        add_to(&mut self.released, other.released);
        add_to(&mut self.released_bytes, other.released_bytes);
        add_to(&mut self.destroyed, other.destroyed);
        add_to(&mut self.rebuilds, other.rebuilds);
    }
}

/// Sums that wrap, as the counters themselves do.
pub(crate) fn add_to(sum: &mut u64, amount: u64) {
    *sum = sum.wrapping_add(amount);
}
