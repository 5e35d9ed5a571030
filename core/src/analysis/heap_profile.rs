//! The call sites of the heap as a table of the largest, and as folded stacks.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display, Formatter, Write};
use std::path::Path;

use super::text::{Side, Table, bytes, counted, plain};
use crate::contract::{HeapMeasure, ResolvedFrame, ResolvedProfile, ResolvedSite, SourceLine};

/// The call sites that hold or allocate the most. As text a table, by its [`Display`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TopSites {
    /// By what they are ranked.
    pub measure: HeapMeasure,
    /// The largest first.
    pub sites: Vec<TopSite>,
    /// How many more there are.
    pub left_out: usize,
    /// The sum over all sites, also those left out and those that found no place in the table.
    pub total: u64,
    /// The sum over those that found no place in the table.
    pub other: u64,
    /// Samples taken.
    pub samples: u64,
    /// Blocks that were due to be sampled and were not.
    pub missed_samples: u64,
    /// Mean distance of two samples in bytes allocated.
    pub mean_interval_bytes: u64,
}

/// A line of the program, with all that was allocated by it. All figures but `samples` are estimates.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TopSite {
    /// The function that called the allocator, or the standard library that did.
    pub function: String,
    /// `file:line`, where that is known, as short as it is clear.
    pub place: Option<String>,
    /// Where the function is a dependency's: `function file:line` of the program's own that led to it.
    pub called_from: Option<String>,
    /// Blocks sampled.
    pub samples: u64,
    /// Bytes live.
    pub live_bytes: u64,
    /// Blocks live.
    pub live_blocks: u64,
    /// Bytes allocated over life.
    pub allocated_bytes: u64,
    /// Blocks allocated over life.
    pub allocated_blocks: u64,
}

impl ResolvedProfile {
    /// The `most` call sites that are the largest by `measure`. Stacks that have the same innermost line of the program, and the same
    /// line that called a dependency, are one.
    #[must_use]
    pub fn top(&self, most: usize, measure: HeapMeasure) -> TopSites {
        let mut by_site: HashMap<_, TopSite> = HashMap::new();
        for one in &self.sites {
            let first = one.frames.first();
            let innermost = first.and_then(|frame| frame.lines().first());
            // What has no name is told apart by its address.
            let address = first.filter(|_| innermost.is_none()).map(ResolvedFrame::address);
            let own = own_line(one);
            by_site.entry((innermost, own, address)).or_insert_with(|| TopSite::of(innermost, own, address)).add(one);
        }
        let mut sites: Vec<_> = by_site.into_values().filter(|site| site.measured(measure) > 0).collect();
        let order = |site: &TopSite| (site.function.clone(), site.place.clone(), site.called_from.clone());
        sites.sort_by(|a, b| b.measured(measure).cmp(&a.measured(measure)).then_with(|| order(a).cmp(&order(b))));
        let left_out = sites.len().saturating_sub(most);
        sites.truncate(most);
        TopSites {
            measure,
            sites,
            left_out,
            total: self.total(measure),
            other: self.other.measured(measure),
            samples: self.samples(),
            missed_samples: self.missed_samples,
            mean_interval_bytes: self.mean_interval_bytes,
        }
    }

    /// All stacks in the folded format that flame graphs are made from: a line for each, its functions from the outermost to the
    /// innermost with semicolons between them, a space and the estimate. Equal stacks are one; those of 0 are left out.
    ///
    /// A semicolon in a name becomes a colon, and whatever breaks a line a space: the format has no way to say them. A function without
    /// a name is its address.
    #[must_use]
    pub fn to_folded(&self, measure: HeapMeasure) -> String {
        let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
        for one in &self.sites {
            add(&mut stacks, folded(one), one.site.measured(measure));
        }
        add(&mut stacks, Self::BEYOND_TABLE.to_owned(), self.other.measured(measure));
        let mut text = String::new();
        for (stack, estimate) in stacks {
            // Writing to a `String` does not fail.
            let _ = writeln!(text, "{stack} {estimate}");
        }
        text
    }
}

fn add(stacks: &mut BTreeMap<String, u64>, stack: String, estimate: u64) {
    if estimate > 0 {
        let sum = stacks.entry(stack).or_default();
        *sum = sum.saturating_add(estimate);
    }
}

fn folded(one: &ResolvedSite) -> String {
    let mut stack = String::new();
    for frame in one.frames.iter().rev() {
        let before = stack.len();
        for line in frame.lines().iter().rev() {
            push_name(&mut stack, &line.function);
        }
        if stack.len() == before {
            push_name(&mut stack, &format!("{:#x}", frame.address()));
        }
    }
    if stack.is_empty() {
        stack.push_str(ResolvedSite::NO_STACK);
    }
    stack
}

