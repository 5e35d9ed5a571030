//! What is answered, what is refused, and how, over real sockets.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use crate::common::{GUARD, connect, get, is_closed, read_answer, request, send, start, value};
use engine_vitals_core::analysis::Dump;
use engine_vitals_core::probe::New;
use engine_vitals_core::tracker::Tracker;
use engine_vitals_prometheus::{HeapForm, StartError};

#[test]
fn the_pages_are_answered() {
    let exporter = start(|builder| builder.app("engine <1>", "2.0"));
    let metrics = get(&exporter, "/metrics");
    assert_eq!(metrics.status, 200);
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(metrics.header("cache-control"), Some("no-store"));
    assert_eq!(metrics.header("x-content-type-options"), Some("nosniff"));
    assert!(metrics.text().contains("vitals_build_info{version="), "{}", metrics.text());
    let health = get(&exporter, "/healthz");
    assert_eq!((health.status, health.text()), (200, "ok\n"));
    let index = get(&exporter, "/");
    assert_eq!(index.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(index.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert!(index.text().contains("engine &lt;1&gt; 2.0"), "{}", index.text());
    assert_eq!(get(&exporter, "/nothing").status, 404);
    assert!(exporter.url().starts_with("http://127.0.0.1:"), "{}", exporter.url());
}

#[test]
fn a_dump_is_served_where_there_is_one() {
    let exporter = start(|builder| builder);
    for path in ["/dump.json", "/dump.txt", "/dump"] {
        assert_eq!(get(&exporter, path).status, 404);
    }
    assert!(!get(&exporter, "/").text().contains("/dump"));

    let tracker = std::sync::Arc::new(Tracker::new());
    let _ticket = tracker.probe().create(New::buffer(4096).label("vertices"));
    let taken = std::sync::Arc::clone(&tracker);
    let exporter = start(|builder| builder.bearer_token("s3cret").dump(move |options| Dump::take(&taken, options)));
    let address = exporter.addresses()[0];
    for path in ["/dump.json", "/dump.txt"] {
        assert_eq!(get(&exporter, path).status, 401);
        let evil = format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer s3cret\r\n\r\n");
        assert_eq!(send(address, evil.as_bytes()).status, 403);
    }
    let ask = |path: &str| send(address, &request("GET", path, "Authorization: Bearer s3cret\r\n"));
    let json = ask("/dump.json");
    assert_eq!((json.status, json.header("content-type")), (200, Some("application/json")));
    let dump = Dump::read_json(&json.body[..], 1 << 20).unwrap();
    assert_eq!(dump.resources.iter().filter_map(|one| one.label.as_deref()).collect::<Vec<_>>(), ["vertices"]);
    let text = ask("/dump.txt");
    assert_eq!((text.status, text.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    assert!(text.text().contains("\"vertices\""), "{}", text.text());
    assert!(ask("/").text().contains("<a href=\"/dump.txt\">"));
}

#[test]
fn call_sites_are_served_where_there_are_some() {
    const PAGES: [(&str, &str); 3] = [
        ("/heap.pb.gz", "application/octet-stream"),
        ("/heap.folded", "text/plain; charset=utf-8"),
        ("/heap.txt", "text/plain; charset=utf-8"),
    ];
    let without = start(|builder| builder);
    let none_yet = start(|builder| builder.heap_profile(|_| None));
    for (path, _) in PAGES {
        assert_eq!((get(&without, path).status, get(&none_yet, path).status), (404, 404));
    }
    assert!(!get(&without, "/").text().contains("/heap"));

    let body = |form| format!("{form:?} ").repeat(1_000);
    let write = move |form| Some(body(form).into_bytes());
    let exporter = start(|builder| builder.bearer_token("s3cret").heap_profile(write));
    let address = exporter.addresses()[0];
    let ask = |method, path: &str| send(address, &request(method, path, "Authorization: Bearer s3cret\r\n"));
    for ((path, content_type), form) in PAGES.into_iter().zip([HeapForm::Pprof, HeapForm::Folded, HeapForm::Text]) {
        assert_eq!((get(&exporter, path).status, ask("POST", path).status), (401, 405));
        let evil = format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer s3cret\r\n\r\n");
        assert_eq!(send(address, evil.as_bytes()).status, 403);
        let answer = ask("GET", path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)));
        assert_eq!(answer.text(), body(form));
        // What is compressed already is not compressed again.
        let accepting = "Authorization: Bearer s3cret\r\nAccept-Encoding: gzip\r\n";
        let encoded = send(address, &request("GET", path, accepting));
        let expected = (form != HeapForm::Pprof).then_some("gzip");
        assert_eq!(encoded.header("content-encoding"), expected);
    }
    assert!(ask("GET", "/").text().contains("<a href=\"/heap.pb.gz\">"));
}

#[test]
fn both_loopback_addresses_are_served() {
    let exporter = start(|builder| builder);
    for address in exporter.addresses() {
        assert!(address.ip().is_loopback());
        assert_eq!(address.port(), exporter.addresses()[0].port());
        assert_eq!(send(*address, &request("GET", "/healthz", "")).status, 200);
    }
    if exporter.addresses().len() < 2 {
        println!("skipped (1): this machine has no IPv6 loopback address");
    }
}

#[test]
fn foreign_hosts_are_refused() {
    let exporter = start(|builder| builder.allow_host("engine.test"));
    let ask =
        |host: &str| send(exporter.addresses()[0], format!("GET /metrics HTTP/1.1\r\n{host}\r\n").as_bytes()).status;
    assert_eq!(ask("Host: evil.example\r\n"), 403);
    assert_eq!(ask("Host: localhost.evil.example\r\n"), 403);
    assert_eq!(ask(""), 400);
    assert_eq!(ask("Host: localhost\r\nHost: localhost\r\n"), 400);
    assert_eq!(ask("Host: engine.test:9184\r\n"), 200);
    assert_eq!(ask(&format!("Host: {}\r\n", exporter.addresses()[0])), 200);
    let text = exporter.render();
    assert_eq!(value(&text, "vitals_exporter_requests_refused_total{reason=\"foreign_host\"}"), Some("2"));
    assert_eq!(value(&text, "vitals_exporter_requests_refused_total{reason=\"no_host\"}"), Some("2"));
}

#[test]
fn only_get_and_head_are_answered() {
    let exporter = start(|builder| builder);
    let address = exporter.addresses()[0];
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "PROPFIND"] {
        let answer = send(address, &request(method, "/metrics", "Content-Length: 0\r\n"));
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let mut stream = connect(address);
    stream.write_all(&request("HEAD", "/healthz", "")).unwrap();
    let head = read_answer(&mut stream, false).unwrap();
    assert_eq!((head.status, head.header("content-length")), (200, Some("3")));
    // Had a body been sent, it would stand before this answer.
    stream.write_all(&request("GET", "/healthz", "Connection: close\r\n")).unwrap();
    assert_eq!(read_answer(&mut stream, true).unwrap().text(), "ok\n");
    assert!(is_closed(&mut stream, GUARD));
}

#[test]
fn too_much_is_refused_by_name() {
    let exporter = start(|builder| builder);
    let address = exporter.addresses()[0];
    let header = format!("X-Big: {}\r\n", "a".repeat(64 * 1024));
    assert_eq!(send(address, &request("GET", "/metrics", &header)).status, 431);
    let many: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    assert_eq!(send(address, &request("GET", "/metrics", &many)).status, 431);
    assert_eq!(send(address, &request("GET", &format!("/{}", "a".repeat(4096)), "")).status, 414);
    let mut post = request("POST", "/metrics", "Content-Length: 1000000\r\n");
    post.resize(post.len() + 1_000_000, b'x');
    assert_eq!(send(address, &post).status, 405);
    let mut body = request("GET", "/metrics", "Content-Length: 1000000\r\n");
    body.resize(body.len() + 1_000_000, b'x');
    assert_eq!(send(address, &body).status, 413);
    assert_eq!(send(address, &request("GET", "/metrics", "Transfer-Encoding: chunked\r\n")).status, 413);
    let text = exporter.render();
    assert_eq!(value(&text, "vitals_exporter_requests_refused_total{reason=\"head_too_large\"}"), Some("2"));
    assert_eq!(value(&text, "vitals_exporter_requests_refused_total{reason=\"body\"}"), Some("2"));
}

#[test]
fn a_body_that_comes_slowly_holds_nothing_up() {
    let exporter = start(|builder| builder);
    let mut stream = connect(exporter.addresses()[0]);
    stream.write_all(&request("GET", "/metrics", "Content-Length: 1000\r\n")).unwrap();
    assert_eq!(read_answer(&mut stream, true).unwrap().status, 413);
    assert!(is_closed(&mut stream, GUARD));
    assert_eq!(get(&exporter, "/healthz").status, 200);
}

#[test]
fn garbage_is_refused_and_the_next_request_answered() {
    let exporter = start(|builder| builder);
    let address = exporter.addresses()[0];
    let tls_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on\r\n\r\n";
    for garbage in
        [&b"\0\0\0\0\0\0\r\n\r\n"[..], b"GET\r\n\r\n", b"HELO there\r\n\r\n", tls_hello, b"GET / HTTP/9.9\r\n\r\n"]
    {
        let mut stream = connect(address);
        let _ = stream.write_all(garbage);
        if let Some(answer) = read_answer(&mut stream, true) {
            assert_eq!(answer.status, 400, "{garbage:?}");
        }
        assert!(is_closed(&mut stream, GUARD));
    }
    assert_eq!(get(&exporter, "/healthz").status, 200);
    assert_eq!(value(&exporter.render(), "vitals_exporter_requests_refused_total{reason=\"malformed\"}"), Some("5"));
}

#[test]
fn one_connection_carries_many_requests() {
    let exporter = start(|builder| builder);
    let mut stream = connect(exporter.addresses()[0]);
    for _ in 0..3 {
        stream.write_all(&request("GET", "/metrics", "")).unwrap();
        assert_eq!(read_answer(&mut stream, true).unwrap().status, 200);
    }
    // Pipelined: three at once, answered in order.
    let three =
        [request("GET", "/healthz", ""), request("GET", "/nothing", ""), request("GET", "/metrics", "")].concat();
    stream.write_all(&three).unwrap();
    let statuses: Vec<_> = (0..3).map(|_| read_answer(&mut stream, true).unwrap().status).collect();
    assert_eq!(statuses, [200, 404, 200]);
    assert_eq!(value(&exporter.render(), "vitals_exporter_connections_total"), Some("1"));
}

#[test]
fn a_client_that_closes_its_half_is_still_answered() {
    let exporter = start(|builder| builder);
    let mut stream = connect(exporter.addresses()[0]);
    stream.write_all(&request("GET", "/metrics", "")).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_answer(&mut stream, true).unwrap().status, 200);
}

#[test]
fn gzip_is_the_same_text() {
    let exporter = start(|builder| builder);
    let packed = send(exporter.addresses()[0], &request("GET", "/metrics", "Accept-Encoding: gzip\r\n"));
    assert_eq!((packed.status, packed.header("content-encoding")), (200, Some("gzip")));
    assert_eq!(packed.header("vary"), Some("accept-encoding"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut text).unwrap();
    assert!(text.contains("# TYPE vitals_exporter_requests_total counter\n"), "{text}");
    assert!(text.len() > packed.body.len());
    let plain = send(exporter.addresses()[0], &request("GET", "/metrics", "Accept-Encoding: gzip;q=0\r\n"));
    assert_eq!(plain.header("content-encoding"), None);
}

#[test]
fn a_token_is_asked_for() {
    let exporter = start(|builder| builder.bearer_token("s3cret"));
    let address = exporter.addresses()[0];
    let refused = get(&exporter, "/metrics");
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer"));
    assert_eq!(send(address, &request("GET", "/metrics", "Authorization: Bearer wrong\r\n")).status, 401);
    assert_eq!(send(address, &request("GET", "/", "")).status, 401);
    assert_eq!(send(address, &request("GET", "/metrics", "Authorization: Bearer s3cret\r\n")).status, 200);
    assert_eq!(get(&exporter, "/healthz").status, 200);
}

#[test]
fn a_taken_port_gives_way_to_the_next() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let exporter = start(|builder| builder.port(port));
    let got = exporter.addresses()[0].port();
    assert_ne!(got, port);
    assert_eq!(get(&exporter, "/healthz").status, 200);
    let address = exporter.addresses()[0];
    let registry = engine_vitals_core::registry::Registry::new();
    let exact = engine_vitals_prometheus::Exporter::builder(&registry).listen_on(address).exact_port().start();
    match exact {
        Err(StartError::Listen(error)) => {
            assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
            assert!(error.to_string().contains(&address.to_string()), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_address_is_served_when_asked_for() {
    let exporter = start(|builder| builder.listen_on((Ipv4Addr::UNSPECIFIED, 0).into()));
    assert!(exporter.addresses()[0].ip().is_unspecified());
    assert!(exporter.url().starts_with("http://127.0.0.1:"));
    let address = (Ipv4Addr::LOCALHOST, exporter.addresses()[0].port()).into();
    let ask = |host: &str| send(address, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).status;
    assert_eq!((ask("192.168.3.4:80"), ask("evil.example")), (200, 403));
}

#[test]
fn options_that_make_no_sense_are_errors() {
    let registry = engine_vitals_core::registry::Registry::new();
    let builder = || engine_vitals_prometheus::Exporter::builder(&registry).port(0);
    for wrong in [
        builder().bearer_token(""),
        builder().bearer_token("a b"),
        builder().allow_host("host:80"),
        builder().constant_label("0x", "1"),
        builder().constant_label("version", "1"),
        builder().add_global_label("le", "1"),
        builder().add_global_label("a", "1").add_global_label("a", "2"),
        builder().application_buckets([]),
    ] {
        assert!(matches!(wrong.start(), Err(StartError::Invalid(_))));
    }
}

#[test]
fn dropping_it_frees_the_port_and_ends_its_connections() {
    let exporter = start(|builder| builder);
    let addresses = exporter.addresses().to_vec();
    let mut idle = connect(addresses[0]);
    idle.write_all(&request("GET", "/healthz", "")).unwrap();
    assert_eq!(read_answer(&mut idle, true).unwrap().status, 200);
    let mut half_open = connect(addresses[0]);
    half_open.write_all(b"GET /metrics HT").unwrap();
    drop(exporter);
    assert!(is_closed(&mut idle, Duration::from_secs(5)));
    assert!(is_closed(&mut half_open, Duration::from_secs(5)));
    assert!(std::net::TcpStream::connect_timeout(&addresses[0], Duration::from_secs(1)).is_err());
    for address in addresses {
        TcpListener::bind(address).unwrap();
    }
}
