//! The HTTP server: one thread with a runtime of its own, so that it starts and stops inside a tokio runtime as well
//! as outside one.
//!
//! It owns sockets, limits and the order of refusals ([`guard`]). It must not know what the pages say ([`Pages`]).
//!
//! Every wait has an end: for a header, for a client to take its answer, for the next request, for the figures. When
//! all connections allowed are open, the one that has waited longest for its client makes room for the newest, so that
//! half-open connections cannot keep a scrape out.

mod bind;
mod coalesce;
mod connection;
mod guard;
mod routes;
mod stats;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use engine_vitals_core::memory::HeapTag;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinSet, yield_now};
use tokio::time::{sleep, timeout};

pub(crate) use self::bind::Listen;
use self::connection::Activity;
pub(crate) use self::guard::host_name;
use self::guard::{Hosts, Rules};
use self::routes::Site;
use self::stats::Closed;
pub(crate) use self::stats::Stats;

/// How a dump is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DumpForm {
    Json,
    Text,
}

/// How the heap's call sites are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeapForm {
    /// `/heap.pb.gz`: pprof's format, compressed with gzip.
    Pprof,
    /// `/heap.folded`: folded stacks.
    Folded,
    /// `/heap.txt`: a table for people.
    Text,
}

/// What the server shows. Called on a thread that may block, never twice at once for the same page.
pub(crate) trait Pages: Send + Sync + 'static {
    /// `/metrics`, in the Prometheus text format.
    fn metrics(&self) -> Vec<u8>;
    /// `/`, as HTML.
    fn index(&self) -> Vec<u8>;
    /// Whether there is a dump to be had.
    fn has_dump(&self) -> bool;
    /// `/dump.json` and `/dump.txt`.
    fn dump(&self, form: DumpForm) -> Vec<u8>;
    /// `/heap.pb.gz`, `/heap.folded` and `/heap.txt`, where they can be had.
    fn heap(&self, form: HeapForm) -> Option<Vec<u8>>;
}

/// How much of anything is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) max_connections: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) max_header_bytes: usize,
    pub(crate) max_uri_bytes: usize,
    pub(crate) header_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) gather_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 128,
            max_in_flight: 64,
            max_header_bytes: 16 * 1024,
            max_uri_bytes: 2 * 1024,
            header_timeout: Duration::from_secs(3),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(10),
            gather_timeout: Duration::from_secs(8),
        }
    }
}

/// What a server is made from.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) listen: Listen,
    /// Fail rather than take another port than the one asked for.
    pub(crate) exact_port: bool,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) token: Option<String>,
    pub(crate) limits: Limits,
}

/// A running server. Dropping it closes the port and ends its thread, within [`STOP_WITHIN`].
#[derive(Debug)]
pub(crate) struct Server {
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    /// Behind a lock only so that a server may be shared between threads.
    ended: Mutex<mpsc::Receiver<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Answers under way when the server stops may take this long to end.
const GRACE: Duration = Duration::from_millis(500);
/// How long dropping a server may take. A thread that is stuck for longer in rendering is left behind.
const STOP_WITHIN: Duration = Duration::from_secs(2);

impl Server {
    /// Opens the port and serves `pages` on a thread of its own. Returns when the port is open.
    ///
    /// # Errors
    /// The port could not be opened, or the thread not started.
    pub(crate) fn start(config: Config, pages: Arc<dyn Pages>, stats: Arc<Stats>) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let (opened, open) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        let thread = thread::Builder::new().name("vitals-exporter".into()).spawn(move || {
            let _own = HeapTag::OWN.enter();
            run(&config, pages, stats, stopped, &opened);
            // The receiver is gone when nobody waits for the end any more.
            let _ = ending.send(());
        })?;
        let addresses =
            open.recv().map_err(|_| io::Error::other("the exporter's thread ended before it listened"))??;
        Ok(Self { addresses, stop, ended: Mutex::new(ended), thread: Some(thread) })
    }

