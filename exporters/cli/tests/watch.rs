//! The built program against servers that answer well, badly or not at all.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

const FIRST: &str = include_str!("scrapes/first.txt");
const SECOND: &str = include_str!("scrapes/second.txt");

/// No run of the program may take longer.
const HANG: Duration = Duration::from_secs(60);

/// Answers one connection after another with `answer(number)`, and hands out what was asked.
fn serve(answer: impl Fn(usize, &mut TcpStream) + Send + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, requests) = channel();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
                request.push(byte[0]);
            }
            let _ = asked.send(String::from_utf8_lossy(&request).into_owned());
            answer(number, &mut stream);
        }
    });
    (url, requests)
}

fn respond(stream: &mut TcpStream, status: &str, headers: &str, body: &str) {
    let length = body.len();
    // The program may have hung up on purpose.
    let _ = write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_engine-vitals"));
    command.args(arguments).env_remove("ENGINE_VITALS_TOKEN");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn once(url: &str, more: &[&str]) -> Output {
    finish(&mut command(&[&["watch", url, "--once", "--interval", "0.1"], more].concat()))
}

fn finish(command: &mut Command) -> Output {
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > HANG {
            child.kill().unwrap();
            panic!("{command:?} hangs");
        }
        thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// Standard error of a run that ended with this code and printed nothing else.
#[track_caller]
fn failed(output: &Output, code: i32) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    error
}

/// The line that begins with `name`, its blanks made one.
#[track_caller]
fn line(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in\n{text}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_summary_tells_levels_and_rates() {
    let (url, requests) =
        serve(|number, stream| respond(stream, "200 OK", "", if number == 0 { FIRST } else { SECOND }));
    let output = once(&url, &[]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with(&format!(
            "{url}/metrics: demo 1.2.0 · engine-vitals 0.1.0 · llvmpipe (LLVM 15.0.6, 256 bits)"
        ))
    );
    // Mean and quantiles do not hang on the time between the two scrapes.
    let frame = line(&text, "frame main");
    assert!(frame.ends_with(" 16.0 ms 16.2 ms 20.0 ms"), "{frame}");
    assert!(line(&text, "GPU frame").ends_with(" 3.00 ms 2.00 ms 3.80 ms"), "{text}");
    assert!(line(&text, "GPU main pass").ends_with("- - - -"), "{text}");
    assert!(line(&text, "CPU submit").ends_with(" 250 µs - -"), "{text}");
    assert_eq!(line(&text, "heap live"), "heap live 2.00 MiB");
    assert_eq!(line(&text, "process resident"), "process resident 100 MiB");
    assert_eq!(line(&text, "pending"), "pending -");
    assert_eq!(line(&text, "used (driver)"), "used (driver) 80.0 MiB");
    assert_eq!(line(&text, "capacity (driver)"), "capacity (driver) 8.00 GiB");
    assert!(line(&text, "texture").starts_with("texture 12 48.0 MiB "), "{text}");
    assert!(line(&text, "sampler").starts_with("sampler 2 - 0 0"), "no bytes are not 0 bytes:\n{text}");
    assert!(line(&text, "vram ").starts_with("vram FAILING - 0 1 -"), "{text}");
    let request = requests.recv().unwrap();
    assert!(request.starts_with("GET /metrics HTTP/1.1\r\n"), "{request}");
    assert!(!request.to_lowercase().contains("authorization"), "{request}");
}

#[test]
fn a_token_is_sent_and_never_shown() {
    let (url, requests) = serve(|_, stream| respond(stream, "401 Unauthorized", "", "a token is needed\nmore"));
    let error = failed(&once(&url, &[]), 5);
    assert!(error.contains("401 Unauthorized: a token is needed\nThe engine wants a bearer token"), "{error}");
    requests.recv().unwrap();

    let error = failed(&once(&url, &["--token", "s3cret"]), 5);
    assert!(error.contains("The token is not the engine's") && !error.contains("s3cret"), "{error}");
    assert!(requests.recv().unwrap().to_lowercase().contains("authorization: bearer s3cret\r\n"));

    let mut by_variable = command(&["watch", &url, "--once"]);
    failed(&finish(by_variable.env("ENGINE_VITALS_TOKEN", "fr0m-env")), 5);
    assert!(requests.recv().unwrap().to_lowercase().contains("authorization: bearer fr0m-env\r\n"));

    let error = failed(&once(&url, &["--token", "two s3crets"]), 2);
    assert!(error.contains("visible ASCII") && !error.contains("s3cret"), "{error}");
}

#[test]
fn a_redirect_is_not_followed() {
    let (elsewhere, asked_elsewhere) = serve(|_, stream| respond(stream, "200 OK", "", FIRST));
    let to = format!("location: {elsewhere}/metrics\r\n");
    let (url, _requests) = serve(move |_, stream| respond(stream, "302 Found", &to, ""));
    let error = failed(&once(&url, &["--token", "s3cret"]), 5);
    assert!(error.contains(&format!("It points to {elsewhere}/metrics")), "{error}");
    assert!(asked_elsewhere.try_recv().is_err());
}

#[test]
fn nobody_there() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = failed(&once(&free.to_string(), &[]), 4);
    assert!(error.contains(&format!("nothing listens at http://{free}/metrics\nIs the engine running?")), "{error}");
}

#[test]
fn answers_that_are_no_metrics() {
    type Answer = fn(&mut TcpStream);
    let cases: [(Answer, i32, &str); 8] = [
        (|stream| respond(stream, "200 OK", "", "<html>hello</html>"), 5, "no metric begins with vitals_"),
        (|stream| respond(stream, "200 OK", "", "up 1\nvitals_a{\u{1b}[2J} 1\n"), 5, "line 2 is no sample"),
        (|stream| respond(stream, "404 Not Found", "", "\u{1b}[2Jnothing"), 5, "leave the path out"),
        (|stream| respond(stream, "403 Forbidden", "", ""), 5, "have it allow this host"),
        (|stream| drop(stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")), 5, "Check host and port"),
        (|stream| drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\xff\xff\xff")), 5, "not UTF-8"),
        (|stream| drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nvit")), 4, "cannot reach"),
        (|_| {}, 4, "cannot reach"),
    ];
    for (answer, code, reason) in cases {
        let (url, _requests) = serve(move |_, stream| answer(stream));
        let error = failed(&once(&url, &[]), code);
        assert!(error.contains(reason), "{error}");
        assert!(error.contains(&url), "what failed is named: {error}");
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}

#[test]
fn an_endless_answer_is_cut_off() {
    let (url, _requests) = serve(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
        let chunk = "vitals_a 1\n".repeat(10_000);
        while stream.write_all(chunk.as_bytes()).is_ok() {}
    });
    let error = failed(&once(&url, &[]), 5);
    assert!(error.contains("answers more than 16 MiB"), "{error}");
}

#[test]
fn a_silent_server_is_given_up() {
    let (url, _requests) = serve(|_, stream| drop(stream.read(&mut [0])));
    let error = failed(&once(&url, &[]), 4);
    assert!(error.contains("did not answer in time"), "{error}");
}

#[test]
fn without_a_terminal_there_is_a_line_per_interval() {
    let (url, _requests) = serve(|number, stream| match number {
        0 => respond(stream, "200 OK", "", FIRST),
        1 => respond(stream, "500 Internal Server Error", "", "broken"),
        _ => respond(stream, "200 OK", "", SECOND),
    });
    let mut child = command(&["watch", &url, "--interval", "0.1"]).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut text = String::new();
    let mut byte = [0];
    while text.lines().count() < 3 && out.read(&mut byte).unwrap() > 0 {
        text.push(char::from(byte[0]));
    }
    // Nobody reads on: the program ends by itself, and well.
    drop(out);
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(start.elapsed() < HANG, "the program goes on with nobody to read");
        thread::sleep(Duration::from_millis(10));
    };
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(status.code(), Some(0), "{errors}");
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("fps -  frame -  gpu -  heap 1.00 MiB  rss 100 MiB"), "{text}");
    assert!(lines[1].contains("frame 16.0 ms  gpu 3.00 ms  heap 2.00 MiB"), "{text}");
    assert!(lines[1].ends_with("monitors failing or stale: vram"), "{text}");
    assert!(errors.contains("500 Internal Server Error: broken"), "{errors}");
}

#[test]
fn arguments_that_cannot_be_used() {
    for (arguments, reason) in [
        (&["watch", "https://host"] as &[&str], "only http:// is supported"),
        (&["watch", "http://me:s3cret@host"], "--token"),
        (&["watch", "a b"], "is no URL"),
        (&["watch", "--interval", "0"], "0.1 to 3600"),
        (&[], "Usage"),
    ] {
        let error = failed(&finish(&mut command(arguments)), 2);
        assert!(error.contains(reason) && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn exit_codes_are_in_the_help() {
    for arguments in [&["--help"] as &[&str], &["watch", "--help"], &["adapters", "--help"]] {
        let output = finish(&mut command(arguments));
        assert!(String::from_utf8_lossy(&output.stdout).contains("3  adapters: no GPU adapter"));
    }
}

/// On a machine without an adapter this shows the same error as on one where all backends are switched off.
#[test]
fn no_adapter_names_the_package_to_install() {
    let mut adapters = command(&["adapters"]);
    let error = failed(&finish(adapters.env("WGPU_BACKEND", "none")), 3);
    assert!(error.contains("no GPU adapter") && error.contains("mesa-vulkan-drivers libvulkan1"), "{error}");
}
