//! The limits, made small, over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use parking_lot::Mutex;

use super::*;

/// No test waits longer than this for anything.
const GUARD: Duration = Duration::from_secs(30);

/// Pages whose gather waits for a word.
struct Held {
    asked: Mutex<Sender<()>>,
    go: Mutex<Receiver<()>>,
    page: Vec<u8>,
}

impl Pages for Held {
    fn metrics(&self) -> Vec<u8> {
        self.asked.lock().send(()).unwrap();
        // Hung up: nobody holds it any more.
        let _ = self.go.lock().recv();
        self.page.clone()
    }

    fn index(&self) -> Vec<u8> {
        panic!("this page is broken");
    }

    fn has_dump(&self) -> bool {
        true
    }

    fn dump(&self, form: DumpForm) -> Vec<u8> {
        self.asked.lock().send(()).unwrap();
        let _ = self.go.lock().recv();
        format!("{form:?}").into_bytes()
    }

    fn heap(&self, form: HeapForm) -> Option<Vec<u8>> {
        self.asked.lock().send(()).unwrap();
        let _ = self.go.lock().recv();
        (form != HeapForm::Text).then(|| format!("{form:?}").into_bytes())
    }
}

struct Rig {
    server: Option<Server>,
    stats: Arc<Stats>,
    asked: Receiver<()>,
    go: Option<Sender<()>>,
}

impl Rig {
    fn new(limits: Limits, page: Vec<u8>) -> Self {
        let (asking, asked) = channel();
        let (go, going) = channel();
        let pages = Held { asked: Mutex::new(asking), go: Mutex::new(going), page };
        let config = Config {
            listen: Listen::Loopback { port: 0 },
            exact_port: false,
            allowed_hosts: Vec::new(),
            token: None,
            limits,
        };
        let stats = Arc::new(Stats::default());
        let server = Server::start(config, Arc::new(pages), Arc::clone(&stats)).unwrap();
        Self { server: Some(server), stats, asked, go: Some(go) }
    }