fn push_name(stack: &mut String, name: &str) {
    if !stack.is_empty() {
        stack.push(';');
    }
    stack.extend(name.chars().map(|c| match c {
        ';' => ':',
        c if c.is_control() => ' ',
        c => c,
    }));
}

impl TopSite {
    fn of(innermost: Option<&SourceLine>, own: Option<&SourceLine>, address: Option<usize>) -> Self {
        let unnamed = || address.map_or_else(|| ResolvedSite::NO_STACK.to_owned(), |address| format!("{address:#x}"));
        let called_from = own.filter(|own| Some(*own) != innermost);
        Self {
            function: innermost.map_or_else(unnamed, |line| line.function.to_string()),
            place: innermost.and_then(place),
            called_from: called_from.map(|own| {
                [Some(own.function.to_string()), place(own)].into_iter().flatten().collect::<Vec<_>>().join(" ")
            }),
            samples: 0,
            live_bytes: 0,
            live_blocks: 0,
            allocated_bytes: 0,
            allocated_blocks: 0,
        }
    }

    fn add(&mut self, one: &ResolvedSite) {
        let site = &one.site;
        self.samples += site.samples;
        for (sum, measure) in [
            (&mut self.live_bytes, HeapMeasure::LiveBytes),
            (&mut self.live_blocks, HeapMeasure::LiveBlocks),
            (&mut self.allocated_bytes, HeapMeasure::AllocatedBytes),
            (&mut self.allocated_blocks, HeapMeasure::AllocatedBlocks),
        ] {
            *sum = sum.saturating_add(site.measured(measure));
        }
    }

    fn measured(&self, measure: HeapMeasure) -> u64 {
        match measure {
            HeapMeasure::LiveBytes => self.live_bytes,
            HeapMeasure::LiveBlocks => self.live_blocks,
            HeapMeasure::AllocatedBytes => self.allocated_bytes,
            HeapMeasure::AllocatedBlocks => self.allocated_blocks,
        }
    }
}

/// The innermost line that is of the program itself, as far as files tell.
fn own_line(one: &ResolvedSite) -> Option<&SourceLine> {
    one.lines().find(|line| line.file.as_deref().is_some_and(|file| !is_dependencys(file)))
}

fn is_dependencys(file: &str) -> bool {
    let file = file.replace('\\', "/");
    file.starts_with("/rustc/")
        || ["/registry/src/", "/git/checkouts/", "/rustlib/src/rust/", "/rust/deps/"]
            .iter()
            .any(|part| file.contains(part))
}

/// `file:line`: below the current folder as from there, and of a dependency from the folder that has its name.
fn place(line: &SourceLine) -> Option<String> {
    let file = line.file.as_deref()?;
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| Path::new(file).strip_prefix(here).ok());
    let short = match below {
        Some(below) => below.to_string_lossy().into_owned(),
        None => shortened(file).to_owned(),
    };
    Some(match line.line {
        Some(number) => format!("{short}:{number}"),
        None => short,
    })
}

fn shortened(file: &str) -> &str {
    // `registry/src/index.crates.io-1949cf8c6b5b557f/` and `/rustc/4a4ef493e3a1488c6e321570238084b38948f6db/`.
    let beyond = |marker: &str| file.split_once(marker)?.1.split_once('/').map(|(_, rest)| rest);
    let library = |file: &'_ str| file.find("library/").map(|at| at + "library/".len());
    beyond("/registry/src/")
        .or_else(|| beyond("/git/checkouts/"))
        .or_else(|| is_dependencys(file).then(|| library(file).map(|at| &file[at..])).flatten())
        .unwrap_or(file)
}

