//! What is at an address, and the cache of that.

use std::collections::HashMap;
use std::sync::Arc;

use crate::contract::SourceLine;

/// The lines of each address; those of which nothing is known have none.
#[cfg(not(feature = "call-sites"))]
pub(super) fn lines_of(addresses: impl Iterator<Item = usize>) -> HashMap<usize, Arc<[SourceLine]>> {
    addresses.map(|address| (address, Arc::default())).collect()
}

/// The lines of each address; those of which nothing is known have none.
#[cfg(feature = "call-sites")]
pub(super) fn lines_of(addresses: impl Iterator<Item = usize>) -> HashMap<usize, Arc<[SourceLine]>> {
    with_debug_info::lines_of(addresses)
}

#[cfg(feature = "call-sites")]
mod with_debug_info {
    use std::collections::HashSet;
    use std::path::Path;
    use std::ptr;

    use parking_lot::Mutex;

    use super::super::names::readable;
    use super::{Arc, HashMap, SourceLine};

    /// Addresses that are kept at once. With more of them it is begun anew.
    const MOST_KEPT: usize = 1 << 16;

    /// Locked while addresses are looked up, so that two threads do not look up the same.
    static KEPT: Mutex<Option<Kept>> = Mutex::new(None);

    #[derive(Default)]
    struct Kept {
        lines: HashMap<usize, Arc<[SourceLine]>>,
        /// Functions and files, each once.
        texts: HashSet<Arc<str>>,
    }

    pub(super) fn lines_of(addresses: impl Iterator<Item = usize>) -> HashMap<usize, Arc<[SourceLine]>> {
        let mut kept = KEPT.lock();
        let kept = kept.get_or_insert_default();
        let mut found = HashMap::new();
        let mut looked_up = false;
        for address in addresses {
            found.entry(address).or_insert_with(|| kept.lines(address, &mut looked_up));
        }
        if looked_up {
            // Tens of megabytes of debug information.
            backtrace::clear_symbol_cache();
        }
        found
    }

    impl Kept {
        fn lines(&mut self, address: usize, looked_up: &mut bool) -> Arc<[SourceLine]> {
            if let Some(lines) = self.lines.get(&address) {
                return Arc::clone(lines);
            }
            if self.lines.len() >= MOST_KEPT {
                *self = Self::default();
            }
            *looked_up = true;
            let lines: Arc<[_]> = self.look_up(address).into();
            self.lines.insert(address, Arc::clone(&lines));
            lines
        }

        fn look_up(&mut self, address: usize) -> Vec<SourceLine> {
            let mut lines = Vec::new();
            // It looks at what lies before the address, since a call returns to the instruction after it.
            backtrace::resolve(ptr::without_provenance_mut(address), |symbol| {
                if let Some(name) = symbol.name() {
                    let symbol_name = format!("{name:#}");
                    let file = symbol.filename().map(Path::to_string_lossy);
                    lines.push(SourceLine {
                        function: self.text(&readable(&symbol_name, file.as_deref())),
                        symbol: self.text(&symbol_name),
                        file: file.map(|file| self.text(&file)),
                        line: symbol.lineno(),
                    });
                }
            });
            lines
        }

        fn text(&mut self, text: &str) -> Arc<str> {
            if let Some(text) = self.texts.get(text) {
                return Arc::clone(text);
            }
            let text: Arc<str> = text.into();
            self.texts.insert(Arc::clone(&text));
            text
        }
    }
}
