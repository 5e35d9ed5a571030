//! A heap profile whose addresses have become functions and lines of source.

use std::sync::Arc;

use super::CallSite;

/// A [`HeapProfile`](super::HeapProfile) with names: what [`HeapProfile::resolve`](super::HeapProfile::resolve) makes of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ResolvedProfile {
    /// Mean distance of two samples in bytes allocated.
    pub mean_interval_bytes: u64,
    /// In the order of the profile.
    pub sites: Vec<ResolvedSite>,
    /// Without frames: the samples whose sites found no place in the table.
    pub other: CallSite,
    /// Blocks that were due to be sampled and were not.
    pub missed_samples: u64,
}

/// One call site with the functions that led to it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ResolvedSite {
    /// The figures, and the addresses before any was left out.
    pub site: CallSite,
    /// Innermost first, beginning with the program's own code: what lies between it and the allocator (the allocator's hooks, `Vec`,
    /// `HashMap` and whatever else of the standard library) is left out, unless there is nothing else.
    pub frames: Vec<ResolvedFrame>,
}

/// One address in a function, and the calls that the compiler has inlined there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedFrame {
    address: usize,
    /// All lines of the address, shared by the sites that it occurs in.
    lines: Arc<[SourceLine]>,
    /// So many of them, the innermost, are left out here.
    left_out: usize,
}

/// A function, and where in it the next one was called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SourceLine {
    /// Its path as people read it: without generic arguments, and of an implementation the type and not the trait. Where the debug
    /// information has no path (`debug = "line-tables-only"`), the module that its file is likely to be stands before it.
    pub function: Arc<str>,
    /// Its whole name, demangled, as far as the debug information has it.
    pub symbol: Arc<str>,
    /// The source file, as the debug information has it.
    pub file: Option<Arc<str>>,
    /// Counted from 1.
    pub line: Option<u32>,
}

/// By what sites are ranked and stacks are weighed. All are estimates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeapMeasure {
    /// Bytes live.
    LiveBytes,
    /// Blocks live.
    LiveBlocks,
    /// Bytes allocated over life.
    AllocatedBytes,
    /// Blocks allocated over life.
    AllocatedBlocks,
}

impl ResolvedProfile {
    /// What stands in place of a stack for the samples whose sites found no place in the table.
    pub const BEYOND_TABLE: &'static str = "[call sites beyond the table]";

    /// A profile of these sites.
    #[must_use]
    pub fn new(mean_interval_bytes: u64, sites: Vec<ResolvedSite>, other: CallSite, missed_samples: u64) -> Self {
        Self { mean_interval_bytes, sites, other, missed_samples }
    }

    /// The sum over all sites, with those that found no place in the table.
    #[must_use]
    pub fn total(&self, measure: HeapMeasure) -> u64 {
        let sites = self.sites.iter().map(|one| one.site.measured(measure));
        sites.fold(self.other.measured(measure), u64::saturating_add)
    }

    /// Samples taken.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.sites.iter().map(|one| one.site.samples).sum::<u64>() + self.other.samples
    }
}

impl ResolvedSite {
    /// What stands in place of a stack of which no frame is known.
    pub const NO_STACK: &'static str = "[no stack]";

    /// A site with these frames, the innermost first.
    #[must_use]
    pub fn new(site: CallSite, frames: Vec<ResolvedFrame>) -> Self {
        Self { site, frames }
    }

    /// The functions, innermost first; those that were inlined come before the one that they were inlined into.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &SourceLine> {
        self.frames.iter().flat_map(ResolvedFrame::lines)
    }
}

impl ResolvedFrame {
    /// An address with its lines, the innermost first, of which the first `left_out` are not to be shown.
    #[must_use]
    pub fn new(address: usize, lines: Arc<[SourceLine]>, left_out: usize) -> Self {
        let left_out = left_out.min(lines.len());
        Self { address, lines, left_out }
    }

    /// The address: that of the instruction after the call.
    #[must_use]
    pub fn address(&self) -> usize {
        self.address
    }

    /// The function at the end, and before it what was inlined into it, the innermost first. Empty where nothing is known of the address.
    #[must_use]
    pub fn lines(&self) -> &[SourceLine] {
        &self.lines[self.left_out..]
    }
}

impl SourceLine {
    /// A line of source in a function whose whole name is its path.
    #[must_use]
    pub fn new(function: impl Into<Arc<str>>, file: Option<Arc<str>>, line: Option<u32>) -> Self {
        let function = function.into();
        Self { symbol: Arc::clone(&function), function, file, line }
    }

    /// The same with another whole name.
    #[must_use]
    pub fn with_symbol(self, symbol: impl Into<Arc<str>>) -> Self {
        Self { symbol: symbol.into(), ..self }
    }
}

impl HeapMeasure {
    /// All, in the order of this type.
    pub const ALL: [Self; 4] = [Self::LiveBytes, Self::LiveBlocks, Self::AllocatedBytes, Self::AllocatedBlocks];

    /// In words: `live bytes`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LiveBytes => "live bytes",
            Self::LiveBlocks => "live blocks",
            Self::AllocatedBytes => "allocated bytes",
            Self::AllocatedBlocks => "allocated blocks",
        }
    }
}

impl CallSite {
    /// One of its estimates, in whole bytes or blocks.
    #[must_use]
    pub fn measured(&self, measure: HeapMeasure) -> u64 {
        // The cast saturates, and takes what is no number for 0.
        match measure {
            HeapMeasure::LiveBytes => self.live_bytes,
            HeapMeasure::LiveBlocks => self.live_allocations.round() as u64,
            HeapMeasure::AllocatedBytes => self.allocated_bytes,
            HeapMeasure::AllocatedBlocks => self.allocations.round() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_has_the_sites_beyond_the_table_and_does_not_overflow() {
        let site = |live_bytes, live_allocations| CallSite { live_bytes, live_allocations, ..CallSite::default() };
        let sites = vec![ResolvedSite::new(site(5, 1.4), Vec::new()), ResolvedSite::new(site(7, 2.5), Vec::new())];
        let profile = ResolvedProfile::new(1, sites.clone(), site(1, 0.0), 0);
        assert_eq!(profile.total(HeapMeasure::LiveBytes), 13);
        assert_eq!(profile.total(HeapMeasure::LiveBlocks), 4);
        assert_eq!(profile.total(HeapMeasure::AllocatedBytes), 0);
        let hostile = ResolvedProfile::new(1, sites, site(u64::MAX, f64::NAN), 0);
        assert_eq!((hostile.total(HeapMeasure::LiveBytes), hostile.total(HeapMeasure::LiveBlocks)), (u64::MAX, 4));
    }

    #[test]
    fn what_is_left_out_of_a_frame_is_not_among_its_lines() {
        let lines: Arc<[_]> = ["a", "b"].map(|name| SourceLine::new(name, None, None)).into();
        for (left_out, shown) in [(0, &["a", "b"][..]), (1, &["b"]), (2, &[]), (3, &[])] {
            let frame = ResolvedFrame::new(7, Arc::clone(&lines), left_out);
            assert_eq!(frame.lines().iter().map(|line| &*line.function).collect::<Vec<_>>(), shown);
        }
    }
}
