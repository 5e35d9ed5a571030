//! What a tracking allocator knows of the heap beyond its totals: who holds it, in what sizes, and from where in the program.

/// What was allocated under one tag. All figures only grow.
///
/// A block belongs to the tag under which it was allocated, whoever frees it. A reallocation leaves it there, adds its old size to the
/// bytes deallocated and its new size to those allocated, and counts as neither an allocation nor a deallocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagTotals {
    /// The tag's name.
    pub name: &'static str,
    /// Allocations.
    pub allocations: u64,
    /// Bytes allocated, by allocations and reallocations.
    pub allocated_bytes: u64,
    /// Deallocations.
    pub deallocations: u64,
    /// Bytes deallocated, by deallocations and reallocations.
    pub deallocated_bytes: u64,
}

impl TagTotals {
    /// Totals of a tag under which nothing was allocated yet.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, allocations: 0, allocated_bytes: 0, deallocations: 0, deallocated_bytes: 0 }
    }

    /// Bytes live; `None` if more was freed than allocated, which means that the counting is broken.
    #[must_use]
    pub fn live_bytes(&self) -> Option<u64> {
        self.allocated_bytes.checked_sub(self.deallocated_bytes)
    }

    /// Blocks live; `None` if more was freed than allocated, which means that the counting is broken.
    #[must_use]
    pub fn live_allocations(&self) -> Option<u64> {
        self.allocations.checked_sub(self.deallocations)
    }
}

/// Blocks by size, in buckets whose bounds are powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SizeHistogram {
    /// Ascending: bucket `n` holds the sizes above `2^(n-1)` up to `2^n` bytes. The last one holds all that are larger too.
    pub buckets: [SizeBucket; Self::BUCKETS],
}

/// Blocks of about one size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SizeBucket {
    /// Blocks that were given a size of this bucket, by an allocation or a reallocation.
    pub given: u64,
    /// Blocks that have lost such a size, by a deallocation or a reallocation.
    pub taken: u64,
}

impl SizeHistogram {
    /// How many buckets there are; the last begins above 2^46 bytes.
    pub const BUCKETS: usize = 48;

    /// A histogram of these buckets.
    #[must_use]
    pub fn new(buckets: [SizeBucket; Self::BUCKETS]) -> Self {
        Self { buckets }
    }

    /// The bucket of a size.
    #[must_use]
    #[inline]
    pub fn bucket_of(bytes: u64) -> usize {
        let bits = u64::BITS - bytes.saturating_sub(1).leading_zeros();
        (bits as usize).min(Self::BUCKETS - 1)
    }

    /// The largest size of a bucket; `None` for the last, which has no bound, and beyond.
    #[must_use]
    pub fn upper_bytes(bucket: usize) -> Option<u64> {
        (bucket < Self::BUCKETS - 1).then(|| 1 << bucket)
    }
}

impl SizeBucket {
    /// Blocks live; `None` if more was freed than allocated, which means that the counting is broken.
    #[must_use]
    pub fn live(&self) -> Option<u64> {
        self.given.checked_sub(self.taken)
    }
}

/// Where the heap comes from: a sample of all allocations, by call site.
///
/// The figures of a site are estimates of all that was allocated there, and are right on average: a block of `s` bytes is in the sample
/// with the probability `p = 1 - exp(-s / mean_interval_bytes)`, independent of every other, and then stands for `1/p` blocks and `s/p`
/// bytes. Of `n` samples the standard deviation is about a share `1/sqrt(n)` of the estimate.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HeapProfile {
    /// Mean distance of two samples in bytes allocated.
    pub mean_interval_bytes: u64,
    /// In no order.
    pub sites: Vec<CallSite>,
    /// Without frames: the samples whose sites found no place in the table.
    pub other: CallSite,
    /// Blocks that were due to be sampled and were not, since the thread was taking a sample already.
    pub missed_samples: u64,
}

/// How many blocks were sampled for a [`HeapProfile`], over life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeapSampleCounts {
    /// Blocks in the sample.
    pub samples: u64,
    /// Blocks that were due to be sampled and were not, since the thread was taking a sample already.
    pub missed: u64,
    /// Blocks in the sample whose call sites found no place in the table.
    pub unplaced: u64,
}

/// One call site that allocates, with estimates of what it allocates.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct CallSite {
    /// Addresses in the functions that called each other, the innermost first; cut off at the outer end.
    pub frames: Vec<usize>,
    /// Blocks in the sample.
    pub samples: u64,
    /// Blocks allocated over life, reallocations included, estimated.
    pub allocations: f64,
    /// Bytes allocated over life, by reallocations too, estimated.
    pub allocated_bytes: u64,
    /// Blocks live, estimated.
    pub live_allocations: f64,
    /// Bytes live, estimated.
    pub live_bytes: u64,
}

impl HeapProfile {
    /// A profile of these sites.
    #[must_use]
    pub fn new(mean_interval_bytes: u64, sites: Vec<CallSite>, other: CallSite, missed_samples: u64) -> Self {
        Self { mean_interval_bytes, sites, other, missed_samples }
    }

    /// All sites, with those that found no place in the table.
    pub fn all(&self) -> impl Iterator<Item = &CallSite> {
        self.sites.iter().chain([&self.other])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_of_two_is_the_largest_size_of_its_bucket() {
        for (bytes, bucket) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1 << 46, 46), ((1 << 46) + 1, 47)] {
            assert_eq!(SizeHistogram::bucket_of(bytes), bucket, "{bytes}");
        }
        assert_eq!(SizeHistogram::bucket_of(u64::MAX), 47);
        for bytes in (0..4_000_u64).chain([1 << 46]) {
            let bucket = SizeHistogram::bucket_of(bytes);
            assert!(bytes <= SizeHistogram::upper_bytes(bucket).unwrap());
            assert!(bucket == 0 || bytes > SizeHistogram::upper_bytes(bucket - 1).unwrap());
        }
        assert_eq!(SizeHistogram::upper_bytes(47), None);
    }

    #[test]
    fn more_freed_than_allocated_is_unknown_and_not_zero() {
        let totals =
            TagTotals { allocations: 2, deallocations: 1, allocated_bytes: 9, deallocated_bytes: 10, name: "x" };
        assert_eq!((totals.live_allocations(), totals.live_bytes()), (Some(1), None));
        assert_eq!(SizeBucket { given: 1, taken: 2 }.live(), None);
    }
}
