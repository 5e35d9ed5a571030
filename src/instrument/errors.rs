//! Errors of a device: its scopes and its handler, and the errors that come from this layer.

use std::cell::RefCell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use wgpu::custom::PopErrorScopeFuture;

use super::shortage::{self, Listeners};
use super::state::unique;

/// Where errors that this layer adds go: as wgpu's own do, to the innermost scope of the calling thread that filters their
/// kind, else to the handler, else to a panic with wgpu's words.
pub(super) struct Errors {
    /// Tells the devices of a process apart.
    device: u64,
    handler: Mutex<Option<Arc<dyn wgpu::UncapturedErrorHandler>>>,
    /// Who is told when memory runs out.
    listeners: Arc<Listeners>,
}

struct Scope {
    device: u64,
    index: u32,
    filter: wgpu::ErrorFilter,
    /// What a thread forgets it forgets for good: its guards must not be dropped in the order of their making.
    real: ManuallyDrop<wgpu::ErrorScopeGuard>,
    added: Option<wgpu::Error>,
    /// Errors of creations that are not known yet.
    later: Vec<Pin<Box<dyn PopErrorScopeFuture>>>,
}

thread_local! {
    /// The scopes of this thread. wgpu's guards do not leave their thread.
    static SCOPES: RefCell<Vec<Scope>> = const { RefCell::new(Vec::new()) };
}

impl Errors {
    pub(super) fn new(listeners: Arc<Listeners>) -> Arc<Self> {
        Arc::new(Self { device: unique(), handler: Mutex::default(), listeners })
    }

    #[cfg(test)]
    pub(super) fn shortage_calls(&self) -> engine_vitals_core::probe::ShortageCalls {
        self.listeners.calls()
    }

    /// The errors that no scope takes go through here from now on, to the program's handler.
    pub(super) fn set_handler(self: &Arc<Self>, real: &wgpu::Device, handler: Arc<dyn wgpu::UncapturedErrorHandler>) {
        *self.handler.lock() = Some(handler);
        self.catch_uncaptured(real);
    }

    /// The errors that no scope takes go through here from now on. Without a handler of the program's they are as fatal as wgpu makes them.
    pub(super) fn catch_uncaptured(self: &Arc<Self>, real: &wgpu::Device) {
        let errors = Arc::clone(self);
        real.on_uncaptured_error(Arc::new(move |error| errors.uncaptured(error)));
    }

    fn uncaptured(&self, error: wgpu::Error) {
        shortage::note(&self.listeners, &error);
        self.hand_on(error);
    }

    /// To the program's handler.
    fn hand_on(&self, error: wgpu::Error) {
        let handler = self.handler.lock().clone();
        match handler {
            Some(handler) => handler(error),
            None => fatal(&error),
        }
    }