    /// From here on no gather waits.
    fn release(&mut self) {
        self.go = None;
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server.as_ref().unwrap().addresses()[0]).unwrap();
        stream.set_read_timeout(Some(GUARD)).unwrap();
        stream
    }

    fn ask(&self, path: &str) -> TcpStream {
        let mut stream = self.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        stream
    }

    fn text(&self) -> String {
        let mut text = String::new();
        self.stats.write(&mut text, &crate::render::Labels::default());
        text
    }

    fn wait_for(&self, line: &str) {
        let start = Instant::now();
        while !self.text().lines().any(|found| found == line) {
            assert!(start.elapsed() < GUARD, "no {line:?} in\n{}", self.text());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// All that the server sends until it closes.
fn rest(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}"),
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn status(stream: TcpStream) -> String {
    rest(stream).split(' ').nth(1).unwrap_or("closed").to_owned()
}

#[test]
fn all_who_wait_get_the_one_page() {
    let mut rig = Rig::new(Limits::default(), b"the page".to_vec());
    let waiting: Vec<_> = (0..20).map(|_| rig.ask("/metrics")).collect();
    rig.asked.recv_timeout(GUARD).unwrap();
    rig.wait_for("vitals_exporter_requests_total 20");
    // A request is counted before it joins the gather. The server has one thread, so this comes after the last has.
    assert_eq!(status(rig.ask("/healthz")), "200");
    rig.release();
    for stream in waiting {
        assert!(rest(stream).ends_with("\r\n\r\nthe page"));
    }
    assert!(rig.asked.try_recv().is_err(), "gathered more than once");
    rig.wait_for("vitals_exporter_gathers_total 1");
    rig.wait_for("vitals_exporter_scrapes_coalesced_total 19");
}

#[test]
fn all_who_wait_for_a_dump_get_the_one() {
    let mut rig = Rig::new(Limits::default(), Vec::new());
    let waiting: Vec<_> = (0..10).map(|_| rig.ask("/dump.json")).collect();
    rig.asked.recv_timeout(GUARD).unwrap();
    rig.wait_for("vitals_exporter_requests_total 10");
    assert_eq!(status(rig.ask("/healthz")), "200");
    rig.release();
    for stream in waiting {
        assert!(rest(stream).ends_with("\r\n\r\nJson"));
    }
    assert!(rig.asked.try_recv().is_err(), "taken more than once");
    assert!(rest(rig.ask("/dump.txt")).ends_with("\r\n\r\nText"));
    // A dump is no scrape.
    rig.wait_for("vitals_exporter_scrapes_total 0");
}

#[test]
fn all_who_wait_for_a_heap_profile_get_the_one() {
    let mut rig = Rig::new(Limits::default(), Vec::new());
    let waiting: Vec<_> = (0..10).map(|_| rig.ask("/heap.pb.gz")).collect();
    rig.asked.recv_timeout(GUARD).unwrap();
    rig.wait_for("vitals_exporter_requests_total 10");
    rig.release();
    for stream in waiting {
        assert!(rest(stream).ends_with("\r\n\r\nPprof"));
    }
    assert!(rig.asked.try_recv().is_err(), "written more than once");
    assert!(rest(rig.ask("/heap.folded")).ends_with("\r\n\r\nFolded"));
    assert_eq!(status(rig.ask("/heap.txt")), "404");
    rig.wait_for("vitals_exporter_scrapes_total 0");
}

#[test]
fn a_gather_that_hangs_gets_an_answer_and_holds_nothing_else_up() {
    let limits = Limits { gather_timeout: Duration::from_millis(100), ..Limits::default() };
    let rig = Rig::new(limits, Vec::new());
    assert_eq!(status(rig.ask("/metrics")), "503");
    assert_eq!(status(rig.ask("/healthz")), "200");
    assert_eq!(status(rig.ask("/metrics")), "503");
    rig.asked.recv_timeout(GUARD).unwrap();
    assert!(rig.asked.try_recv().is_err(), "the second waits for the first's gather");
    rig.wait_for("vitals_exporter_requests_refused_total{reason=\"gather_timeout\"} 2");
}

#[test]
fn a_page_that_panics_is_an_error_and_not_the_end() {
    let rig = Rig::new(Limits::default(), Vec::new());
    assert_eq!(status(rig.ask("/")), "500");
    assert_eq!(status(rig.ask("/healthz")), "200");
    rig.wait_for("vitals_exporter_requests_refused_total{reason=\"gather_failed\"} 1");
}

#[test]
fn requests_beyond_the_cap_are_told_to_come_back() {
    let mut rig = Rig::new(Limits { max_in_flight: 2, ..Limits::default() }, b"page".to_vec());
    let first = [rig.ask("/metrics"), rig.ask("/metrics")];
    rig.wait_for("vitals_exporter_requests_total 2");
    let refused = rest(rig.ask("/metrics"));
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 1\r\n"), "{refused}");
    assert_eq!(status(rig.ask("/healthz")), "200");
    rig.release();
    for stream in first {
        assert_eq!(status(stream), "200");
    }
    rig.wait_for("vitals_exporter_requests_refused_total{reason=\"overloaded\"} 1");
}

#[test]
fn connections_at_work_are_never_the_ones_to_make_room() {
    let mut rig = Rig::new(Limits { max_connections: 2, ..Limits::default() }, b"page".to_vec());
    let working = rig.ask("/metrics");
    rig.asked.recv_timeout(GUARD).unwrap();
    let idle = rig.connect();
    rig.wait_for("vitals_exporter_connections 2");
    let second = rig.ask("/metrics");
    assert_eq!(rest(idle), "", "it waited, so it made room");
    rig.wait_for("vitals_exporter_requests_total 2");
    assert!(matches!(status(rig.connect()).as_str(), "503" | "closed"));
    rig.wait_for("vitals_exporter_connections_closed_total{reason=\"over_capacity\"} 1");
    rig.wait_for("vitals_exporter_connections_closed_total{reason=\"evicted\"} 1");
    rig.release();
    assert_eq!((status(working), status(second)), ("200".to_owned(), "200".to_owned()));
    rig.wait_for("vitals_exporter_connections 0");
}

#[test]
fn each_wait_has_its_own_end() {
    let short = Duration::from_millis(100);
    let limits = Limits { idle_timeout: short, header_timeout: short, ..Limits::default() };
    let rig = Rig::new(limits, Vec::new());
    assert_eq!(rest(rig.connect()), "");
    rig.wait_for("vitals_exporter_connections_closed_total{reason=\"header_timeout\"} 1");
    let mut stream = rig.connect();
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(rest(stream).ends_with("ok\n"));
    rig.wait_for("vitals_exporter_connections_closed_total{reason=\"idle_timeout\"} 1");
    // The second request of a connection is held to the header's time as the first.
    let limits = Limits { header_timeout: short, ..Limits::default() };
    let rig = Rig::new(limits, Vec::new());
    let mut stream = rig.connect();
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = [0; 64];
    assert!(stream.read(&mut answer).unwrap() > 0);
    rig.wait_for("vitals_exporter_requests_total 1");
    thread::sleep(short / 2);
    write!(stream, "GET /healthz HT").unwrap();
    rest(stream);
    rig.wait_for("vitals_exporter_connections_closed_total{reason=\"header_timeout\"} 1");
}

#[test]
fn a_client_that_does_not_take_its_answer_is_let_go() {
    let limits = Limits { write_timeout: Duration::from_millis(200), ..Limits::default() };
    // More than the system's buffers hold.
    let mut rig = Rig::new(limits, vec![b'x'; 64 << 20]);
    rig.release();
    let lazy = rig.ask("/metrics");
    rig.wait_for("vitals_exporter_connections_closed_total{reason=\"write_timeout\"} 1");
    assert!(rest(lazy).len() < 64 << 20);
}

#[test]
fn stopping_lets_an_answer_end_and_waits_for_no_one_else() {
    let mut rig = Rig::new(Limits::default(), b"page".to_vec());
    let working = rig.ask("/metrics");
    rig.asked.recv_timeout(GUARD).unwrap();
    let server = rig.server.take().unwrap();
    let stopping = thread::spawn(move || drop(server));
    rig.release();
    stopping.join().unwrap();
    assert!(matches!(status(working).as_str(), "200" | "closed"));

    // A gather that never ends does not keep the server from stopping.
    let mut rig = Rig::new(Limits::default(), Vec::new());
    let _stuck = rig.ask("/metrics");
    rig.asked.recv_timeout(GUARD).unwrap();
    let started = Instant::now();
    drop(rig.server.take());
    assert!(started.elapsed() < GUARD, "{:?}", started.elapsed());
}
