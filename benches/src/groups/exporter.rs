//! What a scrape costs, and what it costs the frame.
//!
//! The peer is metrics-exporter-prometheus rendering the very series that a scrape of ours takes from the registry; ours also gathers them
//! from the registry's table, leaves out those that are absent, and adds its own few. Nothing is compressed.

use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine_vitals_core::contract::{
    MonitoredResourceType, ResourceMonitor, ResourceUsageReport, Row as Figures, Series, Unit,
};
use engine_vitals_core::registry::{MetricsOutput, Output, Part, Registry};
use engine_vitals_prometheus::Exporter;
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::harness::{Effort, Subject, alternate, cpu_ns, nanoseconds};
use crate::report::Row;

const GROUP: &str = "exporter";
const UPDATE: &str = "Registry::update";
/// Figures of one monitor: below the registry's cap.
const FIGURES: u64 = 500;

pub(super) fn run(effort: Effort) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::new();
    for series in [500, 5_000] {
        rows.extend(scrape(effort, series)?);
    }
    let (registry, exporter) = served(FIGURES)?;
    let render = move || drop(black_box(exporter.render()));
    let met = frame_side(effort, &registry, render)?;
    rows.push(Row::new(GROUP, "frame that meets a scrape, wall", UPDATE, "ns more", met).at_most(1_000.0));
    // Nobody scrapes like this; it shows what the locks cost when each update meets them.
    let (registry, _exporter) = served(FIGURES)?;
    let table = registry.clone();
    let always = frame_side(effort, &registry, move || table.read(&mut Nowhere))?;
    rows.push(Row::new(GROUP, "frames that meet endless gathering, wall", UPDATE, "ns more", always));
    Ok(rows)
}

/// A registry with so many series, and an exporter of it.
fn served(series: u64) -> Result<(Registry, Exporter), Box<dyn Error>> {
    // Budgets that no pause of this machine exceeds: a monitor that is moved away would not be measured.
    let registry = Registry::builder().update_budget(Duration::MAX / 4).monitor_budget(Duration::MAX / 16).build();
    for number in 0..series / FIGURES {
        registry.register(Arc::new(Many { number, updates: AtomicU64::new(0) }))?;
    }
    let exporter = Exporter::builder(&registry).port(0).start()?;
    Ok((registry, exporter))
}

/// A scrape whose figures have all changed since the one before.
fn scrape(effort: Effort, series: u64) -> Result<Vec<Row>, Box<dyn Error>> {
    const PEER: &str = "metrics-exporter-prometheus";
    let (registry, exporter) = served(series)?;
    let recorder = PrometheusBuilder::new().build_recorder();
    let peer = recorder.handle();
    let mut to_peer = MetricsOutput::new(recorder);
    registry.read(&mut to_peer);
    let url = exporter.url();
    let mut client = Client::connect(url.trim_start_matches("http://").trim_end_matches('/'))?;
    let (expected, found) = (samples(&peer.render()), samples(&client.get()?));
    if expected < series as usize || found < expected {
        return Err(format!("{found} samples in ours and {expected} in the peer's, of {series} series").into());
    }

    let scrapes = effort.times(30_000 / series);
    let mut failed = None;
    // Microseconds of one scrape; all figures change before each.
    let each = |scrape: &mut dyn FnMut() -> f64| {
        let one = |_| {
            registry.update();
            scrape()
        };
        (0..scrapes).map(one).sum::<f64>() / scrapes as f64 / 1e3
    };
    let mut subjects = [
        Subject::new(PEER, || {
            each(&mut || {
                // The same values to write; an application of the peer sets them itself, at a time of its own.
                registry.read(&mut to_peer);
                cpu_ns(1, || drop(black_box(peer.render())))
            })
        }),
        Subject::new("Exporter::render", || each(&mut || cpu_ns(1, || drop(black_box(exporter.render()))))),
        Subject::new("GET /metrics over loopback, wall", || {
            each(&mut || {
                let start = Instant::now();
                if let Err(error) = client.get() {
                    failed = Some(error);
                }
                nanoseconds(start.elapsed())
            })
        }),
    ];
    let rounds = alternate(effort, &mut subjects);
    let names = subjects.map(|subject| subject.name);
    if let Some(error) = failed {
        return Err(error.into());
    }
    let case = format!("scrape of {series} series");
    let row = |index: usize| Row::new(GROUP, &case, names[index], "us", rounds.value(index));
    Ok(vec![row(0), row(1).against(PEER, rounds.ratio(1, 0)).at_most(1.05), row(2).against(PEER, rounds.ratio(2, 0))])
}

fn samples(text: &str) -> usize {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count()
}

