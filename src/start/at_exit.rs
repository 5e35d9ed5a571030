//! What is written when measuring ends, where the environment asks for it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use engine_vitals_core::analysis::{Dump, Leaks};

use super::toggles;

/// Asks for a dump: the path of a file.
const DUMP_TOGGLE: &str = "ENGINE_VITALS_DUMP";

/// What is asked for.
#[derive(Debug, Default)]
pub(super) struct AtExit {
    dump: Option<PathBuf>,
    leaks: bool,
}

impl AtExit {
    /// What the environment asks for. Values that make no sense are noticed and ask for nothing; they are not repeated.
    pub(super) fn from_env(notices: &mut Vec<String>) -> Self {
        let value = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            dump: value(DUMP_TOGGLE).and_then(|path| dump_path(path, notices)),
            leaks: toggles::LEAKS.is_on(notices),
        }
    }

    /// Writes it. Whoever asked for it learns on standard error what went wrong.
    pub(super) fn write(&self, dump: impl FnOnce() -> Dump, leaks: impl FnOnce() -> Leaks) {
        if let Some(path) = &self.dump
            && let Err(error) = write_dump(path, &dump())
        {
            tell(&format!("engine-vitals: the dump ({DUMP_TOGGLE}) could not be written: {error}\n"));
        }
        if self.leaks {
            tell(&format!("engine-vitals: {}", leaks()));
        }
    }
}

/// A path that a file can be written to, as far as can be seen now.
fn dump_path(path: OsString, notices: &mut Vec<String>) -> Option<PathBuf> {
    let path = PathBuf::from(path);
    let folder = folder(&path);
    let trouble = if path.file_name().is_none() {
        "it names no file"
    } else if !folder.is_dir() {
        "its folder does not exist"
    } else if path.exists() && !path.is_file() {
        "there is something else than a file"
    } else {
        return Some(path);
    };
    notices.push(format!(
        "{DUMP_TOGGLE} has no effect, since {trouble}: use the path of a file in an existing folder, \
         ending in .json for JSON, otherwise the dump is text"
    ));
    None
}

/// Whoever reads the file sees all of it or the one before: it is written beside and renamed.
fn write_dump(path: &Path, dump: &Dump) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = folder(path).join(format!(".{name}.{}.tmp", std::process::id()));
    // A link that somebody put there is not followed.
    let file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
    let json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let written = write_to(file, dump, json).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_to(file: File, dump: &Dump, json: bool) -> io::Result<()> {
    let mut writer = BufWriter::new(file);
    if json {
        dump.write_json(&mut writer)?;
    } else {
        write!(writer, "{dump}")?;
    }
    writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
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

    #[test]
    fn a_path_that_nothing_can_be_written_to_is_noticed_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let inside = |name: &str| folder.path().join(name).into_os_string();
        let mut notices = Vec::new();
        assert_eq!(dump_path(inside("dump.json"), &mut notices), Some(inside("dump.json").into()));
        assert_eq!(dump_path("dump.txt".into(), &mut notices), Some("dump.txt".into()));
        assert_eq!(notices, [""; 0]);
        for bad in [inside("no_folder/dump.json"), "/".into(), "..".into(), folder.path().into()] {
            let before = notices.len();
            assert_eq!(dump_path(bad.clone(), &mut notices), None);
            assert_eq!(notices.len(), before + 1, "{bad:?}");
        }
        assert!(!notices.iter().any(|notice| notice.contains("no_folder")), "{notices:?}");
        #[cfg(unix)]
        assert_eq!(dump_path("/dev/null".into(), &mut notices), None);
    }

    #[test]
    fn a_dump_that_cannot_be_written_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        // It became a folder with something in it after it was looked at.
        fs::create_dir_all(path.join("full")).unwrap();
        let dump = Dump::take(&Tracker::new(), &DumpOptions::default());
        assert!(write_dump(&path, &dump).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let path = folder.path().join("dump.JSON");
        for _ in 0..2 {
            write_dump(&path, &dump).unwrap();
        }
        assert_eq!(Dump::read_json(File::open(&path).unwrap(), 1 << 20).unwrap(), dump);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
