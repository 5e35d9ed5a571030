//! The programs that are measured from outside (`benches/subject`): started, asked, ended.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running subject. Its input's end ends it.
pub(super) struct Process {
    program: PathBuf,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

pub(super) enum Started {
    Ready(Process),
    /// Without the adapter; the reason.
    Skipped(String),
}

impl Process {
    pub(super) fn start(
        programs: &Path,
        name: &str,
        arguments: &[&str],
        backend: &str,
    ) -> Result<Started, Box<dyn Error>> {
        let program = programs.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        let mut child = Command::new(&program)
            .args(arguments)
            .args(["--backend", backend])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Mesa complains of machines without a session; a failure shows in what the process answers.
            .stderr(if backend == "lavapipe" { Stdio::null() } else { Stdio::inherit() })
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().ok_or("a process without output")?);
        let mut process = Self { program, child, input, output };
        let said = process.line()?;
        match said.split_once(": ") {
            Some(("ready", _)) => Ok(Started::Ready(process)),
            Some(("skip", reason)) => Ok(Started::Skipped(reason.to_owned())),
            _ => Err(format!("{} said `{said}`", process.program.display()).into()),
        }
    }

    /// What it answers to a line: mostly the nanoseconds of one repetition.
    pub(super) fn measure(&mut self, line: &str) -> Result<f64, Box<dyn Error>> {
        let input = self.input.as_mut().ok_or("a process without input")?;
        writeln!(input, "{line}")?;
        let said = self.line()?;
        let value: f64 = said.parse().map_err(|_| format!("{} said `{said}` to {line}", self.program.display()))?;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(format!("{line}: {} did not finish", self.program.display()).into())
        }
    }

    fn line(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err(format!("{} ended early", self.program.display()).into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.input.take());
        // It has nothing left to do, and its figures are taken.
        let _ = self.child.wait();
    }
}
