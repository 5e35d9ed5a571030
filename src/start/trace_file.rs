//! The trace file that `ENGINE_VITALS_TRACE_FILE` or the builder asks for.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine_vitals_core::monitor::{HitchMonitor, LifecycleResourceMonitor};
use engine_vitals_core::tracker::Tracker;
use engine_vitals_trace::{Options, TraceFile, TraceOptions};

/// Names the file.
pub(super) const TOGGLE: &str = "ENGINE_VITALS_TRACE_FILE";

/// The file that is asked for, made empty: the variable's, else the builder's. One that cannot be made is noticed.
pub(super) fn create(
    toggle: Option<std::ffi::OsString>,
    chosen: Option<PathBuf>,
    notices: &mut Vec<String>,
) -> Option<File> {
    let (path, who) = match toggle.filter(|path| !path.is_empty()) {
        Some(path) => (PathBuf::from(path), TOGGLE),
        None => (chosen?, "Builder::trace_file"),
    };
    // The page shows notices: not what a variable holds.
    create_file(&path)
        .map_err(|error| notices.push(format!("no trace: the file that {who} names cannot be written: {error}")))
        .ok()
}

fn create_file(path: &Path) -> io::Result<File> {
    // To open a pipe would wait for its reader.
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is something else than a file in its place"));
    }
    File::create(path)
}

/// Begins the trace.
pub(super) fn start(
    file: File,
    tracker: &Arc<Tracker>,
    lifecycle: &Arc<LifecycleResourceMonitor>,
    hitches: Option<&Arc<HitchMonitor>>,
    notices: &mut Vec<String>,
) -> Option<TraceFile> {
    let lifecycle = Arc::clone(lifecycle);
    let reading = Options::new().on_lost(move |lost| lifecycle.events_lost(lost));
    let reading = match hitches {
        Some(hitches) => reading.hitches(Arc::clone(hitches)),
        None => reading,
    };
    TraceFile::start(Arc::clone(tracker), file, TraceOptions::new().reading(reading))
        .map_err(|error| notices.push(format!("no trace: its thread could not be started: {error}")))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn the_variable_comes_first_and_an_empty_one_asks_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (named, chosen) = (folder.path().join("named"), folder.path().join("chosen"));
        let mut notices = Vec::new();
        assert!(create(None, None, &mut notices).is_none());
        assert!(create(Some(OsString::new()), None, &mut notices).is_none());
        assert!(create(Some(named.clone().into()), Some(chosen.clone()), &mut notices).is_some());
        assert!(named.exists() && !chosen.exists());
        assert!(create(Some(OsString::new()), Some(chosen.clone()), &mut notices).is_some());
        assert!(chosen.exists());
        assert!(notices.is_empty(), "{notices:?}");
    }

    #[test]
    fn what_cannot_be_written_is_noticed_without_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("secret").join("trace");
        for bad in [folder.path().as_os_str().to_owned(), nowhere.into(), OsString::from("a\0secret"), "/".into()] {
            let mut notices = Vec::new();
            assert!(create(Some(bad), None, &mut notices).is_none());
            assert!(notices.len() == 1 && notices[0].contains(TOGGLE), "{notices:?}");
            assert!(!notices[0].contains("secret"), "{notices:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let mut notices = Vec::new();
        assert!(create(Some(pipe.into()), None, &mut notices).is_none());
        assert_eq!(notices.len(), 1, "{notices:?}");
    }
}
