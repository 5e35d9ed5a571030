//! Memory that runs out: the creation that is under way, and who is told when it fails for want of memory.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_vitals_core::probe::{New, ResourceKind, Shortage, ShortageCalls};

/// Who is told of shortages.
pub(super) type Tell = Arc<dyn Fn(&Shortage) + Send + Sync>;

/// All who are told of shortages. A panic in one keeps the error neither from the others nor from the program, and what they create themselves
/// is told to none of them.
#[derive(Default)]
pub(super) struct Listeners {
    tell: Vec<Tell>,
    calls: AtomicU64,
    panics: AtomicU64,
    nested: AtomicU64,
}

impl Listeners {
    pub(super) fn new(tell: Vec<Tell>) -> Arc<Self> {
        Arc::new(Self { tell, ..Self::default() })
    }

    pub(super) fn calls(&self) -> ShortageCalls {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ShortageCalls::new(of(&self.calls), of(&self.panics), of(&self.nested))
    }

    fn tell(&self, shortage: &Shortage) {
        if self.tell.is_empty() {
            return;
        }
        if TELLING.replace(true) {
            self.nested.fetch_add(1, Ordering::Relaxed);
            return;
        }
        for tell in &self.tell {
            self.calls.fetch_add(1, Ordering::Relaxed);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| tell(shortage))) {
                self.panics.fetch_add(1, Ordering::Relaxed);
                // Its drop may panic, too.
                std::mem::forget(panic);
            }
        }
        TELLING.set(false);
    }
}

thread_local! {
    // Without destructors, so that they are there for as long as the thread is.
    /// The creation under way.
    static UNDER_WAY: Cell<Option<Creation>> = const { Cell::new(None) };
    /// A shortage is being told of.
    static TELLING: Cell<bool> = const { Cell::new(false) };
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
pub(super) fn note(listeners: &Listeners, error: &wgpu::Error) {
    let wgpu::Error::OutOfMemory { source } = error else { return };
    let creation = UNDER_WAY.get();
    UNDER_WAY.set(creation.map(|creation| Creation { failed: true, ..creation }));
    let text = with_causes(error);
    let shortage = Shortage::new(text).label(label(&source.to_string()));
    let shortage = match creation {
        Some(Creation { kind, bytes, .. }) => shortage.creating(kind, bytes),
        None => shortage,
    };
    listeners.tell(&shortage);
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

impl fmt::Debug for Listeners {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Listeners").field("told", &self.tell.len()).field("calls", &self.calls()).finish()
    }
}

impl fmt::Debug for UnderWay {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("UnderWay").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instrument::errors::Errors;

    fn out_of_memory() -> wgpu::Error {
        wgpu::Error::OutOfMemory { source: "In Device::create_buffer, label = 'huge'".into() }
    }

    /// A device's errors, whose second listener counts, and how many errors the program's handler has got.
    fn heard(first: impl Fn(&Shortage) + Send + Sync + 'static) -> (Arc<Errors>, [Arc<AtomicU64>; 2], wgpu::Device) {
        let counts = [Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))];
        let [told, handled] = counts.clone();
        let second: Tell = Arc::new(move |shortage: &Shortage| {
            assert_eq!(shortage.label.as_deref(), Some("huge"));
            told.fetch_add(1, Ordering::Relaxed);
        });
        let errors = Errors::new(Listeners::new(vec![Arc::new(first), second]));
        let (device, _queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        errors.set_handler(
            &device,
            Arc::new(move |_| {
                handled.fetch_add(1, Ordering::Relaxed);
            }),
        );
        (errors, counts, device)
    }

    #[test]
    fn a_panic_of_a_listener_keeps_the_error_from_nobody() {
        let (errors, [told, handled], device) = heard(|_| std::panic::panic_any("a listener's"));
        errors.report(out_of_memory());
        assert_eq!((told.load(Ordering::Relaxed), handled.load(Ordering::Relaxed)), (1, 1));
        let scope = errors.push(&device, wgpu::ErrorFilter::OutOfMemory);
        errors.report(out_of_memory());
        assert!(matches!(pollster::block_on(errors.pop(scope)), Some(wgpu::Error::OutOfMemory { .. })));
        assert_eq!((told.load(Ordering::Relaxed), handled.load(Ordering::Relaxed)), (2, 1));
        assert_eq!(errors.shortage_calls(), ShortageCalls::new(4, 2, 0));
    }

    #[test]
    fn a_listener_that_runs_out_of_memory_itself_is_not_told_of_it() {
        let own = Arc::new(std::sync::OnceLock::<Arc<Errors>>::new());
        let here = Arc::clone(&own);
        let (errors, [told, handled], _device) = heard(move |_| here.get().unwrap().report(out_of_memory()));
        assert!(own.set(Arc::clone(&errors)).is_ok());
        for times in 1..=2 {
            errors.report(out_of_memory());
            assert_eq!((told.load(Ordering::Relaxed), handled.load(Ordering::Relaxed)), (times, 2 * times));
            assert_eq!(errors.shortage_calls(), ShortageCalls::new(2 * times, 0, times));
        }
    }

    #[test]
    fn a_label_is_found_in_wgpus_words() {
        assert_eq!(label("In Device::create_buffer, label = 'it's'"), Some("it's"));
        assert_eq!(label("In Device::create_buffer"), None);
    }
}
