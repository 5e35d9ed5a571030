//! What is written when measuring ends, where the environment asks for it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use engine_vitals_core::analysis::{Dump, Leaks};

use super::heap_profile::HeapProfileError;
use super::{files, toggles};

/// Asks for a dump: the path of a file.
const DUMP_TOGGLE: &str = "ENGINE_VITALS_DUMP";

/// Asks for the call sites of the heap: the path of a file.
const HEAP_PROFILE_TOGGLE: &str = "ENGINE_VITALS_HEAP_PROFILE";

/// What is asked for.
#[derive(Debug, Default)]
pub(super) struct AtExit {
    dump: Option<PathBuf>,
    heap_profile: Option<PathBuf>,
    leaks: bool,
}

impl AtExit {
    /// What the environment asks for. Values that make no sense are noticed and ask for nothing; they are not repeated.
    pub(super) fn from_env(notices: &mut Vec<String>) -> Self {
        let value = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            dump: value(DUMP_TOGGLE).and_then(|path| {
                files::asked_for(DUMP_TOGGLE, path, "ending in .json for JSON, otherwise the dump is text", notices)
            }),
            heap_profile: value(HEAP_PROFILE_TOGGLE).and_then(|path| {
                if !cfg!(feature = "call-sites") {
                    let lacks = "engine-vitals was built without its feature `call-sites`";
                    notices.push(format!("{HEAP_PROFILE_TOGGLE} has no effect: {lacks}"));
                    return None;
                }
                let form = "ending in .folded for folded stacks or .txt for a table, otherwise the profile is pprof's";
                files::asked_for(HEAP_PROFILE_TOGGLE, path, form, notices)
            }),
            leaks: toggles::LEAKS.is_on(notices),
        }
    }

    /// Writes it. Whoever asked for it learns on standard error what went wrong.
    pub(super) fn write(
        &self,
        dump: impl FnOnce() -> Dump,
        heap_profile: impl FnOnce(&Path) -> Result<(), HeapProfileError>,
        leaks: impl FnOnce() -> Leaks,
    ) {
        if let Some(path) = &self.dump
            && let Err(error) = write_dump(path, &dump())
        {
            tell(&format!("engine-vitals: the dump ({DUMP_TOGGLE}) could not be written: {error}\n"));
        }
        if let Some(path) = &self.heap_profile
            && let Err(error) = heap_profile(path)
        {
            tell(&format!("engine-vitals: no heap profile ({HEAP_PROFILE_TOGGLE}): {error}\n"));
        }
        if self.leaks {
            tell(&format!("engine-vitals: {}", leaks()));
        }
    }
}

fn write_dump(path: &Path, dump: &Dump) -> io::Result<()> {
    let json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    files::write_whole(path, |file| if json { dump.write_json(file) } else { write!(file, "{dump}") })
}

/// On standard error. With that gone there is nobody left to tell.
pub(super) fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine_vitals_core::analysis::DumpOptions;
    use engine_vitals_core::tracker::Tracker;
    use std::fs::File;

    #[test]
    fn a_dump_is_json_where_its_name_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let dump = Dump::take(&Tracker::new(), &DumpOptions::default());
        let path = folder.path().join("dump.JSON");
        write_dump(&path, &dump).unwrap();
        assert_eq!(Dump::read_json(File::open(&path).unwrap(), 1 << 20).unwrap(), dump);
        let path = folder.path().join("dump");
        write_dump(&path, &dump).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), dump.to_string());
    }
}
