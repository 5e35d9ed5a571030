//! The call sites of the heap, where users meet them: as data, in files, on the page.

use std::fmt;
use std::io;

#[cfg(feature = "telemetry")]
pub(super) use on::*;

/// Why there is no heap profile.
#[derive(Debug)]
#[non_exhaustive]
pub enum HeapProfileError {
    /// No allocation was sampled: the global allocator is no [`TrackingAllocator`](crate::TrackingAllocator) with call sites, or has
    /// allocated too little yet.
    NotSampled,
    /// pprof's format needs the feature `trace`.
    WithoutTrace,
    /// The file could not be written.
    File(io::Error),
}

impl fmt::Display for HeapProfileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSampled => out.write_str(
                "no allocation was sampled: make the #[global_allocator] a TrackingAllocator with_call_sites(512 << 10), \
                 with the feature `call-sites` of engine-vitals",
            ),
            Self::WithoutTrace => out.write_str(
                "pprof's format needs the feature `trace` of engine-vitals: turn it on, or end the name in .folded or .txt",
            ),
            Self::File(error) => write!(out, "the file could not be written: {error}"),
        }
    }
}

impl std::error::Error for HeapProfileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            Self::NotSampled | Self::WithoutTrace => None,
        }
    }
}

#[cfg(feature = "telemetry")]
mod on {
    use std::io::Write;
    use std::path::Path;

    use engine_vitals_core::contract::{HeapMeasure, ResolvedProfile};
    use engine_vitals_core::memory::{self, HeapTag};

    use super::super::files;
    use super::HeapProfileError;

    /// Rows of a table.
    const ROWS: usize = 50;

    /// How a profile is written.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Form {
        Pprof,
        Folded,
        Text,
    }

    /// What is sampled so far, with names.
    pub(in super::super) fn take() -> Option<ResolvedProfile> {
        memory::get_heap_profile().map(|profile| profile.resolve())
    }

    /// Writes what is sampled so far as the name of the file asks for.
    pub(in super::super) fn write(path: &Path) -> Result<(), HeapProfileError> {
        let _own = HeapTag::OWN.enter();
        let form = Form::of(path);
        if form == Form::Pprof && cfg!(not(feature = "trace")) {
            return Err(HeapProfileError::WithoutTrace);
        }
        let profile = take().ok_or(HeapProfileError::NotSampled)?;
        let bytes = form.bytes(&profile).ok_or(HeapProfileError::WithoutTrace)?;
        files::write_whole(path, |file| file.write_all(&bytes)).map_err(HeapProfileError::File)
    }

    /// A page of the exporter's.
    #[cfg(all(feature = "serve", feature = "call-sites"))]
    pub(in super::super) fn page(form: engine_vitals_prometheus::HeapForm) -> Option<Vec<u8>> {
        use engine_vitals_prometheus::HeapForm;

        let _own = HeapTag::OWN.enter();
        let form = match form {
            HeapForm::Pprof => Form::Pprof,
            HeapForm::Folded => Form::Folded,
            HeapForm::Text => Form::Text,
        };
        form.bytes(&take()?)
    }

    impl Form {
        fn of(path: &Path) -> Self {
            let is = |extension| path.extension().is_some_and(|this| this.eq_ignore_ascii_case(extension));
            if is("folded") {
                Self::Folded
            } else if is("txt") {
                Self::Text
            } else {
                Self::Pprof
            }
        }

        /// `None` for pprof's form where what writes it was not built.
        fn bytes(self, profile: &ResolvedProfile) -> Option<Vec<u8>> {
            match self {
                Self::Pprof => pprof(profile),
                Self::Folded => Some(profile.to_folded(HeapMeasure::LiveBytes).into_bytes()),
                Self::Text => Some(profile.top(ROWS, HeapMeasure::LiveBytes).to_string().into_bytes()),
            }
        }
    }

    #[cfg(feature = "trace")]
    fn pprof(profile: &ResolvedProfile) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        // Writing to memory does not fail.
        engine_vitals_trace::write_pprof(profile, &mut bytes).ok().map(|()| bytes)
    }

    #[cfg(not(feature = "trace"))]
    fn pprof(_profile: &ResolvedProfile) -> Option<Vec<u8>> {
        None
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_name_of_a_file_says_its_form() {
            for (name, form) in [
                ("heap.pb.gz", Form::Pprof),
                ("heap", Form::Pprof),
                ("heap.FOLDED", Form::Folded),
                ("heap.folded.gz", Form::Pprof),
                ("a.folded/heap.txt", Form::Text),
            ] {
                assert_eq!(Form::of(Path::new(name)), form, "{name}");
            }
        }

        /// This program's allocator is the system's.
        #[test]
        fn where_nothing_is_sampled_there_is_no_file_and_a_reason() {
            let folder = tempfile::tempdir().unwrap();
            let error = write(&folder.path().join("heap.folded")).unwrap_err();
            assert!(error.to_string().contains("with_call_sites"), "{error}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}
