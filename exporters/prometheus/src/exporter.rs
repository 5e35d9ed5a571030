//! The exporter: a registry, a recorder and a server, tied together.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine_vitals_core::analysis::{Dump, DumpOptions};
use engine_vitals_core::contract::StoreReport;
use engine_vitals_core::memory::HeapTag;
use engine_vitals_core::registry::{MetricsOutput, Registry};
use metrics::Recorder;
use parking_lot::Mutex;

use crate::bridge::Bridge;
use crate::dump;
use crate::index::{self, MonitorLine};
use crate::render::{Labels, family};
use crate::server::{Config, DumpForm, HeapForm, Limits, Listen, Pages, Server, Stats, host_name};
use crate::ticker::Ticker;

/// The port that is tried first.
pub const DEFAULT_PORT: u16 = 9184;

/// How often samples of the application's histograms are taken out of their buffers, scraped or not.
const UPKEEP: Duration = Duration::from_secs(5);
/// How often a joined recorder gets the figures.
const JOINED: Duration = Duration::from_secs(1);

/// A running exporter. Dropping it closes its port and ends its threads, within two seconds.
///
/// All methods may be called from any thread, inside or outside an asynchronous runtime.
#[derive(Debug)]
pub struct Exporter {
    // Dropped first: nothing is asked of the rest after that.
    server: Server,
    content: Arc<Content>,
    _upkeep: Ticker,
    _joined: Option<Ticker>,
}

impl Exporter {
    /// Sets up an exporter of this registry.
    pub fn builder(registry: &Registry) -> ExporterBuilder {
        ExporterBuilder {
            registry: registry.clone(),
            app: None,
            constant_labels: Vec::new(),
            global_labels: Vec::new(),
            buckets: None,
            listen: Listen::Loopback { port: DEFAULT_PORT },
            exact_port: false,
            allowed_hosts: Vec::new(),
            token: None,
            limits: Limits::default(),
            global: false,
            joined: None,
            notices: Box::new(Vec::new),
            dump: None,
            heap: None,
            stores: None,
        }
    }

    /// Where the page is, such as `http://127.0.0.1:9184/`. For an exporter that listens on all addresses, its
    /// loopback address.
    #[must_use]
    pub fn url(&self) -> String {
        let mut address = self.addresses()[0];
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() {
                [127, 0, 0, 1].into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        format!("http://{address}/")
    }

    /// The addresses it listens on; never empty. On loopback the IPv4 address is the first.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// The text of `/metrics` as a scrape would get it now.
    #[must_use]
    pub fn render(&self) -> String {
        String::from_utf8(self.content.metrics())
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into())
    }

    /// The recorder behind `/metrics`: what the application records in it is shown there. For
    /// [`metrics::with_local_recorder`] or a fan-out of the application's own.
    #[must_use]
    pub fn recorder(&self) -> Arc<dyn Recorder + Send + Sync> {
        self.content.bridge.lock().recorder()
    }
}

/// Sets up an [`Exporter`].
#[must_use]
pub struct ExporterBuilder {
    registry: Registry,
    app: Option<(String, String)>,
    constant_labels: Vec<(String, String)>,
    global_labels: Vec<(String, String)>,
    buckets: Option<Vec<f64>>,
    listen: Listen,
    exact_port: bool,
    allowed_hosts: Vec<String>,
    token: Option<String>,
    limits: Limits,
    global: bool,
    joined: Option<Arc<dyn Recorder + Send + Sync>>,
    notices: Notices,
    dump: Option<dump::Source>,
    heap: Option<HeapSource>,
    stores: Option<StoreSource>,
}

/// Tells how the rings and pools stand.
type StoreSource = Box<dyn Fn() -> Vec<StoreReport> + Send + Sync>;

/// Makes the heap's call sites in a form, where there are any.
type HeapSource = Box<dyn Fn(HeapForm) -> Option<Vec<u8>> + Send + Sync>;

