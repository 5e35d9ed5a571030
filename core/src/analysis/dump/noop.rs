//! The same calls without telemetry: a dump of nothing.

use super::DumpOptions;
use crate::analysis::hitches::Hitch;
use crate::probe::ResourceId;
use crate::tracker::Tracker;
use std::fmt;
use std::io::{self, Write};

/// Everything that a tracker knew at one moment. Without the feature `telemetry` that is nothing.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Dump;

impl Dump {
    /// Nothing.
    #[must_use]
    pub fn take(_tracker: &Tracker, _options: &DumpOptions) -> Self {
        Self
    }

    /// `site` is not called.
    pub fn locate(&mut self, _site: impl FnMut(ResourceId) -> Option<String>) {}

    /// Nothing.
    pub fn set_hitches(&mut self, _hitches: &[Hitch]) {}

    /// Writes nothing.
    ///
    /// # Errors
    /// None.
    pub fn write_json(&self, _writer: impl Write) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Display for Dump {
    /// Says so.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("built without telemetry\n")
    }
}
