//! What is known when a device's memory runs out.

use super::ResourceKind;

/// A device's memory ran out: what was asked for, as far as that is known to whoever saw the error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shortage {
    /// The error, with its causes.
    pub error: String,
    /// What was being created; `None` if it was something else than a creation.
    pub kind: Option<ResourceKind>,
    /// Bytes that it would have taken.
    pub requested_bytes: Option<u64>,
    /// Its label.
    pub label: Option<String>,
}

/// How often a program was told that memory ran out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShortageCalls {
    /// Calls.
    pub calls: u64,
    /// Calls that panicked.
    pub panics: u64,
    /// Shortages that nobody was told of, since they came about in such a call.
    pub nested: u64,
}

impl ShortageCalls {
    /// So many.
    #[must_use]
    pub fn new(calls: u64, panics: u64, nested: u64) -> Self {
        Self { calls, panics, nested }
    }
}

impl Shortage {
    /// A shortage of which nothing is known but its error.
    #[must_use]
    pub fn new(error: impl Into<String>) -> Self {
        Self { error: error.into(), kind: None, requested_bytes: None, label: None }
    }

    /// In the creation of something of that kind and size.
    #[must_use]
    pub fn creating(self, kind: ResourceKind, bytes: u64) -> Self {
        Self { kind: Some(kind), requested_bytes: Some(bytes), ..self }
    }

    /// With the label of what was being created.
    #[must_use]
    pub fn label(self, label: Option<impl Into<String>>) -> Self {
        Self { label: label.map(Into::into), ..self }
    }
}
