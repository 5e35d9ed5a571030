//! How much of a resource is used: the report that every monitor gives.

/// Bytes in MiB (2^20 bytes), for people to read.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a figure for people, exact to 2^53 bytes")]
pub fn bytes_to_mb(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// How much of a resource is used. A figure that is not known, or that the resource does not have, is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceUsageReport {
    /// Bytes in use now.
    pub current_bytes: Option<u64>,
    /// The most bytes that were in use at once.
    pub peak_bytes: Option<u64>,
    /// Bytes that there are to use.
    pub total_capacity_bytes: Option<u64>,
}

impl ResourceUsageReport {
    /// A report of these figures.
    #[must_use]
    pub fn new(current_bytes: Option<u64>, peak_bytes: Option<u64>, total_capacity_bytes: Option<u64>) -> Self {
        Self { current_bytes, peak_bytes, total_capacity_bytes }
    }

    /// Usage in percent of the capacity; `None` when either is unknown or there is no capacity.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    pub fn usage_percent(&self) -> Option<f64> {
        let capacity = self.total_capacity_bytes.filter(|&bytes| bytes > 0)?;
        Some(self.current_bytes? as f64 / capacity as f64 * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_needs_a_usage_and_a_capacity() {
        let percent = |used, capacity| ResourceUsageReport::new(used, None, capacity).usage_percent();
        assert_eq!(percent(Some(3), Some(4)), Some(75.0));
        assert_eq!(percent(Some(3), None), None);
        assert_eq!(percent(None, Some(4)), None);
        assert_eq!(percent(Some(3), Some(0)), None);
    }
}