    /// Makes an object, such that it is known at once when memory runs out.
    pub(super) fn watching<R>(&self, real: &wgpu::Device, make: impl FnOnce() -> R) -> R {
        if !self.has_memory_scope() {
            return make();
        }
        // A scope of the program's would tell of it only when it is popped.
        let scope = real.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let made = make();
        let mut popped: Pin<Box<dyn PopErrorScopeFuture>> = Box::pin(scope.pop());
        match popped.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(error) => {
                if let Some(error) = error {
                    self.report(error);
                }
            }
            // In a browser.
            Poll::Pending => self.with_memory_scope(|scope| scope.later.push(popped)),
        }
        made
    }

    fn has_memory_scope(&self) -> bool {
        let mut has = false;
        self.with_memory_scope(|_| has = true);
        has
    }

    /// The innermost scope of this thread that takes errors of memory.
    fn with_memory_scope(&self, f: impl FnOnce(&mut Scope)) {
        let in_scope = SCOPES.try_with(|scopes| {
            let fits =
                |scope: &&mut Scope| scope.device == self.device && scope.filter == wgpu::ErrorFilter::OutOfMemory;
            if let Some(scope) = scopes.borrow_mut().iter_mut().rev().find(fits) {
                f(scope);
            }
        });
        // A thread that is ending has no scopes.
        let _: Result<(), std::thread::AccessError> = in_scope;
    }

    /// Opens a scope. Returns its index among the thread's scopes of this device.
    pub(super) fn push(&self, real: &wgpu::Device, filter: wgpu::ErrorFilter) -> u32 {
        // The real device may be an instrumented one, which uses the same list.
        let guard = real.push_error_scope(filter);
        let index = SCOPES.try_with(|scopes| {
            let mut scopes = scopes.borrow_mut();
            let last = scopes.iter().rev().find(|scope| scope.device == self.device);
            let index = last.map_or(0, |scope| scope.index + 1);
            scopes.push(Scope {
                device: self.device,
                index,
                filter,
                real: ManuallyDrop::new(guard),
                added: None,
                later: Vec::new(),
            });
            index
        });
        // The thread is ending and its scopes are gone: this one is closed again.
        index.unwrap_or(0)
    }

    /// Closes a scope. An error that this layer added comes before one of wgpu's.
    ///
    /// # Panics
    /// As wgpu does, if it is not the innermost scope or not one of this thread.
    pub(super) fn pop(self: &Arc<Self>, index: u32) -> Pin<Box<dyn PopErrorScopeFuture>> {
        let ours = |scope: &Scope| scope.device == self.device && scope.index == index;
        let scope = SCOPES.try_with(|scopes| {
            let mut scopes = scopes.borrow_mut();
            scopes.iter().rposition(ours).map(|place| scopes.remove(place))
        });
        // The thread is ending, and its scopes have been closed.
        let Some(Scope { real, added, later, .. }) = scope.ok().flatten() else {
            return Box::pin(std::future::ready(None));
        };
        let mut real: Pin<Box<dyn PopErrorScopeFuture>> = Box::pin(ManuallyDrop::into_inner(real).pop());
        // Natively it is known now, whether the program awaits it or not.
        match real.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(error) => {
                self.note(error.as_ref());
                Box::pin(std::future::ready(added.or(error)))
            }
            Poll::Pending => {
                let errors = Arc::clone(self);
                Box::pin(async move {
                    let mut first = added;
                    for error in later.into_iter().chain([real]) {
                        let error = error.await;
                        errors.note(error.as_ref());
                        first = first.or(error);
                    }
                    first
                })
            }
        }
    }

    fn note(&self, error: Option<&wgpu::Error>) {
        if let Some(error) = error {
            shortage::note(&self.listeners, error);
        }
    }

    /// A handle of that sort was not made by this instance.
    #[cold]
    pub(super) fn foreign(&self, what: &str, call: &str) {
        self.validation(format!(
            "engine-vitals: the {what} given to `{call}` was not made by this instrumented instance: it comes from another \
             instance, or from the real device behind this one. The call has no effect. Make the {what} from a device of this \
             instance; a buffer or texture of the real device is brought in with engine_vitals::instrument::adopt_buffer or \
             adopt_texture"
        ));
    }

    /// Reports a validation error with that text.
    #[cold]
    pub(super) fn validation(&self, description: String) {
        let source = Box::new(Added(description.clone()));
        self.report(wgpu::Error::Validation { source, description });
    }

    /// Reports an error as wgpu would.
    #[cold]
    pub(super) fn report(&self, error: wgpu::Error) {
        shortage::note(&self.listeners, &error);
        let filter = match error {
            wgpu::Error::OutOfMemory { .. } => wgpu::ErrorFilter::OutOfMemory,
            wgpu::Error::Validation { .. } => wgpu::ErrorFilter::Validation,
            wgpu::Error::Internal { .. } => wgpu::ErrorFilter::Internal,
        };
        let mut error = Some(error);
        let in_scope = SCOPES.try_with(|scopes| {
            let fits = |scope: &&mut Scope| scope.device == self.device && scope.filter == filter;
            if let Some(scope) = scopes.borrow_mut().iter_mut().rev().find(fits) {
                let error = error.take();
                scope.added = scope.added.take().or(error);
            }
        });
        // A thread that is ending has no scopes.
        let _: Result<(), std::thread::AccessError> = in_scope;
        if let Some(error) = error {
            self.hand_on(error);
        }
    }
}

/// What wgpu does with an error for which there is no handler.
#[expect(clippy::panic, reason = "a program without a handler relies on wgpu's panic, in wgpu's words")]
fn fatal(error: &wgpu::Error) -> ! {
    panic!("wgpu error: {error}\n");
}

impl fmt::Debug for Errors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Errors").field("device", &self.device).finish_non_exhaustive()
    }
}

/// The source of an error that this layer added.
#[derive(Debug)]
pub(super) struct Added(pub(super) String);

impl fmt::Display for Added {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Added {}

/// Runs `make` with the validation errors that it provokes kept from the program.
pub(super) fn quietly<R>(real: &wgpu::Device, make: impl FnOnce(&wgpu::Device) -> R) -> R {
    let scope = real.push_error_scope(wgpu::ErrorFilter::Validation);
    let made = make(real);
    drop(scope.pop());
    made
}
