//! GPU memory, source against source: what the book has live, what wgpu's allocator has given out and reserved, what the driver says.
//!
//! A pure step: rows and sums go in, and each difference between one source and the next comes out under the name of what it is. Bytes of
//! two sources are never added together.

use std::collections::BTreeMap;
use std::fmt;

use super::text::{bytes, counted, plain, quoted, signed_bytes};
use crate::contract::VramHeap;

/// Beginning of the names of what wgpu allocates for itself.
const WGPU_INTERNAL: &str = "(wgpu internal)";
/// Beginning of the names of what the telemetry itself has on the device: buffers that time stamps are read back through.
const TELEMETRY: &str = "engine-vitals ";
/// Names told of what is not in the book, the largest first.
const MOST_NAMES: usize = 8;
/// What alignment may add to a small resource.
const MOST_PADDING: u64 = 64 << 10;

/// One resource or allocation: its name, empty where it has none, and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'a> {
    /// The label.
    pub name: &'a str,
    /// The size.
    pub bytes: u64,
}

/// What each source says. A source that does not exist, or does not know, is `None`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources<'a> {
    /// Device memory that the book has live, row by row: buffers and textures, no suballocations.
    pub live: &'a [Named<'a>],
    /// Device memory whose handles are dropped and which is not released yet, row by row.
    pub pending: &'a [Named<'a>],
    /// What wgpu's allocator has given out, row by row.
    pub allocated: Option<&'a [Named<'a>]>,
    /// Bytes that wgpu's allocator has taken from the driver.
    pub reserved: Option<u64>,
    /// Bytes that the driver says this process uses.
    pub process: Option<u64>,
    /// Bytes that the driver says all processes use.
    pub device: Option<u64>,
}

/// Where the bytes are. What cannot be said, since a source is missing, is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconciliation {
    /// Bytes live in the book.
    pub live: u64,
    /// Bytes in the book that wait for their release.
    pub pending: u64,
    /// Bytes that wgpu's allocator has given out.
    pub allocated: Option<u64>,
    /// Of these, wgpu's own: staging buffers and the like.
    pub wgpu_internal: Option<u64>,
    /// Of these, our own: what time stamps are read back through.
    pub telemetry: Option<u64>,
    /// Of these, beyond the size in the book of resources that both have: alignment and padding. Negative where the book's sizes, which for
    /// textures are calculated, are too large.
    pub alignment: Option<i64>,
    /// Of these, of nothing that is in the book: made before tracking began, past it, or not counted.
    pub untracked: Option<u64>,
    /// Their names and bytes, the largest first, eight at most.
    pub untracked_names: Vec<(String, u64)>,
    /// Bytes in the book of resources that the allocator does not have: with memory of their own, or imported.
    pub elsewhere: Option<u64>,
    /// Bytes that wgpu's allocator has taken from the driver.
    pub reserved: Option<u64>,
    /// Of these, not given out: room in blocks.
    pub block_slack: Option<u64>,
    /// Bytes that the driver says this process uses.
    pub process: Option<u64>,
    /// Of these, beyond what is reserved: swapchains, pipelines, other devices and graphics libraries of the process, the driver itself.
    /// Negative where reserved memory is not all resident.
    pub beyond_reserved: Option<i64>,
    /// Bytes that the driver says other processes use.
    pub other_processes: Option<u64>,
    /// The driver's source.
    pub driver: Option<&'static str>,
    /// What that source says of each heap, where it tells them apart.
    pub heaps: Vec<VramHeap>,
}

