//! Which frames are the allocator's and the standard library's, and not the program's.

use std::sync::Arc;

use crate::contract::{ResolvedFrame, SourceLine};

/// What lies between the program and the sample, and tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The allocator's hook and what the compiler puts before it.
    Hook,
    /// The standard library: `Vec`, `Box`, `HashMap`, ..
    Library,
    Program,
}

/// Functions whose name tells that they are part of the hook, wherever they begin.
const HOOKS: [&str; 11] = [
    "__rust_alloc",
    "__rust_realloc",
    "__rg_",
    "__rdl_",
    "__rustc::__rust_alloc",
    "__rustc::__rust_realloc",
    "_Unwind_",
    "backtrace::",
    "engine_vitals_core::memory::",
    "core::alloc::global::",
    "alloc::alloc::",
];

/// Looks names up, for the hook never.
const HERE: &str = "engine_vitals_core::memory::profile::";

/// The standard library's crates, and the one that its maps are made of.
const LIBRARIES: [&str; 4] = ["alloc", "core", "std", "hashbrown"];

/// Marks where the program's own code begins on each thread: what is further out is the standard library's and the system's.
const OUTERMOST: &str = "__rust_begin_short_backtrace";

/// The frames from the program's innermost to its outermost: those between it and the allocator are left out, and those that started
/// its thread. Where there is none of the program's, only the hook is left out.
pub(super) fn trimmed(frames: Vec<(usize, Arc<[SourceLine]>)>) -> impl Iterator<Item = ResolvedFrame> {
    let (first, left_out) = begin(&frames);
    let wanted = end(&frames).filter(|&end| end > first).unwrap_or(frames.len()) - first;
    let frames = frames.into_iter().skip(first).take(wanted).enumerate();
    frames.map(move |(at, (address, lines))| ResolvedFrame::new(address, lines, if at == 0 { left_out } else { 0 }))
}

/// How many frames there are to the program's outermost, where that is known.
fn end(frames: &[(usize, Arc<[SourceLine]>)]) -> Option<usize> {
    let outermost = |lines: &[SourceLine]| lines.iter().any(|line| line.symbol.contains(OUTERMOST));
    let marked = frames.iter().position(|(_, lines)| outermost(lines))?;
    let is_librarys = |lines: &[SourceLine]| !lines.is_empty() && lines.iter().all(|line| part(line) == Part::Library);
    // What calls the program's closure.
    let librarys = frames[..marked].iter().rev().take_while(|(_, lines)| is_librarys(lines)).count();
    Some(marked - librarys)
}

/// Where the program's code begins: which frame, and which of its lines.
fn begin(frames: &[(usize, Arc<[SourceLine]>)]) -> (usize, usize) {
    let lines = || frames.iter().enumerate().flat_map(|(at, (_, lines))| (0..lines.len()).map(move |n| (at, n)));
    let part_at = |(at, n): (usize, usize)| part(&frames[at].1[n]);
    // Whatever lies within the hook is part of it, under what name so ever.
    let hook = lines().rfind(|&place| part_at(place) == Part::Hook);
    let beyond_hook = match hook {
        Some((at, n)) if n + 1 < frames[at].1.len() => (at, n + 1),
        Some((at, _)) => (at + 1, 0),
        None => (0, 0),
    };
    let unnamed = frames.iter().enumerate().skip(beyond_hook.0).find(|(_, (_, lines))| lines.is_empty());
    let unnamed = unnamed.map(|(at, _)| (at, 0));
    let program = lines().find(|&place| place >= beyond_hook && part_at(place) == Part::Program);
    // What has no name is taken to be the program's.
    [unnamed, program].into_iter().flatten().min().unwrap_or(beyond_hook)
}

fn part(line: &SourceLine) -> Part {
    let name = without_brackets(&line.symbol);
    let file = line.file.as_deref().map(|file| file.replace('\\', "/"));
    let is_hook = HOOKS.iter().any(|hook| name.starts_with(hook) && !name.starts_with(HERE))
        || line.symbol.contains(" as core::alloc::global::GlobalAlloc>::")
        || file.as_ref().is_some_and(|file| is_our_own(file) || file.contains("/backtrace-0."));
    if is_hook {
        return Part::Hook;
    }
    let of_library = match file {
        // An inlined function may be named without its path.
        Some(file) => is_librarys(&file),
        None => is_library(name) || implemented_trait(&line.symbol).is_some_and(is_library),
    };
    if of_library { Part::Library } else { Part::Program }
}

/// `<&mut a::B as c::D>::e` begins with `a`.
fn without_brackets(name: &str) -> &str {
    let name = name.trim_start_matches(['<', '&', '*', '(', '[']);
    ["dyn ", "mut ", "const "].iter().fold(name, |name, word| name.strip_prefix(word).unwrap_or(name))
}

/// `c::D` in `<u8 as c::D>::e`, where what it is implemented for is of no crate.
fn implemented_trait(name: &str) -> Option<&str> {
    let (subject, rest) = name.strip_prefix('<')?.split_once(" as ")?;
    (!subject.contains("::")).then(|| without_brackets(rest))
}

fn is_library(name: &str) -> bool {
    name.split_once("::").is_some_and(|(krate, _)| LIBRARIES.contains(&krate))
}

fn is_librarys(file: &str) -> bool {
    file.starts_with("/rustc/") || file.contains("/rustlib/src/rust/library/") || file.contains("/hashbrown-")
}

