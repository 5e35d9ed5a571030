//! A Prometheus server in a folder of its own, with the shipped configuration and the test's engine as its target.

use crate::GUARD;
use crate::support::{Guarded, skipped};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Name (as `__name__`) and labels of a series, without those that Prometheus adds.
pub(crate) type Sample = BTreeMap<String, String>;

pub(crate) struct Prometheus {
    _server: Guarded,
    url: String,
    http: ureq::Agent,
    /// Configuration, data and log, until the server has ended.
    folder: tempfile::TempDir,
}

impl Prometheus {
    /// Where the program is; without it the test is skipped, in CI a failure.
    pub(crate) fn program(test: &str) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path).map(|folder| folder.join("prometheus")).find(|file| file.is_file());
        if program.is_none() {
            let required = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!required, "{test}: no Prometheus, and CI=true (install prometheus)");
            skipped(test, "no Prometheus (install prometheus)");
        }
        program
    }

    /// Starts it with `grafana/` as it is shipped, but for the address in `targets/`.
    pub(crate) fn start(program: PathBuf, target: &str) -> Self {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana");
        let folder = tempfile::tempdir().expect("a folder for Prometheus");
        for part in ["rules", "targets"] {
            std::fs::create_dir(folder.path().join(part)).expect("a folder");
        }
        for file in ["prometheus.yml", "rules/engine-vitals.yml"] {
            std::fs::copy(shipped.join(file), folder.path().join(file)).expect("the shipped file");
        }
        let targets = serde_json::json!([{ "targets": [target] }]);
        std::fs::write(folder.path().join("targets/engine.json"), targets.to_string()).expect("the target file");

        let address = free_address();
        let log = std::fs::File::create(folder.path().join("log")).expect("a log file");
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let server = Guarded::spawn(&mut command).expect("Prometheus starts");
        let http = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(GUARD)).build();
        let started = Self { _server: server, url: format!("http://{address}"), http: http.into(), folder };
        started.wait_until("vector(1)");
        started
    }

    /// Waits until the expression answers with anything.
    pub(crate) fn wait_until(&self, expression: &str) {
        let start = Instant::now();
        loop {
            let answer = self.query(expression);
            if answer.as_ref().is_ok_and(|values| !values.is_empty()) {
                return;
            }
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(start.elapsed() < GUARD, "`{expression}` stays {answer:?}; log of Prometheus:\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The values of an instant query.
    pub(crate) fn query(&self, expression: &str) -> Result<Vec<f64>, String> {
        let data = self.get("query", &[("query", expression)])?;
        let result = data["result"].as_array().ok_or("no result")?;
        if data["resultType"] == "scalar" {
            return Ok(vec![number(&data["result"][1])?]);
        }
        result.iter().map(|series| number(&series["value"][1])).collect()
    }

    /// The one value of an instant query.
    pub(crate) fn number(&self, expression: &str) -> f64 {
        match self.query(expression).as_deref() {
            Ok([value]) => *value,
            other => panic!("`{expression}` has no single answer but {other:?}"),
        }
    }

    /// The series that a selector chooses, with their values.
    pub(crate) fn samples(&self, selector: &str) -> Vec<(Sample, f64)> {
        let data = self.get("query", &[("query", selector)]).expect("samples");
        let series = data["result"].as_array().into_iter().flatten();
        series.map(|one| (labels(&one["metric"]), number(&one["value"][1]).expect("a number"))).collect()
    }

    /// Whether the expression parses; else Prometheus's words, with the position.
    pub(crate) fn parse(&self, expression: &str) -> Result<(), String> {
        self.get("format_query", &[("query", expression)]).map(|_| ())
    }

    /// Values of a label in the series that a selector chooses.
    pub(crate) fn label_values(&self, label: &str, selector: &str) -> Result<Vec<String>, String> {
        let values = self.get(&format!("label/{label}/values"), &[("match[]", selector)])?;
        Ok(values.as_array().into_iter().flatten().filter_map(Value::as_str).map(String::from).collect())
    }

    /// The series that a selector chooses.
    pub(crate) fn series(&self, selector: &str) -> Vec<Sample> {
        let series = self.get("series", &[("match[]", selector)]).expect("series");
        series.as_array().into_iter().flatten().map(labels).collect()
    }

    /// Name, kind and help of the metrics whose names begin so.
    pub(crate) fn metadata(&self, prefix: &str) -> Vec<(String, String, String)> {
        let metadata = self.get("metadata", &[]).expect("metadata");
        let ours = metadata.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with(prefix));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        ours.map(|(name, said)| (name.clone(), text(&said[0]["type"]), text(&said[0]["help"]))).collect()
    }

    /// Name and health of each alert rule.
    pub(crate) fn rules(&self) -> Vec<(String, String)> {
        let rules = self.get("rules", &[]).expect("rules");
        let groups = rules["groups"].as_array().into_iter().flatten();
        let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        rules.map(|rule| (text(&rule["name"]), text(&rule["health"]))).collect()
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, String> {
        let request = self.http.get(format!("{}/api/v1/{path}", self.url)).query_pairs(query.iter().copied());
        let page = request.call().and_then(|mut response| response.body_mut().read_to_string());
        let page = page.map_err(|error| error.to_string())?;
        let mut answer: Value = serde_json::from_str(&page).map_err(|error| error.to_string())?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"].take()),
            _ => Err(answer["error"].as_str().unwrap_or("no answer").to_owned()),
        }
    }
}

fn labels(metric: &Value) -> Sample {
    let own = |name: &str| !["job", "instance"].contains(&name);
    let pairs = metric.as_object().into_iter().flatten().filter(|(name, _)| own(name));
    pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

fn number(value: &Value) -> Result<f64, String> {
    let text = value.as_str().ok_or_else(|| format!("{value} is no value"))?;
    text.parse().map_err(|_| format!("{text} is no number"))
}

/// Prometheus cannot be asked which port it took, so one is chosen for it.
fn free_address() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}
