//! Reading files that the kernel and drivers write: short, perhaps malformed, perhaps gone by the time they are opened.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The text of a file; `None` where it cannot be read or is longer than `cap` bytes, since half of a file may end within a number. What is
/// not UTF-8 is replaced.
pub(crate) fn text(path: &Path, cap: u64) -> Option<String> {
    let mut bytes = Vec::new();
    let read = File::open(path).ok()?.take(cap.saturating_add(1)).read_to_end(&mut bytes).ok()?;
    (read as u64 <= cap).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// The one number that a file holds; `None` where it holds anything else.
pub(crate) fn number(path: &Path) -> Option<u64> {
    text(path, 64)?.trim().parse().ok()
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_or_no_number_is_none() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("file");
        let written = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            (text(&path, 4), number(&path))
        };
        assert_eq!(written(b"1234"), (Some("1234".to_owned()), Some(1_234)));
        assert_eq!(written(b"12345"), (None, Some(12_345)), "half of it would be another number");
        assert_eq!(written(b"12\n"), (Some("12\n".to_owned()), Some(12)));
        assert_eq!(written(b"\xff1"), (Some("\u{fffd}1".to_owned()), None));
        assert_eq!(written(b"-1"), (Some("-1".to_owned()), None));
        assert_eq!(written(b"18446744073709551616").1, None, "one beyond the largest");
        assert_eq!(written(&[b'0'; 65]).1, None);
        assert_eq!(text(&tree.path().join("none"), 4), None);
        assert_eq!(text(tree.path(), 4), None, "a directory");
    }
}