/// The hook's own source, of which the compiler knows the path as it knows this file's.
fn is_our_own(file: &str) -> bool {
    let here = file!().replace('\\', "/");
    let memory = here.trim_end_matches("profile/trim.rs");
    file.contains(memory) && !file.contains(&format!("{memory}profile/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(addresses: &[&[(&str, &str)]]) -> Vec<(usize, Arc<[SourceLine]>)> {
        let line = |&(function, file): &(&str, &str)| {
            SourceLine::new(function, (!file.is_empty()).then(|| file.into()), Some(1))
        };
        let lines = addresses.iter().map(|lines| lines.iter().map(line).collect());
        lines.enumerate().map(|(n, lines)| (100 + n, lines)).collect()
    }

    /// The addresses that are left, with the functions of each.
    fn left(addresses: &[&[(&str, &str)]]) -> Vec<(usize, Vec<String>)> {
        let names = |frame: &ResolvedFrame| frame.lines().iter().map(|line| line.function.to_string()).collect();
        trimmed(frames(addresses)).map(|frame| (frame.address(), names(&frame))).collect()
    }

    const HOOK: &[(&str, &str)] = &[
        ("trace_of_any_name", "/game/src/a_name_that_misleads.rs"),
        ("backtrace::backtrace::trace_unsynchronized", ""),
        ("engine_vitals_core::memory::sites::sample", ""),
        ("<engine_vitals_core::memory::TrackingAllocator as core::alloc::global::GlobalAlloc>::alloc", ""),
    ];
    const ALLOC: &[(&str, &str)] = &[("__rustc::__rust_alloc", "src/main.rs")];

    #[test]
    fn a_stack_begins_where_the_program_called_the_library() {
        let stack: [&[_]; 8] = [
            HOOK,
            ALLOC,
            &[("alloc::alloc::Global::alloc_impl", ""), ("alloc::raw_vec::RawVecInner<A>::grow_amortized", "")],
            // Inlined into the program's function, without paths.
            &[("push<u8>", "/rustc/1/library/alloc/src/vec/mod.rs"), ("game::load", "src/load.rs")],
            &[("game::main", "src/main.rs")],
            &[("call_once<fn(), ()>", "/rustc/1/library/core/src/ops/function.rs")],
            &[("__rust_begin_short_backtrace<fn(), ()>", "/rustc/1/library/std/src/sys/backtrace.rs")],
            &[("main", "")],
        ];
        assert_eq!(left(&stack), [(103, vec!["game::load".to_owned()]), (104, vec!["game::main".to_owned()])]);
    }

    #[test]
    fn where_the_library_alone_allocates_it_is_named() {
        let stack: [&[_]; 3] = [HOOK, ALLOC, &[("std::rt::init", ""), ("std::rt::lang_start_internal", "")]];
        let names = ["std::rt::init", "std::rt::lang_start_internal"].map(String::from);
        assert_eq!(left(&stack), [(102, names.to_vec())]);
        assert_eq!(left(&[HOOK, ALLOC]), []);
        assert_eq!(left(&[]), []);
    }

    #[test]
    fn what_has_no_name_is_the_programs() {
        assert_eq!(left(&[HOOK, &[], &[("game::main", "")]]), [(101, vec![]), (102, vec!["game::main".to_owned()])]);
    }

    #[test]
    fn each_frame_is_told_by_its_name_or_its_file() {
        let part = |function: &str, file: &str| {
            let file = (!file.is_empty()).then(|| file.into());
            part(&SourceLine::new(function, file, None))
        };
        let std = "/rustc/4a4ef493/library/std/src/collections/hash/map.rs";
        let installed = "/opt/rust/lib/rustlib/src/rust/library/alloc/src/string.rs";
        for (function, file) in [
            ("insert<u32, u32>", std),
            ("from", installed),
            ("reserve_rehash", "/rust/deps/hashbrown-0.16.0/src/raw/mod.rs"),
            ("<alloc::vec::Vec<T> as core::clone::Clone>::clone", ""),
            ("<u8 as alloc::slice::ConvertVec>::to_vec", ""),
            ("<[T] as alloc::borrow::ToOwned>::to_owned", ""),
            ("hashbrown::raw::RawTable<T>::reserve_rehash", ""),
        ] {
            assert_eq!(part(function, file), Part::Library, "{function} {file}");
        }
        for (function, file) in [
            ("__rg_alloc", "src/main.rs"),
            ("<game::Guard as core::alloc::global::GlobalAlloc>::alloc", "src/guard.rs"),
            ("alloc::alloc::exchange_malloc", std),
            ("_Unwind_Backtrace", ""),
            ("trace", "/x/registry/src/index.crates.io-1/backtrace-0.3.77/src/backtrace/libunwind.rs"),
            ("sample", concat!("/any/", "core/src/memory/heap.rs")),
        ] {
            assert_eq!(part(function, file), Part::Hook, "{function} {file}");
        }
        for (function, file) in [
            ("alloc_a_lot", "src/load.rs"),
            ("alloc_a_lot", ""),
            ("main", ""),
            ("<game::Mesh as core::clone::Clone>::clone", ""),
            ("core_of_the_game::tick", ""),
            ("stdx::f", ""),
            ("engine_vitals::start", ""),
        ] {
            assert_eq!(part(function, file), Part::Program, "{function} {file}");
        }
    }
}
