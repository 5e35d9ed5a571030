//! One gather for all who ask at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

/// The gather panicked or the runtime is going down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

type Outcome<T> = Result<Arc<T>, Failed>;

/// Runs a blocking job at most once at a time: who asks while it runs waits for the same result.
pub(crate) struct Coalesced<T> {
    job: Box<dyn Fn() -> T + Send + Sync>,
    running: Mutex<Option<watch::Receiver<Option<Outcome<T>>>>>,
}

impl<T: Send + Sync + 'static> Coalesced<T> {
    pub(crate) fn new(job: impl Fn() -> T + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { job: Box::new(job), running: Mutex::new(None) })
    }

    /// The result, and whether it is shared with a caller that came before.
    ///
    /// Dropping the future does not stop the job: a job that hangs holds one thread, however many ask.
    pub(crate) async fn get(self: &Arc<Self>) -> (Outcome<T>, bool) {
        let (mut result, shared) = self.join();
        let outcome = result.wait_for(Option::is_some).await;
        (outcome.ok().and_then(|value| value.clone()).unwrap_or(Err(Failed)), shared)
    }

    fn join(self: &Arc<Self>) -> (watch::Receiver<Option<Outcome<T>>>, bool) {
        let mut running = self.running.lock();
        if let Some(result) = running.as_ref() {
            return (result.clone(), true);
        }
        let (sender, receiver) = watch::channel(None);
        *running = Some(receiver.clone());
        let this = Arc::clone(self);
        spawn_blocking(move || {
            let outcome = catch_unwind(AssertUnwindSafe(&this.job)).map(Arc::new).map_err(|_| Failed);
            // Cleared first: who asks from here on gets fresh figures.
            *this.running.lock() = None;
            sender.send_replace(Some(outcome));
        });
        (receiver, false)
    }
}

impl<T> std::fmt::Debug for Coalesced<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coalesced").field("running", &self.running.lock().is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn all_who_ask_while_it_runs_share_one_run() {
        let (go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let runs = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&runs);
        let job = Coalesced::new(move || {
            wait.lock().recv().unwrap();
            counted.fetch_add(1, SeqCst)
        });
        let waiting: Vec<_> = (0..20).map(|_| (Arc::clone(&job), job.join())).collect();
        assert_eq!(waiting.iter().filter(|(_, (_, shared))| !shared).count(), 1);
        go.send(()).unwrap();
        for (_, (mut result, _)) in waiting {
            assert_eq!(result.wait_for(Option::is_some).await.unwrap().clone(), Some(Ok(Arc::new(0))));
        }
        go.send(()).unwrap();
        assert_eq!(job.get().await, (Ok(Arc::new(1)), false), "a later caller gets a run of its own");
        assert_eq!(runs.load(SeqCst), 2);
    }

    #[tokio::test]
    async fn a_panic_fails_the_callers_and_not_the_next() {
        let calls = AtomicU64::new(0);
        let job = Coalesced::new(move || assert!(calls.fetch_add(1, SeqCst) > 0, "first call"));
        assert_eq!(job.get().await, (Err(Failed), false));
        assert_eq!(job.get().await, (Ok(Arc::new(())), false));
    }
}
