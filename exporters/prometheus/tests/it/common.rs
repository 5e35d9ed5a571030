//! A plain HTTP client over a socket, and monitors that say what a test tells them to.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_vitals_core::contract::{
    MonitoredResourceType, Reading, ResourceMonitor, ResourceUsageReport, Row, Series, Unit,
};
use engine_vitals_core::registry::Registry;
use engine_vitals_prometheus::{Exporter, ExporterBuilder};
use parking_lot::Mutex;

/// No test waits longer than this for anything: a hang fails instead of hanging.
pub(crate) const GUARD: Duration = Duration::from_secs(30);

pub(crate) fn start(set_up: impl FnOnce(ExporterBuilder) -> ExporterBuilder) -> Exporter {
    start_on(&Registry::new(), set_up)
}

pub(crate) fn start_on(registry: &Registry, set_up: impl FnOnce(ExporterBuilder) -> ExporterBuilder) -> Exporter {
    set_up(Exporter::builder(registry).port(0)).start().expect("the exporter starts")
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, GUARD).expect("connects");
    stream.set_read_timeout(Some(GUARD)).unwrap();
    stream.set_write_timeout(Some(GUARD)).unwrap();
    stream
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Reads one answer; `None` when the server closed without one.
pub(crate) fn read_answer(stream: &mut TcpStream, has_body: bool) -> Option<Answer> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(0) => return None,
            Ok(_) => head.push(byte[0]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&head)),
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut answer = Answer { status: head[9..12].parse().unwrap(), head, body: Vec::new() };
    if has_body && let Some(length) = answer.header("content-length") {
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        answer.body = body;
    }
    Some(answer)
}

/// Sends these bytes on a connection of their own and reads the answer.
pub(crate) fn send(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = connect(address);
    // The server may answer and close before it has all.
    let _ = stream.write_all(bytes);
    read_answer(&mut stream, !bytes.starts_with(b"HEAD")).expect("an answer")
}

pub(crate) fn request(method: &str, path: &str, headers: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
}

pub(crate) fn get(exporter: &Exporter, path: &str) -> Answer {
    send(exporter.addresses()[0], &request("GET", path, ""))
}

/// Whether the server ends the connection without a further byte, within `within`.
pub(crate) fn is_closed(stream: &mut TcpStream, within: Duration) -> bool {
    stream.set_read_timeout(Some(within)).unwrap();
    match stream.read(&mut [0; 64]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// The value of a series in the text, as it is written.
pub(crate) fn value<'a>(text: &'a str, series: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < GUARD, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

type Describe = Box<dyn Fn(&mut Series) + Send + Sync>;

/// A monitor whose figures and values a test gives.
pub(crate) struct Scripted {
    id: &'static str,
    describe: Describe,
    pub(crate) values: Mutex<Vec<Reading>>,
}

impl Scripted {
    pub(crate) fn new(
        id: &'static str,
        values: Vec<Reading>,
        describe: impl Fn(&mut Series) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { id, describe: Box::new(describe), values: Mutex::new(values) })
    }

    /// One counter and one gauge, `prefix_total` and `prefix_bytes`, and a counter of seconds.
    pub(crate) fn standard(id: &'static str) -> Arc<Self> {
        Self::new(id, vec![Reading::from(None::<u64>); 3], |series| {
            series.counter("app_things_total", Unit::Count, "Things counted.").label("kind", "a \"b\"\\");
            series.gauge("app_level_bytes", Unit::Bytes, "The level.");
            series.counter("app_work_seconds_total", Unit::Seconds, "Time worked, in seconds.");
        })
    }

    pub(crate) fn set(&self, values: impl Into<Vec<Reading>>) {
        *self.values.lock() = values.into();
    }
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

impl ResourceMonitor for Scripted {
    fn monitor_id(&self) -> Cow<'static, str> {
        self.id.into()
    }

    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Other("test")
    }

    fn get_usage_report(&self) -> ResourceUsageReport {
        ResourceUsageReport::default()
    }

    fn describe(&self, series: &mut Series) {
        (self.describe)(series);
    }

    fn record(&self, row: &mut Row<'_>) {
        for reading in &*self.values.lock() {
            row.push(*reading);
        }
    }
}