/// Asked for each page: what the page should say beside the monitors' health.
type Notices = Box<dyn Fn() -> Vec<String> + Send + Sync>;

impl ExporterBuilder {
    /// Name and version of the application, for the page and `vitals_build_info`.
    pub fn app(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.app = Some((name.into(), version.into()));
        self
    }

    /// A fact about this process that does not change (a machine, a scene, a build): a label of `vitals_build_info`, and
    /// of nothing else, so that it costs one series.
    pub fn constant_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.constant_labels.push((name.into(), value.into()));
        self
    }

    /// A label of every series. Prometheus adds `job` and `instance` by itself: seldom needed.
    pub fn add_global_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.global_labels.push((name.into(), value.into()));
        self
    }

    /// Buckets, as upper bounds in ascending order, for the histograms that the application records through the
    /// `metrics` facade. Without them those are summaries. Ours have buckets of their own.
    pub fn application_buckets(mut self, bounds: impl Into<Vec<f64>>) -> Self {
        self.buckets = Some(bounds.into());
        self
    }

    /// Another port on loopback than [`DEFAULT_PORT`]; 0 is any free one. A taken port gives way to the next free one,
    /// unless [`exact_port`](Self::exact_port) is asked for.
    pub fn port(mut self, port: u16) -> Self {
        self.listen = Listen::Loopback { port };
        self
    }

    /// Listens on this address instead of loopback. Whoever can reach it can read the figures: consider a
    /// [`bearer_token`](Self::bearer_token), and [`allow_host`](Self::allow_host) for the names it is reached by.
    pub fn listen_on(mut self, address: SocketAddr) -> Self {
        self.listen = Listen::Address(address);
        self
    }

    /// A taken port is an error.
    pub fn exact_port(mut self) -> Self {
        self.exact_port = true;
        self
    }

    /// Answers requests that name this host, besides loopback names and the bound address: the DNS name by which
    /// Prometheus or a browser reaches this machine, without a port.
    pub fn allow_host(mut self, name: impl Into<String>) -> Self {
        self.allowed_hosts.push(name.into());
        self
    }

    /// Answers only requests with `Authorization: Bearer <token>` (`/healthz` excepted). The connection is not
    /// encrypted: the token keeps out other users of the machine or network, not those who listen in.
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Makes the recorder the process's `metrics` recorder, so that the application's own `metrics` calls are on
    /// `/metrics` too. It stays so after the exporter is dropped.
    pub fn install_global(mut self) -> Self {
        self.global = true;
        self
    }

    /// What else the page should say, each a sentence: what is missing, say, and what to do about it. Asked for each page.
    pub fn notices(mut self, notices: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        self.notices = Box::new(notices);
        self
    }

    /// Serves what this takes as `/dump.json`, which `engine-vitals inspect` and `diff` read, and as `/dump.txt`. Without it there are
    /// no such pages. It is called on a thread that may block, for each request, or once for all that come while it runs; an answer has
    /// at most the 50,000 biggest resources and 64 MiB.
    ///
    /// A dump has the names of the program's resources and of its source files: whoever may read the figures may read those too.
    pub fn dump(mut self, take: impl Fn(&DumpOptions) -> Dump + Send + Sync + 'static) -> Self {
        self.dump = Some(Box::new(take));
        self
    }

    /// Serves the heap's call sites, as this writes them, as `/heap.pb.gz` for pprof, `/heap.folded` and `/heap.txt`. Without it, and where
    /// it gives `None`, there are no such pages. It is called on a thread that may block, for each request, or once for all that come
    /// while it runs: the first call may take seconds, and whoever does not wait for that asks again.
    ///
    /// They have the names of the program's functions and of its source files: whoever may read the figures may read those too.
    pub fn heap_profile(mut self, write: impl Fn(HeapForm) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        self.heap = Some(Box::new(write));
        self
    }

    /// Shows rings and pools on the page, as this tells how they stand
    /// ([`Tracker::stores`](engine_vitals_core::tracker::Tracker::stores)). Asked for each page, on a thread that may block.
    pub fn stores(mut self, read: impl Fn() -> Vec<StoreReport> + Send + Sync + 'static) -> Self {
        self.stores = Some(Box::new(read));
        self
    }

    /// Gives gauges and counters to a recorder that the application already has, too; every second.
    ///
    /// What the `metrics` facade cannot carry (histograms, counters of seconds) is not among them, and a gauge that is
    /// unknown is set to NaN there.
    pub fn join(mut self, recorder: Arc<dyn Recorder + Send + Sync>) -> Self {
        self.joined = Some(recorder);
        self
    }

    /// Opens the port and serves.
    ///
    /// Threads: one for the server, up to four that it starts to render and ends when they have nothing to do, one for
    /// upkeep, and one if a recorder is joined.
    ///
    /// # Errors
    /// [`StartError`]: an option is not valid, the port could not be opened, a thread could not be started, or the
    /// process has a `metrics` recorder already.
    pub fn start(self) -> Result<Exporter, StartError> {
        let _own = HeapTag::OWN.enter();
        let build_info = self.build_info()?;
        check_labels(&self.global_labels)?;
        let allowed_hosts = self.allowed_hosts.iter().map(|host| {
            host_name(host)
                .ok_or_else(|| invalid(format!("allow_host: {host:?} is not a host name; give one without a port")))
        });
        let config = Config {
            listen: self.listen,
            exact_port: self.exact_port,
            allowed_hosts: allowed_hosts.collect::<Result<_, _>>()?,
            token: self.token.map(check_token).transpose()?,
            limits: self.limits,
        };
        let bridge = Bridge::new(self.global_labels, self.buckets.as_deref())
            .map_err(|error| invalid(format!("application_buckets: {error}")))?;
        let (recorder, handle) = (bridge.recorder(), bridge.handle());
        let stats = Arc::new(Stats::default());
        let labels = bridge.labels().clone();
        let content = Arc::new(Content {
            registry: self.registry.clone(),
            bridge: Mutex::new(bridge),
            stats: Arc::clone(&stats),
            build_info,
            labels,
            app: self.app,
            notices: self.notices,
            dump: self.dump,
            heap: self.heap,
            stores: self.stores,
        });
        let server = Server::start(config, content.clone(), stats).map_err(StartError::Listen)?;
        let mut upkeep =
            Ticker::start("vitals-upkeep", UPKEEP, move || handle.run_upkeep()).map_err(StartError::Thread)?;
        let joined =
            self.joined.map(|recorder| join(&self.registry, recorder)).transpose().map_err(StartError::Thread)?;
        if self.global {
            metrics::set_global_recorder(recorder).map_err(|_| StartError::GlobalRecorderTaken)?;
            // It will be recorded into for as long as the process lives.
            upkeep.forever();
        }
        Ok(Exporter { server, content, _upkeep: upkeep, _joined: joined })
    }

    fn build_info(&self) -> Result<Labels, StartError> {
        let mut pairs = vec![("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
        if let Some((name, version)) = &self.app {
            pairs.push(("app".to_owned(), name.clone()));
            pairs.push(("app_version".to_owned(), version.clone()));
        }
        // A global label of the same name stands already.
        pairs.extend(self.constant_labels.iter().cloned());
        let all: Vec<_> = self.global_labels.iter().cloned().chain(pairs).collect();
        check_labels(&all)?;
        Ok(Labels::new(all.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
    }
}

impl fmt::Debug for ExporterBuilder {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExporterBuilder").field("listen", &self.listen).field("app", &self.app).finish_non_exhaustive()
    }
}

/// Why an exporter did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The port could not be opened; the message has the address.
    Listen(io::Error),
    /// A thread could not be started.
    Thread(io::Error),
    /// The process has a `metrics` recorder already: use [`ExporterBuilder::join`] to give it the figures.
    GlobalRecorderTaken,
    /// An option is not valid; the message says which, what is wrong with it and what is right.
    Invalid(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(error) => write!(f, "the exporter's port could not be opened: {error}"),
            Self::Thread(error) => write!(f, "a thread of the exporter could not be started: {error}"),
            Self::GlobalRecorderTaken => {
                f.write_str("the process has a `metrics` recorder already: give it the figures with `join` instead")
            }
            Self::Invalid(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen(error) | Self::Thread(error) => Some(error),
            Self::GlobalRecorderTaken | Self::Invalid(_) => None,
        }
    }
}

/// What the pages say.
struct Content {
    registry: Registry,
    bridge: Mutex<Bridge>,
    stats: Arc<Stats>,
    build_info: Labels,
    labels: Labels,
    app: Option<(String, String)>,
    notices: Notices,
    dump: Option<dump::Source>,
    heap: Option<HeapSource>,
    stores: Option<StoreSource>,
}

impl Pages for Content {
    fn metrics(&self) -> Vec<u8> {
        self.bridge.lock().render(&self.registry, |out| {
            let info = [(&self.build_info, 1)];
            family(out, "vitals_build_info", "gauge", "The version of engine-vitals and facts of the program.", info);
            self.stats.write(out, &self.labels);
        })
    }

    fn index(&self) -> Vec<u8> {
        let snapshot = self.registry.snapshot();
        let monitors: Vec<_> = snapshot
            .monitors
            .iter()
            .map(|monitor| MonitorLine {
                id: &monitor.id,
                resource: monitor.resource_type.name(),
                state: monitor.state,
            })
            .collect();
        let health = self.registry.health();
        let issues: Vec<_> = health.iter().map(ToString::to_string).chain((self.notices)()).collect();
        let (name, version) = match &self.app {
            Some((name, version)) => (name.as_str(), Some(version.as_str())),
            None => ("This program", None),
        };
        let stores = self.stores.as_ref().map(|read| read()).unwrap_or_default();
        index::page(name, version, self.has_dump(), self.heap.is_some(), &monitors, &stores, &issues).into_bytes()
    }

    fn has_dump(&self) -> bool {
        self.dump.is_some()
    }

    fn dump(&self, form: DumpForm) -> Vec<u8> {
        self.dump.as_ref().map(|source| dump::render(source, form)).unwrap_or_default()
    }

    fn heap(&self, form: HeapForm) -> Option<Vec<u8>> {
        self.heap.as_ref().and_then(|write| write(form))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("app", &self.app).field("stats", &self.stats).finish_non_exhaustive()
    }
}

fn join(registry: &Registry, recorder: Arc<dyn Recorder + Send + Sync>) -> io::Result<Ticker> {
    let registry = registry.downgrade();
    let mut output = MetricsOutput::new(recorder);
    Ticker::start("vitals-joined", JOINED, move || {
        if let Some(registry) = registry.upgrade() {
            registry.read(&mut output);
        }
    })
}

fn invalid(what: String) -> StartError {
    StartError::Invalid(what)
}

fn check_token(token: String) -> Result<String, StartError> {
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid(
            "bearer_token: use at least one character, and only visible ASCII without spaces".to_owned(),
        ));
    }
    Ok(token)
}

fn check_labels(labels: &[(String, String)]) -> Result<(), StartError> {
    for (index, (name, _)) in labels.iter().enumerate() {
        let mut bytes = name.bytes();
        let valid = bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.starts_with("__")
            && !matches!(name.as_str(), "le" | "quantile" | "reason");
        if !valid {
            return Err(invalid(format!(
                "label name {name:?} is not valid or is reserved: use letters, digits and '_', not beginning with a digit or '__'"
            )));
        }
        if labels[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(invalid(format!(
                "label {name:?} is given twice (version, app and app_version are set by the exporter)"
            )));
        }
    }
    Ok(())
}
