//! A heap profile in the format of pprof: `profile.proto`, compressed with gzip.
//!
//! This room owns what such a file says. It must not know how the profile was taken, nor where the file is written to.
//!
//! - `schema.rs`: the messages, as pprof's own schema numbers them
//! - `mappings.rs`: what code lies where in this process

mod mappings;
mod schema;

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use engine_vitals_core::contract::{CallSite, HeapMeasure, ResolvedFrame, ResolvedProfile, ResolvedSite, SourceLine};
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use self::mappings::Loaded;
use self::schema::{Function, Line, Location, Mapping, Profile, Sample, ValueType};

/// Name, unit and what of a site it is, in the order of Go's heap profiles, which viewers expect.
const SAMPLE_TYPES: [(&str, &str, HeapMeasure); 4] = [
    ("alloc_objects", "count", HeapMeasure::AllocatedBlocks),
    ("alloc_space", "bytes", HeapMeasure::AllocatedBytes),
    ("inuse_objects", "count", HeapMeasure::LiveBlocks),
    ("inuse_space", "bytes", HeapMeasure::LiveBytes),
];

/// What a viewer shows at first.
const SHOWN: &str = "inuse_space";

/// Writes a heap profile as pprof's viewers open it: `go tool pprof`, Speedscope, Grafana's Pyroscope and others. Name the file `.pb.gz`.
///
/// A call site is a sample of four values: `alloc_objects`, `alloc_space`, `inuse_objects` and `inuse_space`, which is shown at first.
/// The period is the mean distance of two samples in bytes. The profile must be this process's: the code's places in memory are
/// written with it, and the time.
///
/// ```
/// use engine_vitals_core::memory::get_heap_profile;
///
/// if let Some(profile) = get_heap_profile() {
///     engine_vitals_trace::write_pprof(&profile.resolve(), std::fs::File::create("heap.pb.gz")?)?;
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// The writer's.
pub fn write_pprof(profile: &ResolvedProfile, writer: impl Write) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let message = Writer::of(profile, &mappings::of_this_process()).finish(profile, whole(now.as_nanos()));
    let mut writer = GzEncoder::new(writer, Compression::default());
    writer.write_all(&message.encode_to_vec())?;
    writer.finish()?.flush()
}

/// The tables of a profile as they grow.
struct Writer<'a> {
    profile: Profile,
    texts: HashMap<&'a str, i64>,
    /// By whole name and file.
    functions: HashMap<(&'a str, Option<&'a str>), u64>,
    /// By address and by how many of its lines are shown.
    locations: HashMap<(usize, usize), u64>,
}

impl<'a> Writer<'a> {
    fn of(profile: &'a ResolvedProfile, loaded: &'a [Loaded]) -> Self {
        let mut writer = Self {
            profile: Profile { string_table: vec![String::new()], ..Profile::default() },
            texts: HashMap::from([("", 0)]),
            functions: HashMap::new(),
            locations: HashMap::new(),
        };
        for (name, unit, _) in SAMPLE_TYPES {
            let sample_type = ValueType { r#type: writer.text(name), unit: writer.text(unit) };
            writer.profile.sample_type.push(sample_type);
        }
        for (id, one) in (1..).zip(loaded) {
            let filename = writer.text(&one.file);
            writer.profile.mapping.push(Mapping {
                id,
                memory_start: one.start,
                memory_limit: one.limit,
                file_offset: one.offset,
                filename,
                ..Mapping::default()
            });
        }
        for one in &profile.sites {
            let mut stack: Vec<_> = one.frames.iter().map(|frame| writer.location(frame)).collect();
            if stack.is_empty() {
                stack.push(writer.placeless(ResolvedSite::NO_STACK));
            }
            writer.sample(&one.site, stack);
        }
        if profile.other.samples > 0 {
            let stack = vec![writer.placeless(ResolvedProfile::BEYOND_TABLE)];
            writer.sample(&profile.other, stack);
        }
        writer
    }

    fn finish(mut self, profile: &ResolvedProfile, time_nanos: i64) -> Profile {
        let period_type = ValueType { r#type: self.text("space"), unit: self.text("bytes") };
        self.profile.period_type = Some(period_type);
        self.profile.period = whole(profile.mean_interval_bytes.into());
        self.profile.default_sample_type = self.text(SHOWN);
        self.profile.time_nanos = time_nanos;
        let comment = format!("{} samples, {} missed", profile.samples(), profile.missed_samples);
        let index = self.profile.string_table.len();
        self.profile.string_table.push(comment);
        self.profile.comment.push(whole(index as u128));
        self.profile
    }

    fn sample(&mut self, site: &CallSite, location_id: Vec<u64>) {
        let value = SAMPLE_TYPES.map(|(_, _, measure)| whole(site.measured(measure).into())).to_vec();
        if value.iter().any(|&value| value != 0) {
            self.profile.sample.push(Sample { location_id, value });
        }
    }

    fn location(&mut self, frame: &'a ResolvedFrame) -> u64 {
        let lines = frame.lines();
        let key = (frame.address(), lines.len());
        if let Some(&id) = self.locations.get(&key) {
            return id;
        }
        // Within the call, not behind it.
        let address = (frame.address() as u64).saturating_sub(1);
        let mapping =
            self.profile.mapping.iter_mut().find(|one| (one.memory_start..one.memory_limit).contains(&address));
        let mapping_id = mapping.map_or(0, |mapping| {
            mapping.has_functions |= !lines.is_empty();
            mapping.has_filenames |= lines.iter().any(|line| line.file.is_some());
            mapping.has_line_numbers |= lines.iter().any(|line| line.line.is_some());
            mapping.has_inline_frames |= !lines.is_empty();
            mapping.id
        });
        let line = lines.iter().map(|line| self.line(line)).collect();
        let id = self.next_location();
        self.profile.location.push(Location { id, mapping_id, address, line });
        self.locations.insert(key, id);
        id
    }

    /// A location that stands for no code.
    fn placeless(&mut self, name: &'a str) -> u64 {
        let line = vec![Line { function_id: self.function(name, name, None), line: 0 }];
        let id = self.next_location();
        self.profile.location.push(Location { id, line, ..Location::default() });
        id
    }

    fn next_location(&self) -> u64 {
        self.profile.location.len() as u64 + 1
    }

    fn line(&mut self, line: &'a SourceLine) -> Line {
        let function_id = self.function(&line.function, &line.symbol, line.file.as_deref());
        Line { function_id, line: line.line.unwrap_or_default().into() }
    }

    fn function(&mut self, name: &'a str, symbol: &'a str, file: Option<&'a str>) -> u64 {
        if let Some(&id) = self.functions.get(&(symbol, file)) {
            return id;
        }
        let (name, system_name) = (self.text(name), self.text(symbol));
        let filename = self.text(file.unwrap_or_default());
        let id = self.profile.function.len() as u64 + 1;
        self.profile.function.push(Function { id, name, system_name, filename });
        self.functions.insert((symbol, file), id);
        id
    }

    fn text(&mut self, text: &'a str) -> i64 {
        let next = whole(self.profile.string_table.len() as u128);
        *self.texts.entry(text).or_insert_with(|| {
            self.profile.string_table.push(text.to_owned());
            next
        })
    }
}

/// The format's numbers have a sign: what is larger is the largest.
fn whole(value: u128) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
