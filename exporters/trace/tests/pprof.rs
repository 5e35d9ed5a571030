//! The profile as others read it: by the format's own rules, field by field, without the writer's messages.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use engine_vitals_core::contract::{CallSite, HeapMeasure, ResolvedFrame, ResolvedProfile, ResolvedSite, SourceLine};
use engine_vitals_trace::write_pprof;
use flate2::read::GzDecoder;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::Arc;
use std::time::SystemTime;

/// A field of a message.
#[derive(Debug, Clone)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

/// The fields of a message, by their numbers.
struct Message(Vec<(u64, Field)>);

impl Message {
    fn read(mut bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let field = match key & 7 {
                0 => Field::Number(varint(&mut bytes)),
                2 => {
                    let length = varint(&mut bytes) as usize;
                    let (field, rest) = bytes.split_at(length);
                    bytes = rest;
                    Field::Bytes(field.to_vec())
                }
                other => panic!("the format has no fields of wire type {other}"),
            };
            fields.push((key >> 3, field));
        }
        Self(fields)
    }

    fn all(&self, number: u64) -> impl Iterator<Item = &Field> {
        self.0.iter().filter(move |(each, _)| *each == number).map(|(_, field)| field)
    }

    fn messages(&self, number: u64) -> Vec<Self> {
        self.bytes(number).map(Self::read).collect()
    }

    fn bytes(&self, number: u64) -> impl Iterator<Item = &[u8]> {
        self.all(number).map(move |field| match field {
            Field::Bytes(bytes) => bytes.as_slice(),
            Field::Number(_) => panic!("field {number} is a number"),
        })
    }

    /// A number that is there once or not at all.
    fn number(&self, number: u64) -> u64 {
        let numbers = self.numbers(number);
        assert!(numbers.len() < 2, "field {number} is there {} times", numbers.len());
        numbers.first().copied().unwrap_or(0)
    }

    /// Numbers, packed or one by one.
    fn numbers(&self, number: u64) -> Vec<u64> {
        let mut numbers = Vec::new();
        for field in self.all(number) {
            match field {
                Field::Number(one) => numbers.push(*one),
                Field::Bytes(bytes) => {
                    let mut bytes = bytes.as_slice();
                    while !bytes.is_empty() {
                        numbers.push(varint(&mut bytes));
                    }
                }
            }
        }
        numbers
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}

/// Locations, the innermost first; of each the functions with file and line.
type Stack = Vec<Vec<(String, String, u64)>>;

/// What a viewer knows of a file.
#[derive(Debug, PartialEq)]
struct Shown {
    types: Vec<(String, String)>,
    default: String,
    period: (String, String, u64),
    /// Stacks with their values.
    samples: Vec<(Stack, Vec<u64>)>,
    comments: Vec<String>,
    time_nanos: u64,
}

/// Reads a file and checks that it keeps the format's rules.
fn read(file: &[u8]) -> Shown {
    let mut bytes = Vec::new();
    GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    let profile = Message::read(&bytes);
    let texts: Vec<_> = profile.bytes(6).map(|text| String::from_utf8(text.to_vec()).unwrap()).collect();
    assert_eq!(texts[0], "", "the first text is empty");
    let text = |index: u64| texts[index as usize].clone();
    let value_type = |one: &Message| (text(one.number(1)), text(one.number(2)));
    let types: Vec<_> = profile.messages(1).iter().map(value_type).collect();

    let mappings = profile.messages(3);
    let mapping_ids: HashSet<_> = mappings.iter().map(|one| one.number(1)).collect();
    assert!(mapping_ids.len() == mappings.len() && !mappings.is_empty() && !mapping_ids.contains(&0));
    let functions = by_id(profile.messages(5));
    let locations = by_id(profile.messages(4));
    let lines = |id: &u64| -> Vec<(String, String, u64)> {
        let location = &locations[id];
        let mapping = location.number(2);
        assert!(mapping == 0 || mapping_ids.contains(&mapping));
        let lines = location.messages(4);
        lines
            .iter()
            .map(|line| {
                let function = &functions[&line.number(1)];
                let whole = text(function.number(3));
                assert!(whole.starts_with(&text(function.number(2))), "{whole}");
                (text(function.number(2)), text(function.number(4)), line.number(2))
            })
            .collect()
    };
    let samples = profile
        .messages(2)
        .iter()
        .map(|sample| {
            let values = sample.numbers(2);
            assert_eq!(values.len(), types.len(), "a value for each type");
            (sample.numbers(1).iter().map(lines).collect(), values)
        })
        .collect();
    let period = value_type(&profile.messages(11)[0]);
    Shown {
        default: text(profile.number(14)),
        period: (period.0, period.1, profile.number(12)),
        samples,
        comments: profile.numbers(13).into_iter().map(text).collect(),
        time_nanos: profile.number(9),
        types,
    }
}

fn by_id(messages: Vec<Message>) -> HashMap<u64, Message> {
    let count = messages.len();
    let by_id: HashMap<_, _> = messages.into_iter().map(|one| (one.number(1), one)).collect();
    assert!(by_id.len() == count && !by_id.contains_key(&0), "ids are unique and not 0");
    by_id
}

fn written(profile: &ResolvedProfile) -> Vec<u8> {
    let mut file = Vec::new();
    write_pprof(profile, &mut file).unwrap();
    file
}

fn site(addresses: &[usize], bytes: u64) -> CallSite {
    let mut site = CallSite::default();
    site.frames = addresses.to_vec();
    site.samples = 2;
    (site.allocations, site.allocated_bytes) = (7.6, bytes * 2);
    (site.live_allocations, site.live_bytes) = (3.2, bytes);
    site
}

