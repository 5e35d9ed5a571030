//! Files that are written when they are asked for: whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

/// The path of a file that an environment variable asks for, if it can be written to as far as can be seen now. Otherwise that is
/// noticed, with what `form` says of the name; the value is not repeated.
pub(super) fn asked_for(toggle: &str, path: OsString, form: &str, notices: &mut Vec<String>) -> Option<PathBuf> {
    let path = PathBuf::from(path);
    let trouble = if path.file_name().is_none() {
        "it names no file"
    } else if !folder(&path).is_dir() {
        "its folder does not exist"
    } else if path.exists() && !path.is_file() {
        "there is something else than a file"
    } else {
        return Some(path);
    };
    notices
        .push(format!("{toggle} has no effect, since {trouble}: use the path of a file in an existing folder, {form}"));
    None
}

/// Whoever reads the file sees all of it or the one before: it is written beside and renamed.
pub(super) fn write_whole(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_string_lossy().into_owned();
    let beside = folder(path).join(format!(".{name}.{}.tmp", std::process::id()));
    // A link that somebody put there is not followed.
    let file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
    let written = write_all(file, write).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_all(file: File, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let mut writer = BufWriter::new(file);
    write(&mut writer)?;
    writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_path_that_nothing_can_be_written_to_is_noticed_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let inside = |name: &str| folder.path().join(name).into_os_string();
        let mut notices = Vec::new();
        let mut asked = |path: OsString| (asked_for("A_TOGGLE", path, "ending in .x", &mut notices), notices.len());
        assert_eq!(asked(inside("dump.json")), (Some(inside("dump.json").into()), 0));
        assert_eq!(asked("dump.txt".into()), (Some("dump.txt".into()), 0));
        for (count, bad) in (1..).zip([inside("no_folder/dump.json"), "/".into(), "..".into(), folder.path().into()]) {
            assert_eq!(asked(bad.clone()), (None, count), "{bad:?}");
        }
        #[cfg(unix)]
        assert_eq!(asked("/dev/null".into()), (None, 5));
        assert!(notices.iter().all(|notice| notice.starts_with("A_TOGGLE ") && notice.ends_with("ending in .x")));
        assert!(!notices.iter().any(|notice| notice.contains("no_folder")), "{notices:?}");
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        // It became a folder with something in it after it was looked at.
        fs::create_dir_all(path.join("full")).unwrap();
        assert!(write_whole(&path, |file| file.write_all(b"x")).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let path = folder.path().join("kept");
        for text in [&b"first"[..], b"second"] {
            write_whole(&path, |file| file.write_all(text)).unwrap();
        }
        let full = write_whole(&path, |file| file.write_all(b"half").and(Err(io::ErrorKind::StorageFull.into())));
        assert_eq!(full.map_err(|error| error.kind()), Err(io::ErrorKind::StorageFull));
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert!(write_whole(Path::new(".."), |_| Ok(())).is_err());
    }
}
