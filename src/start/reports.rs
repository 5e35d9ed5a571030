//! The lifecycle report on stderr, for who asked for it.

use std::fmt::Display;
use std::sync::Arc;
use std::thread::JoinHandle;

use engine_vitals_core::memory::HeapTag;
use engine_vitals_core::monitor::LifecycleResourceMonitor;
use parking_lot::Mutex;

use super::at_exit::tell;

/// Writes the startup report when it is ready, and at the end all windows.
#[derive(Debug)]
pub(super) struct Reports {
    writing: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Reports {
    pub(super) fn of(lifecycle: &LifecycleResourceMonitor) -> Self {
        let writing: Arc<Mutex<Option<JoinHandle<()>>>> = Arc::default();
        let slot = Arc::clone(&writing);
        lifecycle.on_startup(move |report| {
            let text: Arc<str> = report.startup.to_string().into();
            // Whoever reads our stderr may be slow: the frame does not wait for that, unless there are no threads.
            let writer = std::thread::Builder::new().name("vitals-report".to_owned());
            let theirs = Arc::clone(&text);
            match writer.spawn(move || {
                let _own = HeapTag::OWN.enter();
                write(&theirs);
            }) {
                Ok(writing) => *slot.lock() = Some(writing),
                Err(_) => write(&text),
            }
        });
        Self { writing }
    }

    /// Writes what there is at the end, after what was written at the startup.
    pub(super) fn end(&self, lifecycle: &LifecycleResourceMonitor) {
        let startup = self.writing.lock().take();
        if let Some(startup) = startup {
            let _ended_either_way = startup.join();
        }
        if let Some(report) = lifecycle.telemetry() {
            write(&report);
        }
    }
}

fn write(report: &impl Display) {
    tell(&format!("{report}\n"));
}