#[test]
fn a_viewer_reads_four_figures_of_each_stack() {
    let here = a_viewer_reads_four_figures_of_each_stack as fn() as usize;
    let lines: Arc<[_]> = [
        SourceLine::new("alloc::vec::Vec::push", Some("/rustc/1/library/alloc/src/vec/mod.rs".into()), Some(9)),
        SourceLine::new("game::load", Some("/game/src/load.rs".into()), Some(70)).with_symbol("game::load::<u8>"),
    ]
    .into();
    let main: Arc<[_]> = [SourceLine::new("game::main", None, None)].into();
    let stack = |left_out| {
        vec![
            ResolvedFrame::new(here + 1, Arc::clone(&lines), left_out),
            ResolvedFrame::new(here + 2, Arc::clone(&main), 0),
        ]
    };
    let sites = vec![
        ResolvedSite::new(site(&[here + 1, here + 2], 1 << 40), stack(1)),
        ResolvedSite::new(site(&[here + 1, here + 2], 10), stack(0)),
        ResolvedSite::new(site(&[64], 3), vec![ResolvedFrame::new(64, Arc::default(), 0)]),
        ResolvedSite::new(CallSite::default(), stack(0)),
    ];
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let shown = read(&written(&ResolvedProfile::new(512 << 10, sites, site(&[], 1), 5)));
    let names = shown.types.iter().map(|(name, unit)| format!("{name}/{unit}")).collect::<Vec<_>>();
    assert_eq!(names, ["alloc_objects/count", "alloc_space/bytes", "inuse_objects/count", "inuse_space/bytes"]);
    assert_eq!((&*shown.default, shown.period), ("inuse_space", ("space".into(), "bytes".into(), 512 << 10)));
    assert_eq!(shown.comments, ["8 samples, 5 missed"]);
    assert!(shown.time_nanos >= before);
    let line = |name: &str, file: &str, line| (name.to_owned(), file.to_owned(), line);
    let load = line("game::load", "/game/src/load.rs", 70);
    let main = vec![line("game::main", "", 0)];
    let push = line("alloc::vec::Vec::push", "/rustc/1/library/alloc/src/vec/mod.rs", 9);
    let expected = [
        (vec![vec![load.clone()], main.clone()], vec![8, 1 << 41, 3, 1 << 40]),
        (vec![vec![push, load], main], vec![8, 20, 3, 10]),
        (vec![vec![]], vec![8, 6, 3, 3]),
        (vec![vec![line("[call sites beyond the table]", "", 0)]], vec![8, 2, 3, 1]),
    ];
    assert_eq!(shown.samples, expected, "a site of which nothing was sampled is left out");
}

#[test]
fn a_profile_of_nothing_is_a_file_all_the_same() {
    let shown = read(&written(&ResolvedProfile::new(1, Vec::new(), CallSite::default(), 0)));
    assert_eq!((shown.samples.len(), shown.types.len()), (0, 4));
}

#[test]
fn what_is_beyond_the_formats_numbers_is_the_largest_of_them() {
    let mut huge = site(&[1], 1);
    (huge.allocations, huge.allocated_bytes) = (f64::INFINITY, u64::MAX);
    let sites = vec![ResolvedSite::new(huge, vec![ResolvedFrame::new(0, Arc::default(), 0)])];
    let shown = read(&written(&ResolvedProfile::new(u64::MAX, sites, CallSite::default(), 0)));
    let largest = i64::MAX as u64;
    assert_eq!((shown.period.2, &shown.samples[0].1), (largest, &vec![largest, largest, 3, 1]));
}

#[test]
fn a_writer_that_fails_is_told() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let error = write_pprof(&ResolvedProfile::new(1, Vec::new(), CallSite::default(), 0), Full).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}

proptest! {
    /// Whatever the stacks share, each comes back with its own functions and figures.
    #[test]
    fn every_stack_comes_back(
        stacks in prop::collection::vec((prop::collection::vec((1..6_usize, 0..4_usize), 1..6), 1..1_000_u64), 0..20)
    ) {
        let lines: Vec<Arc<[SourceLine]>> = (0..6).map(|address: usize| {
            let line = |n: usize| {
                let file = (n > 0).then(|| format!("file{}", (address + n) % 3).into());
                SourceLine::new(format!("f{}", (address * n) % 5), file, Some(n as u32 + 1))
            };
            (0..address % 4).map(line).collect()
        }).collect();
        let sites = stacks.iter().map(|(frames, bytes)| {
            let addresses: Vec<_> = frames.iter().map(|(address, _)| *address).collect();
            let frames = frames.iter().map(|&(address, left_out)| {
                ResolvedFrame::new(address, Arc::clone(&lines[address]), left_out)
            });
            ResolvedSite::new(site(&addresses, *bytes), frames.collect())
        });
        let profile = ResolvedProfile::new(1, sites.collect(), CallSite::default(), 0);
        let shown = read(&written(&profile));
        prop_assert_eq!(shown.samples.len(), stacks.len());
        for ((stack, values), one) in shown.samples.iter().zip(&profile.sites) {
            let expected: Vec<Vec<_>> = one.frames.iter().map(|frame| {
                let told = |line: &SourceLine| {
                    let file = line.file.as_deref().unwrap_or_default().to_owned();
                    (line.function.to_string(), file, u64::from(line.line.unwrap_or_default()))
                };
                frame.lines().iter().map(told).collect()
            }).collect();
            prop_assert_eq!(stack, &expected);
            prop_assert_eq!(values[3], one.site.measured(HeapMeasure::LiveBytes));
        }
    }
}
