//! The twin of `tags` without the feature `telemetry`: every tag is the same.

use std::marker::PhantomData;

/// Stands for any tag: the feature `telemetry` is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeapTag;

impl HeapTag {
    /// What no scope is entered for.
    pub const UNTAGGED: Self = Self;
    /// What this library allocates for itself.
    pub const OWN: Self = Self;
    /// The tags of all names beyond [`MOST_TAGS`](super::MOST_TAGS).
    pub const OVERFLOW: Self = Self;

    /// The one tag.
    #[must_use]
    pub fn named(_name: &'static str) -> Self {
        Self
    }

    /// The one tag.
    #[must_use]
    pub fn current() -> Self {
        Self
    }

    /// Empty: the feature `telemetry` is off.
    #[must_use]
    pub fn name(self) -> &'static str {
        ""
    }

    /// Charges nothing.
    #[inline(always)]
    pub fn enter(self) -> HeapScope {
        HeapScope { thread: PhantomData }
    }
}

/// Charges nothing: the feature `telemetry` is off.
#[derive(Debug)]
#[must_use = "the scope ends when this is dropped"]
pub struct HeapScope {
    thread: PhantomData<*const ()>,
}

impl Drop for HeapScope {
    /// Nothing: it is here so that the same source gets the same lints.
    #[inline(always)]
    fn drop(&mut self) {}
}

/// For [`heap_scope!`](crate::heap_scope).
#[doc(hidden)]
#[derive(Debug)]
pub struct TagOfPlace;

impl TagOfPlace {
    #[must_use]
    pub const fn new(_name: &'static str) -> Self {
        Self
    }

    #[inline(always)]
    pub fn enter(&self) -> HeapScope {
        HeapTag.enter()
    }
}
