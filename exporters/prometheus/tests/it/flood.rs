//! Clients that mean ill, or many that mean well.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{GUARD, connect, get, is_closed, read_answer, request, start, value};

#[test]
fn scrapes_are_answered_while_400_connections_are_half_open() {
    let exporter = start(|builder| builder);
    let address = exporter.addresses()[0];
    let opened = Instant::now();
    let mut half_open: Vec<_> = (0..400)
        .map(|n| {
            let mut stream = connect(address);
            // Some say nothing, some begin a request, some begin one and go on.
            if n % 3 > 0 {
                let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: local");
            }
            stream
        })
        .collect();
    let scrapes: Vec<_> = (0..50)
        .map(|_| {
            thread::spawn(move || {
                let mut stream = connect(address);
                stream.write_all(&request("GET", "/metrics", "")).unwrap();
                read_answer(&mut stream, true).map(|answer| answer.status)
            })
        })
        .collect();
    for scrape in scrapes {
        assert_eq!(scrape.join().unwrap(), Some(200));
    }
    for stream in &mut half_open {
        assert!(is_closed(stream, GUARD), "a half-open connection stays");
    }
    // Three seconds are what is promised; the rest is for a slow machine.
    assert!(opened.elapsed() < Duration::from_secs(15), "{:?}", opened.elapsed());
    let text = exporter.render();
    let count = |series: &str| value(&text, series).map_or(0, |value| value.parse::<u64>().unwrap());
    let closed = |reason: &str| count(&format!("vitals_exporter_connections_closed_total{{reason=\"{reason}\"}}"));
    assert_eq!(closed("evicted") + closed("header_timeout") + closed("over_capacity"), 400);
    assert_eq!(count("vitals_exporter_scrapes_total"), 50);
}

#[test]
fn bytes_that_trickle_do_not_buy_time() {
    let exporter = start(|builder| builder);
    let mut stream = connect(exporter.addresses()[0]);
    let start = Instant::now();
    let mut closed = false;
    while !closed && start.elapsed() < GUARD {
        closed = stream.write_all(b"G").is_err() || is_closed(&mut stream, Duration::from_millis(200));
    }
    assert!(closed, "a header that never ends is read for ever");
    assert_eq!(get(&exporter, "/healthz").status, 200);
}

#[test]
fn scrapes_at_the_same_time_share_one_gather() {
    let exporter = start(|builder| builder);
    let address = exporter.addresses()[0];
    let scrapes: Vec<_> = (0..40)
        .map(|_| {
            thread::spawn(move || {
                let mut stream = connect(address);
                for _ in 0..20 {
                    stream.write_all(&request("GET", "/metrics", "")).unwrap();
                    assert_eq!(read_answer(&mut stream, true).unwrap().status, 200);
                }
            })
        })
        .collect();
    scrapes.into_iter().for_each(|scrape| scrape.join().unwrap());
    let text = exporter.render();
    let count = |series: &str| value(&text, series).unwrap().parse::<u64>().unwrap();
    let scrapes = count("vitals_exporter_scrapes_total");
    assert_eq!(scrapes, 800);
    assert_eq!(count("vitals_exporter_gathers_total") + count("vitals_exporter_scrapes_coalesced_total"), scrapes);
}
