//! Updates a registry from a thread of its own.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::Registry;
use crate::memory::HeapTag;

/// Updates a registry that nobody else updates: for programs without a frame loop, and for the time that a frame loop stands still, as
/// that of a minimised window does. Dropping it ends its thread.
#[derive(Debug)]
pub struct BackgroundUpdater {
    _stop: mpsc::Sender<()>,
}

impl BackgroundUpdater {
    /// Starts a thread that updates `registry` after each `every` (1 ms at least) in which nobody else did.
    ///
    /// It does not keep the registry.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(registry: &Registry, every: Duration) -> io::Result<Self> {
        let registry = registry.downgrade();
        let every = every.max(Duration::from_millis(1));
        let (stop, stopped) = mpsc::channel::<()>();
        thread::Builder::new().name("vitals-updater".to_owned()).spawn(move || {
            let _own = HeapTag::OWN.enter();
            let mut seen = 0;
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let Some(registry) = registry.upgrade() else { break };
                if registry.stats().updates == seen {
                    registry.update();
                }
                seen = registry.stats().updates;
            }
        })?;
        Ok(Self { _stop: stop })
    }
}