/// How many nanoseconds longer an update takes while another thread scrapes without a pause than while none does: what a
/// frame pays that meets a scrape. Wall time: waiting for a lock counts.
fn frame_side(effort: Effort, registry: &Registry, scrape: impl Fn() + Send) -> Result<f64, Box<dyn Error>> {
    let (scraping, done, scrapes) = (&AtomicBool::new(false), &AtomicBool::new(false), &AtomicU64::new(0));
    let frames = effort.times(5_000);
    let difference = std::thread::scope(|scope| {
        let scraper = scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                if scraping.load(Ordering::Relaxed) {
                    scrape();
                    scrapes.fetch_add(1, Ordering::Relaxed);
                } else {
                    std::thread::park();
                }
            }
        });
        let scraper = scraper.thread();
        let mut subjects = [false, true].map(|scraped| {
            Subject::new(if scraped { "scraped" } else { "quiet" }, move || {
                scraping.store(scraped, Ordering::Relaxed);
                scraper.unpark();
                std::thread::sleep(Duration::from_millis(20));
                let took = update_time(registry, frames);
                scraping.store(false, Ordering::Relaxed);
                took
            })
        });
        let rounds = alternate(effort, &mut subjects);
        done.store(true, Ordering::Relaxed);
        scraper.unpark();
        rounds.difference(1, 0)
    });
    if scrapes.load(Ordering::Relaxed) < effort.rounds as u64 {
        return Err("the scraping thread got no time beside the updates".into());
    }
    Ok(difference)
}

/// Mean nanoseconds of an update, 20 microseconds apart. The longest hundredth is left out: there the thread was off its core.
fn update_time(registry: &Registry, frames: u64) -> f64 {
    let one = |_| {
        let start = Instant::now();
        registry.update();
        let took = start.elapsed();
        while start.elapsed() < took + Duration::from_micros(20) {
            std::hint::spin_loop();
        }
        took
    };
    let mut times: Vec<_> = (0..frames).map(one).collect();
    times.sort_unstable();
    times.truncate(times.len() - times.len() / 100);
    times.iter().map(|&time| nanoseconds(time)).sum::<f64>() / times.len() as f64
}

/// Takes the table and does nothing with it: the part of a scrape that meets the frame's locks, and nothing else.
struct Nowhere;

impl Output for Nowhere {
    fn part(&mut self, part: &Part<'_>) {
        black_box(part);
    }
    fn finish(&mut self) {}
}

/// A scraper that keeps its connection, as Prometheus does.
struct Client {
    stream: BufReader<TcpStream>,
    request: String,
}

impl Client {
    fn connect(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n");
        Ok(Self { stream: BufReader::new(stream), request })
    }

    fn get(&mut self) -> std::io::Result<String> {
        self.stream.get_mut().write_all(self.request.as_bytes())?;
        let invalid = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned());
        let (mut line, mut length) = (String::new(), None);
        let mut status = None;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            status.get_or_insert_with(|| line.clone());
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().ok();
                }
                _ if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        if !status.as_deref().is_some_and(|status| status.contains(" 200 ")) {
            return Err(invalid(&format!("/metrics answered {status:?}")));
        }
        let mut body = vec![0; length.ok_or_else(|| invalid("/metrics gave no content-length"))?];
        self.stream.read_exact(&mut body)?;
        String::from_utf8(body).map_err(|_| invalid("/metrics is not UTF-8"))
    }
}

/// A monitor with [`FIGURES`] figures, ten series a name, half of them counters; each update changes all.
#[derive(Debug)]
struct Many {
    number: u64,
    updates: AtomicU64,
}

impl ResourceMonitor for Many {
    fn monitor_id(&self) -> std::borrow::Cow<'static, str> {
        format!("many-{}", self.number).into()
    }

    fn resource_type(&self) -> MonitoredResourceType {
        MonitoredResourceType::Other("bench")
    }

    fn get_usage_report(&self) -> ResourceUsageReport {
        ResourceUsageReport::default()
    }

    fn update(&self) {
        self.updates.fetch_add(1, Ordering::Relaxed);
    }

    fn describe(&self, series: &mut Series) {
        for figure in 0..FIGURES {
            let (name, label) = (self.number * FIGURES + figure / 10, (figure % 10).to_string());
            let figure = if name % 2 == 0 {
                series.gauge(format!("bench_family_{name}_bytes"), Unit::Bytes, "A gauge of the benchmark")
            } else {
                series.counter(format!("bench_family_{name}_total"), Unit::Count, "A counter of the benchmark")
            };
            figure.label("part", label);
        }
    }

    fn record(&self, row: &mut Figures<'_>) {
        let updates = self.updates.load(Ordering::Relaxed);
        for figure in 0..FIGURES {
            row.push(updates * 1_000 + figure);
        }
    }
}
