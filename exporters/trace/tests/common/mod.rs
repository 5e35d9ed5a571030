//! A sink that shows what was flushed while a log writes to it, and what the lines in it say.

use serde_json::Value;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

#[derive(Clone, Debug, Default)]
pub(crate) struct Sink {
    written: Vec<u8>,
    flushed: Arc<Mutex<Vec<u8>>>,
}

impl Sink {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.flushed.lock().unwrap().clone()).unwrap()
    }

    /// Each line as an object. A last line that is not ended is a fault.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = self.text();
        assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
        let lines = text.split_terminator('\n').map(|line| serde_json::from_str(line).unwrap());
        lines.inspect(|line: &Value| assert!(line.is_object(), "{line}")).collect()
    }
}

impl Write for Sink {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.written.write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushed.lock().unwrap().append(&mut self.written);
        Ok(())
    }
}
