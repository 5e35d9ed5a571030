//! A thread that does something every so often.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use engine_vitals_core::memory::HeapTag;

/// Ends its thread when dropped, without waiting for a job that is under way.
#[derive(Debug)]
pub(crate) struct Ticker {
    stop: Option<mpsc::Sender<()>>,
}

impl Ticker {
    pub(crate) fn start(name: &str, interval: Duration, mut job: impl FnMut() + Send + 'static) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _own = HeapTag::OWN.enter();
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                job();
            }
        })?;
        Ok(Self { stop: Some(stop) })
    }

    /// Lets the thread run for as long as the process does.
    pub(crate) fn forever(&mut self) {
        std::mem::forget(self.stop.take());
    }
}
