//! A compositor as a program, and the account that it keeps.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use serde::Deserialize;

use crate::report::Report;
use crate::support::{build_example, scratch, without_adapter};

/// An example, by its name.
#[derive(Debug)]
pub(crate) struct Program(pub(crate) &'static str);

/// What the program says of itself.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Truth {
    pub(crate) program: String,
    pub(crate) seed: u64,
    pub(crate) plant: String,
    pub(crate) planted: Option<Owner>,
    pub(crate) packets: Vec<Packet>,
    pub(crate) objects: Vec<Object>,
}

/// A frame.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Packet {
    pub(crate) number: u64,
    pub(crate) phase: String,
    pub(crate) result: String,
}

/// A queue or a target.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Object {
    pub(crate) what: String,
    pub(crate) owner: Owner,
    pub(crate) created: Step,
    pub(crate) destroyed: Option<Step>,
    pub(crate) asked: u64,
    pub(crate) rebuilt: u64,
    pub(crate) reused: u64,
}

/// Whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Owner {
    pub(crate) kind: String,
    pub(crate) key: u64,
    pub(crate) name: String,
}

/// When and why.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) packet: Option<u64>,
    pub(crate) phase: String,
    pub(crate) because: String,
}

impl Program {
    /// The program, listening on any free port.
    pub(crate) fn command(&self) -> Command {
        static BUILT: Mutex<Vec<(&str, PathBuf)>> = Mutex::new(Vec::new());
        let mut built = BUILT.lock().unwrap();
        let path = match built.iter().find(|(name, _)| *name == self.0) {
            Some((_, path)) => path.clone(),
            None => {
                let path = build_example(self.0, &[]);
                built.push((self.0, path.clone()));
                path
            }
        };
        let mut command = Command::new(path);
        command.args(["--listen", "127.0.0.1:0"]);
        command
    }

    /// Its account of a run, or a named skip.
    pub(crate) fn account(&self, test: &str, arguments: &[&str]) -> Option<Truth> {
        self.account_of(test, self.command().args(arguments))
    }

    /// Its account of this run.
    pub(crate) fn account_of(&self, test: &str, command: &mut Command) -> Option<Truth> {
        let account = scratch(&format!("{test}.json"));
        let output = command.arg("--ground-truth").arg(&account).output().unwrap();
        if without_adapter(test, &output) {
            return None;
        }
        assert!(output.status.success(), "{output:?}");
        let truth: Truth = serde_json::from_slice(&std::fs::read(account).unwrap()).unwrap();
        assert_eq!(truth.program, self.0);
        Some(truth)
    }
}

impl Program {
    /// Its account of a run without a window, and what engine-vitals reports of it.
    pub(crate) fn report(&self, test: &str, arguments: &[&str]) -> Option<(Truth, Report)> {
        self.report_of(test, self.command().args(["--size", "160x100"]).args(arguments))
    }

    /// Its account of this run, and what engine-vitals reports of it.
    pub(crate) fn report_of(&self, test: &str, command: &mut Command) -> Option<(Truth, Report)> {
        let report = scratch(&format!("{test}.report.json"));
        let truth = self.account_of(test, command.arg("--report").arg(&report))?;
        Some((truth, serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap()))
    }
}

impl Truth {
    /// Packets that were shown.
    pub(crate) fn presented(&self) -> usize {
        self.packets.iter().filter(|packet| packet.result == "Presented").count()
    }
}
