//! The dump as it is served: within bounds, whatever the program has.

use std::fmt::{self, Write as _};
use std::io;

use engine_vitals_core::analysis::{Dump, DumpOptions};

use crate::server::DumpForm;

/// Longest answer.
const MOST_BYTES: usize = 64 << 20;
/// Resources in an answer: the biggest. Fewer where those make it too long.
const RESOURCES: [usize; 4] = [50_000, 10_000, 1_000, 0];

/// Takes a dump with at most that.
pub(crate) type Source = Box<dyn Fn(&DumpOptions) -> Dump + Send + Sync>;

/// The answer: as many resources as there is room for. A dump that is too long without any is empty.
pub(crate) fn render(source: &Source, form: DumpForm) -> Vec<u8> {
    render_within(source, form, MOST_BYTES)
}

fn render_within(source: &Source, form: DumpForm, most_bytes: usize) -> Vec<u8> {
    let attempt = |resources: usize| {
        let dump = source(&DumpOptions::default().resources(resources));
        let mut page = Page { bytes: Vec::new(), most_bytes };
        let written = match form {
            DumpForm::Json => dump.write_json(&mut page).is_ok(),
            DumpForm::Text => write!(page, "{dump}").is_ok(),
        };
        written.then_some(page.bytes)
    };
    RESOURCES.into_iter().find_map(attempt).unwrap_or_default()
}

/// Takes so many bytes and no more.
struct Page {
    bytes: Vec<u8>,
    most_bytes: usize,
}

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.most_bytes - self.bytes.len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Write for Page {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        io::Write::write(self, text.as_bytes()).map(drop).map_err(|_| fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine_vitals_core::probe::New;
    use engine_vitals_core::tracker::Tracker;

    #[test]
    fn an_answer_keeps_its_bound_by_having_fewer_resources() {
        let tracker = Tracker::new();
        let _tickets: Vec<_> =
            (0..2000).map(|n| tracker.probe().create(New::buffer(n).label(&"x".repeat(100)))).collect();
        let source: Source = Box::new(move |options| Dump::take(&tracker, options));
        let within = |most_bytes| {
            let json = render_within(&source, DumpForm::Json, most_bytes);
            assert!(json.len() <= most_bytes);
            Dump::read_json(&json[..], u64::MAX).map(|dump| (dump.resources.len(), dump.left_out.count))
        };
        assert_eq!(within(MOST_BYTES).unwrap(), (2000, 0));
        assert_eq!(within(300_000).unwrap(), (1000, 1000));
        assert_eq!(within(30_000).unwrap(), (0, 2000));
        assert!(render_within(&source, DumpForm::Json, 100).is_empty());
        assert!(render_within(&source, DumpForm::Text, 100_000).starts_with(b"snapshot of process"));
        assert!(render_within(&source, DumpForm::Text, 100).is_empty());
    }
}