    /// The addresses it listens on; never empty.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if self.ended.get_mut().recv_timeout(STOP_WITHIN).is_ok()
            && let Some(thread) = self.thread.take()
        {
            // A panic of that thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

fn run(
    config: &Config,
    pages: Arc<dyn Pages>,
    stats: Arc<Stats>,
    stopped: watch::Receiver<bool>,
    opened: &mpsc::Sender<io::Result<Vec<SocketAddr>>>,
) {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        // The three pages of the heap and the two dumps may take seconds each, one at a time; /metrics must not wait for them.
        .max_blocking_threads(8)
        .thread_keep_alive(Duration::from_secs(30))
        .thread_name("vitals-render")
        // To the thread's end.
        .on_thread_start(|| std::mem::forget(HeapTag::OWN.enter()))
        .build();
    let ready = runtime.and_then(|runtime| {
        let _context = runtime.enter();
        let listeners = config.listen.open(config.exact_port)?;
        let addresses = bind::addresses(&listeners)?;
        drop(_context);
        Ok((runtime, listeners, addresses))
    });
    let (runtime, listeners, addresses) = match ready {
        Ok(ready) => ready,
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    };
    let hosts = Hosts { names: config.allowed_hosts.clone(), bound: addresses.iter().map(SocketAddr::ip).collect() };
    let rules = Rules { hosts, token: config.token.clone(), max_uri: config.limits.max_uri_bytes };
    let site = Site::new(pages, rules, config.limits, stats);
    if opened.send(Ok(addresses)).is_ok() {
        runtime.block_on(Acceptor::new(site, stopped).run(listeners));
    }
    runtime.shutdown_timeout(GRACE);
}

/// Lets connections in, up to the limit.
struct Acceptor {
    site: Arc<Site>,
    stopped: watch::Receiver<bool>,
    tasks: JoinSet<()>,
    open: HashMap<Id, (AbortHandle, Arc<Activity>)>,
}

impl Acceptor {
    fn new(site: Site, stopped: watch::Receiver<bool>) -> Self {
        Self { site: Arc::new(site), stopped, tasks: JoinSet::new(), open: HashMap::new() }
    }

    async fn run(mut self, listeners: Vec<TcpListener>) {
        let mut stopped = self.stopped.clone();
        loop {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => break,
                Some(ended) = self.tasks.join_next_with_id() => {
                    self.open.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
                    self.count_open();
                }
                accepted = accept(&listeners) => match accepted {
                    Ok(stream) => {
                        self.admit(stream);
                        // Let the newcomer read its request before it could be the one to make room.
                        yield_now().await;
                    }
                    Err(_) => {
                        self.site.stats.accept_errors.fetch_add(1, Relaxed);
                        // Out of file handles, most likely: trying again at once would spin.
                        sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        }
        drop(listeners);
        // Whoever has not ended by then is cut off with the runtime.
        let _ = timeout(GRACE, async { while self.tasks.join_next().await.is_some() {} }).await;
    }

    fn admit(&mut self, stream: TcpStream) {
        self.site.stats.accepted.fetch_add(1, Relaxed);
        if self.open.len() >= self.site.limits.max_connections && !self.make_room() {
            self.site.stats.close(Closed::OverCapacity);
            return turn_away(stream);
        }
        // Answers are single writes: waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        let activity = Arc::new(Activity::new());
        let serving = connection::serve(stream, Arc::clone(&activity), Arc::clone(&self.site), self.stopped.clone());
        let task = self.tasks.spawn(serving);
        self.open.insert(task.id(), (task, activity));
        self.count_open();
    }

    /// Closes the connection that has waited longest for its client, if any waits.
    fn make_room(&mut self) -> bool {
        let waiting = self.open.iter().filter_map(|(id, (_, activity))| Some((activity.waiting_since()?, *id)));
        let Some((_, id)) = waiting.min_by_key(|(since, _)| *since) else {
            return false;
        };
        if let Some((task, _)) = self.open.remove(&id) {
            task.abort();
            self.site.stats.close(Closed::Evicted);
        }
        true
    }

    fn count_open(&self) {
        self.site.stats.connections.store(self.open.len() as u64, Relaxed);
    }
}

/// The next connection on any of the sockets.
async fn accept(listeners: &[TcpListener]) -> io::Result<TcpStream> {
    poll_fn(|cx| {
        for listener in listeners {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(accepted.map(|(stream, _)| stream));
            }
        }
        Poll::Pending
    })
    .await
}

/// Says so to a connection that there is no room for, if it can be said without waiting, and closes it.
fn turn_away(stream: TcpStream) {
    const BUSY: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    if let Ok(mut stream) = stream.into_std() {
        // It stays non-blocking; a fresh socket has room for this.
        let _ = stream.write(BUSY);
    }
}
