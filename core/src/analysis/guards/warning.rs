//! A warning.

use std::fmt;

/// What a guard found. What is unknown is `None`.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Warning {
    /// The guard's [name](super::Guard::name).
    pub guard: &'static str,
    /// The end of the window in which it was first raised, in milliseconds since the Unix epoch.
    pub first_ms: u64,
    /// The end of the window in which it was last raised, in milliseconds since the Unix epoch.
    pub last_ms: u64,
    /// Windows in which it was raised.
    pub windows: u64,
    /// Whose resources they are.
    pub owner: Option<OwnerName>,
    /// What the resources are.
    pub resource: Option<&'static str>,
    /// The resource's name for people.
    pub label: Option<String>,
    /// The line of the program's source, as `file:line`.
    pub site: Option<String>,
    /// All of it in words.
    pub text: String,
    /// The figures that it rests on, those of the last window in which it was raised.
    pub figures: Vec<Figure>,
}

/// An owner's kind, key and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct OwnerName {
    /// The kind's name.
    pub kind: &'static str,
    /// The program's number for it; `None` for all of the kind beyond the tracker's limit.
    pub key: Option<u64>,
    /// Its name for people.
    pub name: Option<&'static str>,
}

/// A figure of a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Figure {
    /// What it is, with its unit as the last word unless it is a count.
    pub name: &'static str,
    /// The value.
    pub value: u64,
}

impl fmt::Display for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.key, self.name) {
            (Some(key), Some(name)) => write!(f, "{} {key} {name:?}", self.kind),
            (Some(key), None) => write!(f, "{} {key}", self.kind),
            (None, _) => write!(f, "{} owners beyond the limit", self.kind),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.guard, self.text)
    }
}
