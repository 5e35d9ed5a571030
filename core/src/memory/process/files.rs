//! The kernel's files about this process, read below a root.

use std::path::Path;

use crate::files::text;

/// What the files tell of the process; sysinfo has none of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) swapped_bytes: Option<u64>,
    pub(super) minor_faults: Option<u64>,
    pub(super) major_faults: Option<u64>,
}

/// Far more than such a file has.
const CAP: u64 = 16 * 1024;

pub(super) fn read(root: &Path) -> Figures {
    let faults = text(&root.join("proc/self/stat"), CAP).and_then(|stat| faults(&stat));
    Figures {
        swapped_bytes: text(&root.join("proc/self/status"), CAP).and_then(|status| kib(&status, "VmSwap:")),
        minor_faults: faults.map(|(minor, _)| minor),
        major_faults: faults.map(|(_, major)| major),
    }
}

/// Minor and major faults, the 10th and 12th field. The second is the program's name in parentheses, which may hold anything.
fn faults(stat: &str) -> Option<(u64, u64)> {
    let mut behind_name = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(7);
    let minor = behind_name.next()?.parse().ok()?;
    Some((minor, behind_name.nth(1)?.parse().ok()?))
}

/// The bytes of a line `key  123 kB`.
fn kib(status: &str, key: &str) -> Option<u64> {
    let mut words = status.lines().find_map(|line| line.strip_prefix(key))?.split_ascii_whitespace();
    let kib: u64 = words.next()?.parse().ok()?;
    (words.next() == Some("kB")).then(|| kib.checked_mul(1024)).flatten()
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::super::planted::Tree;
    use super::*;

    const STAT: &str = "42 (a) b) (c) S 1 42 42 0 -1 4194304 103 7 5 9 0 0 0 0 20 0 1 0 3736375 3133440 415";

    fn read_from(files: &[(&str, &[u8])]) -> Figures {
        let tree = Tree::plant(files);
        read(tree.root())
    }

    #[test]
    fn faults_and_swap_are_those_of_the_files() {
        let status = b"Name:\tx\nVmRSS:\t    1708 kB\nVmSwap:\t      12 kB\n";
        let figures = read_from(&[("proc/self/stat", STAT.as_bytes()), ("proc/self/status", status)]);
        assert_eq!(figures, Figures { swapped_bytes: Some(12 * 1024), minor_faults: Some(103), major_faults: Some(5) });
    }

    #[test]
    fn what_is_missing_or_makes_no_sense_is_absent() {
        let zeros = vec![b'0'; 1 << 20];
        let no_text: &[u8] = &[0xff, 0xfe, 0, b')', b' '];
        for stat in [&b""[..], b"42 x S 1", b"42 (x) S 1 2 3", b"42 (x) S 1 2 3 4 5 6 -1 8 9", no_text, &zeros] {
            let figures = read_from(&[("proc/self/stat", stat)]);
            assert_eq!(figures, Figures::default(), "{:?}", String::from_utf8_lossy(&stat[..stat.len().min(40)]));
        }
        for status in [
            &b"VmSwap:"[..],
            b"VmSwap: 12",
            b"VmSwap: -1 kB",
            b"VmSwap: 18446744073709551615 kB",
            b"Name: VmSwap: 1 kB",
        ] {
            let figures = read_from(&[("proc/self/status", status)]);
            assert_eq!(figures, Figures::default(), "{}", String::from_utf8_lossy(status));
        }
        assert_eq!(read_from(&[]), Figures::default());
    }
}
