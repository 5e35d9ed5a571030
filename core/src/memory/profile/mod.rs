//! Names for the addresses of a heap profile.
//!
//! It owns the looking up, the cache of what was looked up, and the rule by which frames between the program and the allocator are left
//! out. It must not know where a profile comes from, nor how it is shown: what it makes is plain data.

mod lookup;
#[cfg_attr(not(any(feature = "call-sites", test)), expect(dead_code, reason = "nothing is looked up"))]
mod names;
mod trim;

use std::collections::HashMap;
use std::sync::Arc;

use super::HeapTag;
use crate::contract::{CallSite, HeapProfile, ResolvedFrame, ResolvedProfile, ResolvedSite, SourceLine};

impl HeapProfile {
    /// Looks up the function, file and line of every address.
    ///
    /// It runs on the caller's thread and takes long: the program's debug information is read, which takes 0.2 to 0.7 s and 40 MB
    /// for a small program, and more of both for a large one. What was looked up is kept for the process's life (up to 65,536
    /// addresses), so that doing it again takes some 10 us for each site; the debug information is not, and is read again for addresses
    /// that are new. Never call it on the frame path. Several threads may; they take turns.
    ///
    ///
    /// Names need the program's symbols, and lines need `debug = "line-tables-only"` or more in the profile that it is built with, also
    /// in release builds. What was not found keeps its address. Without the feature `call-sites` nothing is looked up. What looking up
    /// allocates is charged to [`HeapTag::OWN`], and counts in the peak as everything does.
    #[must_use]
    pub fn resolve(&self) -> ResolvedProfile {
        let known = {
            let _own = HeapTag::OWN.enter();
            lookup::lines_of(self.sites.iter().flat_map(|site| site.frames.iter().copied()))
        };
        let sites = self.sites.iter().map(|site| resolved(site, &known)).collect();
        ResolvedProfile::new(self.mean_interval_bytes, sites, self.other.clone(), self.missed_samples)
    }
}

fn resolved(site: &CallSite, known: &HashMap<usize, Arc<[SourceLine]>>) -> ResolvedSite {
    let lines = |address| known.get(&address).cloned().unwrap_or_default();
    let frames: Vec<_> = site.frames.iter().map(|&address| (address, lines(address))).collect();
    ResolvedSite::new(site.clone(), trim::trimmed(frames).collect::<Vec<ResolvedFrame>>())
}

#[cfg(all(test, feature = "call-sites"))]
mod tests {
    use super::*;

    /// What the allocator's hook does, here from an ordinary function.
    fn captured() -> Vec<usize> {
        let mut frames = Vec::new();
        backtrace::trace(|frame| {
            frames.push(frame.ip().addr());
            frames.len() < 64
        });
        frames
    }

    #[inline(never)]
    fn planted_site() -> (Vec<usize>, u32) {
        (captured(), line!())
    }

    fn profile(frames: Vec<usize>) -> HeapProfile {
        HeapProfile::new(512, vec![CallSite { frames, samples: 3, ..CallSite::default() }], CallSite::default(), 1)
    }

    #[test]
    fn an_address_becomes_the_function_and_the_line_of_the_call() {
        let (frames, line) = planted_site();
        let resolved = profile(frames.clone()).resolve();
        assert_eq!((resolved.mean_interval_bytes, resolved.missed_samples, resolved.samples()), (512, 1, 3));
        let site = &resolved.sites[0];
        assert_eq!(site.site.frames, frames);
        let of_here = |one: &&SourceLine| one.file.as_ref().is_some_and(|file| file.ends_with("memory/profile/mod.rs"));
        let here: Vec<_> = site.frames.iter().flat_map(|frame| frame.lines()).filter(of_here).collect();
        let planted = here.iter().find(|one| one.function.contains("planted_site"));
        let Some(planted) = planted else { panic!("{here:?}") };
        assert_eq!(planted.line, Some(line));
        assert!(here.iter().any(|one| one.function.contains("an_address_becomes")), "{here:?}");
    }

    #[test]
    fn an_address_of_nothing_keeps_its_number_and_no_name() {
        let resolved = profile(vec![16]).resolve();
        let frames = &resolved.sites[0].frames;
        assert_eq!(frames.len(), 1);
        assert_eq!((frames[0].address(), frames[0].lines()), (16, &[][..]));
    }

    #[test]
    fn what_was_looked_up_is_not_looked_up_again() {
        let (frames, _) = planted_site();
        let first = profile(frames.clone()).resolve();
        let again = profile(frames).resolve();
        assert_eq!(first, again);
        let lines = |resolved: &ResolvedProfile| resolved.sites[0].frames[0].lines().as_ptr();
        assert_eq!(lines(&first), lines(&again), "the same lines, not equal ones");
    }
}
