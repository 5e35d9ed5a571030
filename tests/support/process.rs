//! Programs that a test starts and that must not outlive it.

use super::skipped;
use std::io::{BufRead, BufReader};
use std::ops::{Deref, DerefMut};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

/// A process that is killed when this is dropped, as when the test panics.
pub(crate) struct Guarded(Option<Child>);

impl Guarded {
    pub(crate) fn spawn(command: &mut Command) -> std::io::Result<Self> {
        command.spawn().map(|child| Self(Some(child)))
    }

    /// Waits for its end; what it wrote and was piped.
    pub(crate) fn output(mut self) -> std::io::Result<Output> {
        self.0.take().unwrap().wait_with_output()
    }

    /// Asks it to end, and waits until it has.
    #[cfg(unix)]
    pub(crate) fn terminate(&mut self) -> std::io::Result<ExitStatus> {
        rustix::process::kill_process(rustix::process::Pid::from_child(self), rustix::process::Signal::TERM)?;
        self.wait()
    }
}

impl Deref for Guarded {
    type Target = Child;

    fn deref(&self) -> &Child {
        self.0.as_ref().unwrap()
    }
}

impl DerefMut for Guarded {
    fn deref_mut(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        // It may have ended by itself; then both say so and there is nothing left to do.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A display without a screen.
pub(crate) struct Xvfb {
    _server: Guarded,
    /// The value of `DISPLAY`.
    pub(crate) name: String,
}

impl Xvfb {
    /// A named skip where there is no Xvfb.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let arguments = ["-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp", "-noreset"];
        let spawned = Guarded::spawn(Command::new("Xvfb").args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()));
        let Ok(mut server) = spawned else {
            skipped(test, "no Xvfb (install xvfb)");
            return None;
        };
        let mut number = String::new();
        let read = BufReader::new(server.stdout.take().unwrap()).read_line(&mut number);
        assert!(read.is_ok_and(|bytes| bytes > 0), "Xvfb names no display");
        Some(Self { _server: server, name: format!(":{}", number.trim()) })
    }

    /// Makes `command` show its windows here.
    pub(crate) fn shows<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("DISPLAY", &self.name).env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET")
    }
}
