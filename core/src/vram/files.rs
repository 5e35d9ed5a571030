//! Reading files that drivers write: short, perhaps malformed, perhaps gone by the time they are opened.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The beginning of a file as text, at most so many bytes; `None` where it cannot be read. What is not UTF-8 is replaced.
pub(super) fn text(path: &Path, most: u64) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(most).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The one number that a file holds; `None` where it holds anything else.
pub(super) fn number(path: &Path) -> Option<u64> {
    text(path, 64)?.trim().parse().ok()
}