impl Reconciliation {
    /// Compares the sources.
    ///
    /// A row of the book and an allocation are the same where their names are: of one name, as many as there are of both are matched, and
    /// what their sizes differ by is alignment. More allocations than rows are untracked, more rows than allocations elsewhere; of these the
    /// smallest are taken, so that neither is overstated. A nameless row and a named allocation, or the other way round, are the same where their
    /// sizes are.
    #[must_use]
    pub fn of(sources: &Sources<'_>) -> Self {
        let sum = |rows: &[Named<'_>]| rows.iter().fold(0_u64, |sum, row| sum.saturating_add(row.bytes));
        let mut result = Self {
            live: sum(sources.live),
            pending: sum(sources.pending),
            allocated: sources.allocated.map(sum),
            reserved: sources.reserved,
            process: sources.process,
            ..Self::default()
        };
        if let Some(allocated) = sources.allocated {
            result.match_names(sources, allocated);
        }
        result.block_slack = sources.reserved.zip(result.allocated).and_then(|(all, out)| all.checked_sub(out));
        result.beyond_reserved = sources.process.zip(sources.reserved).map(|(all, part)| difference(all, part));
        result.other_processes = sources.device.zip(sources.process).and_then(|(all, own)| all.checked_sub(own));
        result
    }

    /// The bytes that wgpu's allocator has given out and nothing in the book explains, alignment aside.
    #[must_use]
    pub fn unaccounted_bytes(&self) -> Option<u64> {
        self.untracked
    }

    fn match_names(&mut self, sources: &Sources<'_>, allocated: &[Named<'_>]) {
        let mut names: BTreeMap<&str, (Vec<u64>, Vec<u64>)> = BTreeMap::new();
        for row in sources.live.iter().chain(sources.pending) {
            names.entry(row.name).or_default().0.push(row.bytes);
        }
        let (mut internal, mut telemetry) = (0_u64, 0_u64);
        for row in allocated {
            match names.get_mut(row.name) {
                Some((_, given)) => given.push(row.bytes),
                None if row.name.starts_with(WGPU_INTERNAL) => internal = internal.saturating_add(row.bytes),
                None if row.name.starts_with(TELEMETRY) => telemetry = telemetry.saturating_add(row.bytes),
                None => names.entry(row.name).or_default().1.push(row.bytes),
            }
        }
        let mut alignment = 0_i64;
        // What one side has and the other has not.
        let (mut ours, mut theirs): (Vec<Named<'_>>, Vec<Named<'_>>) = (Vec::new(), Vec::new());
        for (name, (mut book, mut given)) in names {
            // The largest first: what is left over is the smallest.
            book.sort_unstable_by(|one, other| other.cmp(one));
            given.sort_unstable_by(|one, other| other.cmp(one));
            let both = if name.is_empty() { 0 } else { book.len().min(given.len()) };
            let pairs = book.iter().zip(&given).take(both);
            alignment = pairs.fold(alignment, |sum, (&book, &given)| sum.saturating_add(difference(given, book)));
            let left = |sizes: &[u64]| sizes.iter().skip(both).map(|&bytes| Named { name, bytes }).collect::<Vec<_>>();
            ours.extend(left(&book));
            theirs.extend(left(&given));
        }
        alignment = alignment.saturating_add(match_nameless(&mut ours, &mut theirs));
        let sum = |rows: &[Named<'_>]| rows.iter().fold(0_u64, |sum, row| sum.saturating_add(row.bytes));
        (self.wgpu_internal, self.telemetry, self.alignment) = (Some(internal), Some(telemetry), Some(alignment));
        (self.untracked, self.elsewhere) = (Some(sum(&theirs)), Some(sum(&ours)));
        let mut untracked: BTreeMap<&str, u64> = BTreeMap::new();
        for row in theirs {
            let bytes = untracked.entry(row.name).or_default();
            *bytes = bytes.saturating_add(row.bytes);
        }
        self.untracked_names = untracked.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
        self.untracked_names.sort_by_key(|&(_, bytes)| std::cmp::Reverse(bytes));
        self.untracked_names.truncate(MOST_NAMES);
    }
}

/// Matches what has no name on one side by its size: labels beyond what the book keeps, or kept from the allocator. An allocation fits a row if
/// it is as large, or larger by less than a sixteenth or 64 KiB, whichever is more. What has no name on either side is matched in any case, the
/// largest with the largest. Returns what the sizes differ by.
fn match_nameless(ours: &mut Vec<Named<'_>>, theirs: &mut Vec<Named<'_>>) -> i64 {
    theirs.sort_unstable_by_key(|row| row.bytes);
    ours.sort_unstable_by_key(|row| std::cmp::Reverse(row.bytes));
    let mut alignment = 0_i64;
    ours.retain(|row| {
        let room = row.bytes.saturating_add((row.bytes / 16).max(MOST_PADDING));
        let first = theirs.partition_point(|other| other.bytes < row.bytes);
        let near = theirs.get(first..).unwrap_or_default().iter().take_while(|other| other.bytes <= room);
        let fit = near.enumerate().find(|(_, other)| row.name.is_empty() || other.name.is_empty());
        let Some((after, _)) = fit else { return true };
        let given = theirs.remove(first + after);
        alignment = alignment.saturating_add(difference(given.bytes, row.bytes));
        false
    });
    loop {
        let our = ours.iter().position(|row| row.name.is_empty());
        let their = theirs.iter().rposition(|row| row.name.is_empty());
        let Some((our, their)) = our.zip(their) else { return alignment };
        let (row, given) = (ours.remove(our), theirs.remove(their));
        alignment = alignment.saturating_add(difference(given.bytes, row.bytes));
    }
}

fn difference(one: u64, other: u64) -> i64 {
    i64::try_from(i128::from(one) - i128::from(other)).unwrap_or(if one > other { i64::MAX } else { i64::MIN })
}

impl fmt::Display for Reconciliation {
    /// A table for people; what is unknown is left out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: Option<String>| match value {
            Some(value) => writeln!(formatter, "{name:<36}{value:>12}"),
            None => Ok(()),
        };
        line("live in the book", Some(bytes(self.live)))?;
        line("pending release", Some(bytes(self.pending)))?;
        line("given out by wgpu's allocator", self.allocated.map(bytes))?;
        line("  wgpu's own", self.wgpu_internal.map(bytes))?;
        line("  the telemetry's own", self.telemetry.map(bytes))?;
        line("  alignment", self.alignment.map(signed_bytes))?;
        line("  untracked", self.untracked.map(bytes))?;
        line("in the book, not in the allocator", self.elsewhere.filter(|&bytes| bytes > 0).map(bytes))?;
        line("reserved by wgpu's allocator", self.reserved.map(bytes))?;
        line("  room in blocks", self.block_slack.map(bytes))?;
        line(&format!("used by this process ({})", self.driver.unwrap_or("driver")), self.process.map(bytes))?;
        line("  beyond the reserved", self.beyond_reserved.map(signed_bytes))?;
        line("used by other processes", self.other_processes.map(bytes))?;
        for heap in &self.heaps {
            let figures = [("used", heap.used_bytes), ("budget", heap.budget_bytes), ("capacity", heap.capacity_bytes)];
            let known: Vec<_> = figures
                .iter()
                .filter_map(|(name, figure)| figure.map(|size| format!("{name} {}", bytes(size))))
                .collect();
            writeln!(formatter, "heap {}: {}", plain(&heap.name), known.join(", "))?;
        }
        if !self.untracked_names.is_empty() {
            writeln!(formatter, "untracked, {}:", counted(self.untracked_names.len() as u64, "name", "names"))?;
            for (name, size) in &self.untracked_names {
                let name = if name.is_empty() { "(no name)".to_owned() } else { quoted(name) };
                writeln!(formatter, "  {name}: {}", bytes(*size))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
