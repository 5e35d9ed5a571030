//! The demo engine as a process, as a user starts it.

use crate::GUARD;
use crate::support::{Guarded, NO_ADAPTER, build, skipped_without_adapter};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;

pub(crate) struct Engine {
    child: Guarded,
    url: String,
}

impl Engine {
    /// Starts it on a free port; without an adapter the test is skipped, or fails where one is required.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let mut command = Command::new(build(&[]));
        command
            .args(["--listen", "127.0.0.1:0", "--size", "320x180", "--fps", "60", "--churn", "8"])
            .args(["--resize-every", "30"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = Guarded::spawn(&mut command).expect("the engine starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (send, urls) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // To the end, so that the engine never waits for its output to be read.
            for line in output.lines().map_while(Result::ok) {
                // Only the first is waited for.
                url_in(&line).map(|url| send.send(url.to_owned()));
            }
        });
        let mut engine = Self { child, url: String::new() };
        match urls.recv_timeout(GUARD) {
            Ok(url) => {
                engine.url = url;
                return Some(engine);
            }
            Err(RecvTimeoutError::Timeout) => panic!("the engine prints no address"),
            Err(RecvTimeoutError::Disconnected) => {}
        }
        let status = engine.child.wait().expect("the engine has ended");
        assert_eq!(status.code(), Some(NO_ADAPTER), "the engine ended before it served anything");
        skipped_without_adapter(test);
        None
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        self.url.trim_start_matches("http://").trim_end_matches('/').to_owned()
    }

    /// What it serves to Prometheus.
    pub(crate) fn scrape(&self) -> String {
        let url = format!("{}/metrics", self.url.trim_end_matches('/'));
        ureq::get(&url).call().and_then(|mut page| page.body_mut().read_to_string()).expect("a page")
    }
}

/// The base of the first address in a line: `http://host:port`.
fn url_in(line: &str) -> Option<&str> {
    let url = &line[line.find("http://")?..];
    let host = "http://".len();
    let end = url[host..].find(|c: char| !c.is_ascii_alphanumeric() && !".:[]".contains(c)).unwrap_or(url.len() - host);
    Some(&url[..host + end])
}
