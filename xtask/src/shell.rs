//! Starting other programs: shown before they run, in the workspace root, with their exit status turned into an error.
//!
//! Knows nothing of what the tasks want; keeps the lines `SKIPPED: <test>: <reason>` that tests print.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// What a test prints when it lacks something: this, its name, a colon and the reason.
const SKIPPED: &str = "SKIPPED: ";

/// The workspace root and what its commands reported.
pub(crate) struct Shell {
    root: PathBuf,
    skipped: Mutex<Vec<String>>,
}

impl Shell {
    pub(crate) fn new() -> Result<Self> {
        // Cargo's word at run time: a target folder may be shared by several checkouts, or have moved.
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("start it by `cargo xtask`")?;
        let root = Path::new(&manifest).parent().context("xtask lies in no workspace")?.to_owned();
        Ok(Self { root, skipped: Mutex::default() })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A command of the cargo that runs us.
    pub(crate) fn cargo(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Call<'_> {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut call = self.program(program, arguments);
        call.shown.replace_range(..call.shown.find(' ').unwrap_or(call.shown.len()), "cargo");
        call
    }

    /// A command of any program, run in the workspace root.
    pub(crate) fn program(
        &self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Call<'_> {
        let mut command = Command::new(program.as_ref());
        command.current_dir(&self.root);
        let shown = program.as_ref().to_string_lossy().into_owned();
        Call { shell: self, command, shown }.args(arguments)
    }

    /// The lines `<test>: <reason>` of all commands run so far.
    pub(crate) fn skipped(&self) -> Vec<String> {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that something was not run, and says so.
    pub(crate) fn skip(&self, what: &str, reason: &str) {
        println!("{SKIPPED}{what}: {reason}");
        self.note(format!("{what}: {reason}"));
    }

    fn note(&self, line: String) {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn pass_on(&self, from: impl Read, mut to: impl Write) {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while matches!(from.read_until(b'\n', &mut line), Ok(read) if read > 0) {
            // A closed terminal must not stop the command that is being watched.
            let _ = to.write_all(&line).and_then(|()| to.flush());
            if let Some(found) = skipped_test(&String::from_utf8_lossy(&line)) {
                self.note(found.to_owned());
            }
            line.clear();
        }
    }
}

/// `<test>: <reason>` if the line says that a test was skipped. The test harness may have begun the line.
fn skipped_test(line: &str) -> Option<&str> {
    line.find(SKIPPED).map(|at| line[at + SKIPPED.len()..].trim_end())
}

/// True if the program can be started at all.
pub(crate) fn has_program(name: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else { return false };
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).any(|folder| folder.join(&file).is_file())
}

/// One command, made ready.
pub(crate) struct Call<'a> {
    shell: &'a Shell,
    command: Command,
    shown: String,
}

impl Call<'_> {
    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        for argument in arguments {
            self.shown = format!("{} {}", self.shown, argument.as_ref().to_string_lossy());
            self.command.arg(argument);
        }
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.shown = format!("{name}='{value}' {}", self.shown);
        self.command.env(name, value);
        self
    }

    /// Runs it with our terminal.
    pub(crate) fn run(self) -> Result<()> {
        let shown = self.shown.clone();
        match self.code()? {
            0 => Ok(()),
            code => bail!("`{shown}` ended with exit code {code}"),
        }
    }

    /// Runs it, passes its output on and keeps the names of the tests that it skipped.
    pub(crate) fn watch(mut self) -> Result<()> {
        println!("$ {}", self.shown);
        let mut child = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{}`", self.shown))?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        std::thread::scope(|scope| {
            scope.spawn(|| err.map(|err| self.shell.pass_on(err, std::io::stderr())));
            if let Some(out) = out {
                self.shell.pass_on(out, std::io::stdout());
            }
        });
        let status = child.wait().with_context(|| format!("lost `{}`", self.shown))?;
        if !status.success() {
            bail!("`{}` ended with {status}", self.shown);
        }
        Ok(())
    }

    /// Runs it with our terminal: its exit code, -1 when a signal ended it.
    pub(crate) fn code(mut self) -> Result<i32> {
        println!("$ {}", self.shown);
        let status = self.command.status().with_context(|| format!("cannot start `{}`", self.shown))?;
        Ok(status.code().unwrap_or(-1))
    }

    /// Runs it silently: whether it succeeded, and what it printed to its standard output.
    pub(crate) fn ask(mut self) -> Option<String> {
        let output = self.command.stdin(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it with our terminal for its errors: what it printed to its standard output.
    pub(crate) fn read(mut self) -> Result<String> {
        println!("$ {}", self.shown);
        let output = self.command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("cannot start `{}`", self.shown))?;
        if !output.status.success() {
            bail!("`{}` ended with {}", self.shown, output.status);
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Becomes the program, so that it has the terminal and its signals for itself. Returns only if that fails.
    pub(crate) fn become_it(mut self) -> Result<()> {
        println!("$ {}", self.shown);
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt;
            Err(self.command.exec()).with_context(|| format!("cannot start `{}`", self.shown))
        }
        #[cfg(not(unix))]
        self.run()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_tests_are_found_behind_the_harness_words() {
        assert_eq!(skipped_test("SKIPPED: prometheus: not installed\n"), Some("prometheus: not installed"));
        assert_eq!(skipped_test("test scene ... SKIPPED: scene: no adapter\n"), Some("scene: no adapter"));
        assert_eq!(skipped_test("test scene ... ok\n"), None);
    }

    #[test]
    fn a_failing_command_is_an_error_that_names_it() -> Result<()> {
        let shell = Shell::new()?;
        let error = shell.cargo(["no-such-task"]).watch().unwrap_err().to_string();
        assert!(error.contains("cargo no-such-task"), "{error}");
        assert!(shell.cargo(["--version"]).ask().is_some_and(|said| said.starts_with("cargo ")));
        Ok(())
    }

    #[test]
    fn output_is_searched_for_skips() -> Result<()> {
        let shell = Shell::new()?;
        shell.pass_on(&b"a\nSKIPPED: one: no GPU\nSKIPPED: two: no Prometheus"[..], std::io::sink());
        assert_eq!(shell.skipped(), ["one: no GPU", "two: no Prometheus"]);
        Ok(())
    }
}
