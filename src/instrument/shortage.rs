//! Memory that runs out: the creation that is under way, and who is told when it fails for want of memory.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use engine_vitals_core::probe::{New, ResourceKind, Shortage};

/// Who is told of shortages.
pub(super) type Tell = Arc<dyn Fn(&Shortage) + Send + Sync>;

thread_local! {
    /// The creation under way. Without a destructor, so that it is there for as long as the thread is.
    static UNDER_WAY: Cell<Option<Creation>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Creation {
    kind: ResourceKind,
    bytes: u64,
    /// It failed for want of memory.
    failed: bool,
}

/// The creation under way on this thread, from its beginning until this is dropped.
pub(super) struct UnderWay(Option<Creation>);

impl UnderWay {
    #[inline]
    pub(super) fn begins(new: &New<'_>) -> Self {
        Self(UNDER_WAY.replace(Some(Creation { kind: new.kind, bytes: new.bytes, failed: false })))
    }

    /// It has failed for want of memory.
    #[inline]
    pub(super) fn failed(&self) -> bool {
        UNDER_WAY.get().is_some_and(|creation| creation.failed)
    }
}

impl Drop for UnderWay {
    #[inline]
    fn drop(&mut self) {
        UNDER_WAY.set(self.0);
    }
}

/// Tells of an error, if it is one of memory, and notes that the creation under way has failed.
#[cold]
pub(super) fn note(tell: &[Tell], error: &wgpu::Error) {
    let wgpu::Error::OutOfMemory { source } = error else { return };
    let creation = UNDER_WAY.get();
    UNDER_WAY.set(creation.map(|creation| Creation { failed: true, ..creation }));
    let text = with_causes(error);
    let shortage = Shortage::new(text).label(label(&source.to_string()));
    let shortage = match creation {
        Some(Creation { kind, bytes, .. }) => shortage.creating(kind, bytes),
        None => shortage,
    };
    for tell in tell {
        tell(&shortage);
    }
}

/// An error and its causes, in one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// The label in the text of one of wgpu's errors: `In Device::create_buffer, label = 'vertices'`.
fn label(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once(", label = '")?;
    rest.strip_suffix('\'')
}

impl fmt::Debug for UnderWay {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("UnderWay").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_found_in_wgpus_words() {
        assert_eq!(label("In Device::create_buffer, label = 'it's'"), Some("it's"));
        assert_eq!(label("In Device::create_buffer"), None);
    }
}