impl Display for TopSites {
    /// What it is of, a row for each site, and how many are not shown. Bytes and blocks are estimates.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let in_words = |value| match self.measure {
            HeapMeasure::LiveBytes | HeapMeasure::AllocatedBytes => bytes(value),
            HeapMeasure::LiveBlocks | HeapMeasure::AllocatedBlocks => counted(value, "block", "blocks"),
        };
        let measure = self.measure.name();
        writeln!(
            f,
            "call sites by {measure}: {} in all, estimated from {}, one in {} on average",
            in_words(self.total),
            counted(self.samples, "sample", "samples"),
            bytes(self.mean_interval_bytes),
        )?;
        let mut table = Table::new([
            ("share", Side::Right),
            ("live", Side::Right),
            ("blocks", Side::Right),
            ("allocated", Side::Right),
            ("blocks", Side::Right),
            ("samples", Side::Right),
            ("function", Side::Left),
            ("at", Side::Left),
            ("called from", Side::Left),
        ]);
        for site in &self.sites {
            table.row([
                percent(site.measured(self.measure), self.total),
                bytes(site.live_bytes),
                site.live_blocks.to_string(),
                bytes(site.allocated_bytes),
                site.allocated_blocks.to_string(),
                site.samples.to_string(),
                plain(&site.function),
                site.place.as_deref().map(plain).unwrap_or_default(),
                site.called_from.as_deref().map(plain).unwrap_or_default(),
            ]);
        }
        if !table.is_empty() {
            write!(f, "{table}")?;
        }
        if self.left_out > 0 {
            writeln!(f, "  and {}", counted(self.left_out as u64, "more", "more"))?;
        }
        if self.other > 0 {
            writeln!(f, "  {} {}", in_words(self.other), ResolvedProfile::BEYOND_TABLE)?;
        }
        if self.missed_samples > 0 {
            writeln!(
                f,
                "  {} missed: the thread was taking one already",
                counted(self.missed_samples, "sample", "samples")
            )?;
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return String::new();
    }
    format!("{:.1} %", part as f64 / whole as f64 * 100.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::contract::CallSite;

    fn line(function: &str, file: &str, line: u32) -> SourceLine {
        SourceLine::new(function, (!file.is_empty()).then(|| file.into()), (line > 0).then_some(line))
    }

    /// Frames of one line each, at 1, 2, 3, ..; without a name for the empty one.
    fn site(live_bytes: u64, lines: &[SourceLine]) -> ResolvedSite {
        let lines = lines.iter().map(|line| if line.function.is_empty() { vec![] } else { vec![line.clone()] });
        let frames: Vec<_> = lines.enumerate().map(|(at, lines)| ResolvedFrame::new(at + 1, lines.into(), 0)).collect();
        let estimates = CallSite {
            frames: frames.iter().map(ResolvedFrame::address).collect(),
            samples: 2,
            allocations: 7.0,
            allocated_bytes: live_bytes * 2,
            live_allocations: 3.0,
            live_bytes,
        };
        ResolvedSite::new(estimates, frames)
    }

    fn profile(sites: Vec<ResolvedSite>) -> ResolvedProfile {
        let other = CallSite { samples: 1, live_bytes: 100, allocated_bytes: 100, ..CallSite::default() };
        ResolvedProfile::new(512 << 10, sites, other, 1)
    }

    fn three() -> ResolvedProfile {
        let registry = "/x/registry/src/index.crates.io-1949cf8c/json-1.0.2/src/de.rs";
        let load = line("game::load", "/src/load.rs", 7);
        profile(vec![
            site(3 << 20, &[line("json::parse<[u8; 4]>", registry, 50), load.clone()]),
            site(
                1 << 20,
                &[line("json::parse<[u8; 4]>", registry, 50), load.clone(), line("game::main", "/src/main.rs", 1)],
            ),
            site(5 << 20, &[load, line("game::main", "/src/main.rs", 1)]),
            site(400, &[line("", "", 0), line("game::main", "/src/main.rs", 1)]),
        ])
    }

    #[test]
    fn the_largest_sites_come_first_and_one_line_is_one_row() {
        let top = three().top(2, HeapMeasure::LiveBytes);
        let rows: Vec<_> = top.sites.iter().map(|site| (&*site.function, site.live_bytes, site.samples)).collect();
        assert_eq!(rows, [("game::load", 5 << 20, 2), ("json::parse<[u8; 4]>", 4 << 20, 4)]);
        assert_eq!(top.sites[0].called_from, None);
        assert_eq!(top.sites[1].place.as_deref(), Some("json-1.0.2/src/de.rs:50"));
        assert_eq!(top.sites[1].called_from.as_deref(), Some("game::load /src/load.rs:7"));
        assert_eq!((top.left_out, top.total, top.other, top.samples), (1, (9 << 20) + 500, 100, 9));
        let text = "\
call sites by live bytes: 9.00 MiB in all, estimated from 9 samples, one in 512 KiB on average
   share      live  blocks  allocated  blocks  samples  function              at                       called from
  55.6 %  5.00 MiB       3   10.0 MiB       7        2  game::load            /src/load.rs:7
  44.4 %  4.00 MiB       6   8.00 MiB      14        4  json::parse<[u8; 4]>  json-1.0.2/src/de.rs:50  game::load /src/load.rs:7
  and 1 more
  100 B [call sites beyond the table]
  1 sample missed: the thread was taking one already
";
        assert_eq!(top.to_string(), text);
    }

    #[test]
    fn what_has_no_name_is_its_address() {
        let top = three().top(9, HeapMeasure::AllocatedBlocks);
        let unnamed = top.sites.iter().find(|site| site.live_bytes == 400).expect("its row");
        assert_eq!((&*unnamed.function, &unnamed.place), ("0x1", &None));
        assert_eq!(unnamed.called_from.as_deref(), Some("game::main /src/main.rs:1"));
        assert_eq!(top.sites[0].allocated_blocks, 14, "two stacks of 7");
    }

    #[test]
    fn a_profile_of_nothing_is_a_line() {
        let nothing = ResolvedProfile::new(1 << 20, Vec::new(), CallSite::default(), 0);
        let text = "call sites by live blocks: 0 blocks in all, estimated from 0 samples, one in 1.00 MiB on average\n";
        assert_eq!(nothing.top(10, HeapMeasure::LiveBlocks).to_string(), text);
        assert_eq!(nothing.to_folded(HeapMeasure::LiveBytes), "");
    }

    #[test]
    fn files_are_as_short_as_they_are_clear() {
        let here = std::env::current_dir().unwrap().join("src/lib.rs");
        let places = [
            here.to_str().unwrap(),
            "/elsewhere/src/lib.rs",
            "/x/registry/src/index.crates.io-1949cf8c/json-1.0.2/src/de.rs",
            "/rustc/4a4ef493e3a1488c6e32/library/alloc/src/vec/mod.rs",
            "/opt/lib/rustlib/src/rust/library/core/src/ops.rs",
        ];
        let short = places.map(|file| place(&line("f", file, 3)).unwrap());
        let expected = [
            "src/lib.rs:3",
            "/elsewhere/src/lib.rs:3",
            "json-1.0.2/src/de.rs:3",
            "alloc/src/vec/mod.rs:3",
            "core/src/ops.rs:3",
        ];
        assert_eq!(short, expected);
        assert_eq!(place(&line("f", "/a.rs", 0)).as_deref(), Some("/a.rs"));
        assert_eq!(place(&line("f", "", 1)), None);
    }

    #[test]
    fn folded_stacks_go_from_the_outermost_and_inlined_functions_are_frames() {
        let inlined: Arc<[_]> = ["hook", "push", "load"].map(|name| line(name, "", 0)).into();
        let frames = vec![ResolvedFrame::new(1, inlined, 1), ResolvedFrame::new(0x2a, Arc::default(), 0)];
        let one = ResolvedSite::new(CallSite { live_bytes: 9, ..CallSite::default() }, frames);
        let nowhere = ResolvedSite::new(CallSite { live_bytes: 4, ..CallSite::default() }, Vec::new());
        let text = profile(vec![one.clone(), nowhere, one]).to_folded(HeapMeasure::LiveBytes);
        assert_eq!(text, "0x2a;load;push 18\n[call sites beyond the table] 100\n[no stack] 4\n");
    }

    proptest! {
        /// Read back as flame graph programs read it: the last space ends the stack, semicolons divide it.
        #[test]
        fn folded_stacks_are_read_back(stacks in prop::collection::vec((1..1_000_000_u64, prop::collection::vec("[a-c <>;:\n\t]{1,4}", 1..5)), 0..9)) {
            let sites = stacks.iter().map(|(bytes, names)| {
                site(*bytes, &names.iter().map(|name| line(name, "", 0)).collect::<Vec<_>>())
            });
            let profile = ResolvedProfile::new(1, sites.collect(), CallSite::default(), 0);
            let mut expected: BTreeMap<Vec<String>, u64> = BTreeMap::new();
            for (bytes, names) in &stacks {
                let names = names.iter().rev().map(|name| name.replace(';', ":").replace(['\n', '\t'], " "));
                *expected.entry(names.collect()).or_default() += bytes;
            }
            let text = profile.to_folded(HeapMeasure::LiveBytes);
            let read = text.lines().map(|line| {
                let (stack, count) = line.rsplit_once(' ').unwrap();
                (stack.split(';').map(str::to_owned).collect::<Vec<_>>(), count.parse::<u64>().unwrap())
            });
            prop_assert_eq!(read.collect::<BTreeMap<_, _>>(), expected);
        }
    }
}
