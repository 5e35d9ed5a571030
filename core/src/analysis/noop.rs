//! The same calls without telemetry: nothing is different, nothing leaks.

use super::Dump;
use crate::probe::{Probe, ResourceId};
use crate::tracker::{Snapshot, Tracker};
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::marker::PhantomData;

/// No difference.
#[must_use]
pub fn diff(_older: &Dump, _newer: &Dump) -> Diff {
    Diff
}

impl Snapshot {
    /// No difference.
    #[must_use]
    pub fn diff(&self, _older: &Self, _tracker: &Tracker) -> Diff {
        Diff
    }
}

/// The difference between two dumps. Without the feature `telemetry` there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diff;

impl Diff {
    /// Always.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        true
    }

    /// Writes nothing.
    ///
    /// # Errors
    /// None.
    pub fn write_json(&self, _writer: impl Write) -> io::Result<()> {
        Ok(())
    }
}

impl Display for Diff {
    /// Nothing.
    fn fmt(&self, _: &mut Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// The resources that are not released. Without the feature `telemetry` none is known.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Leaks;

impl Leaks {
    /// Nothing.
    #[must_use]
    pub fn find(_tracker: &Tracker) -> Self {
        Self
    }

    /// `site` is not called.
    pub fn locate(&mut self, _site: impl FnMut(ResourceId) -> Option<String>) {}

    /// Always.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        true
    }
}

impl Display for Leaks {
    /// Nothing.
    fn fmt(&self, _: &mut Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// What [`assert_no_leaks!`](crate::assert_no_leaks) checks with. Without the feature `telemetry` it checks nothing.
#[derive(Debug)]
#[must_use = "end() checks"]
pub struct LeakCheck<'a>(PhantomData<&'a ()>);

impl<'a> LeakCheck<'a> {
    /// Nothing.
    pub fn begin(_probe: Probe) -> Self {
        Self(PhantomData)
    }

    /// `poll` is not called.
    pub fn polling<R>(self, _poll: impl FnMut() -> R + 'a) -> Self {
        self
    }

    /// Nothing.
    pub fn end(self) {}
}
