//! Perfetto's trace processor, asked by SQL: a reader that is not ours. `cargo xtask test needs` installs it.

use serde_json::{Map, Value};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) struct Reader {
    python: PathBuf,
    script: PathBuf,
}

impl Reader {
    /// The reader; `None`, with a line that says that `test` is skipped, where it is not installed.
    pub(crate) fn find(test: &str) -> Option<Self> {
        let root = workspace();
        let python = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
        let python = root.join("target/perfetto-reader").join(python);
        if python.exists() {
            return Some(Self { python, script: root.join("exporters/trace/tests/reader/query.py") });
        }
        let reason = "no reader of traces: install it with `cargo xtask test needs`";
        assert!(std::env::var_os("ENGINE_VITALS_REQUIRE_READER").is_none(), "{test}: {reason}");
        // Straight to the descriptor: the harness keeps what `eprintln!` writes in a passing test to itself.
        std::io::stderr().write_all(format!("SKIPPED: {test}: {reason}\n").as_bytes()).unwrap();
        None
    }

    /// Each statement's rows.
    pub(crate) fn query(&self, trace: &Path, statements: &[&str]) -> Vec<Vec<Map<String, Value>>> {
        let mut command = Command::new(&self.python);
        command.arg(&self.script).arg(trace).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&serde_json::to_vec(statements).unwrap()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answers.len(), statements.len());
        let rows = |answer: Value| {
            assert!(answer.is_array(), "{answer}");
            serde_json::from_value(answer).unwrap()
        };
        answers.into_iter().map(rows).collect()
    }
}

/// The folder that all packages lie below.
fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().find(|folder| folder.join("xtask").is_dir());
    root.unwrap_or(package).to_owned()
}
