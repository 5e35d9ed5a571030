//! The memory limit that a control group sets: versions 2 and 1, read below a root.

use std::path::{Component, Path, PathBuf};

use crate::files::text;

/// The tightest limit, in bytes, and what its group occupies of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) bytes: u64,
    pub(super) used: Option<u64>,
}

/// The limit of this process: the tightest of its group and of those above, as far as they can be seen from where the process is.
///
/// `None` where there is none. A group whose files cannot be read, or hold no number, is passed over: the others' limits still hold.
/// Version 1 counts where it manages memory, else version 2.
pub(super) fn limit(root: &Path) -> Option<Limit> {
    let groups = text(&root.join("proc/self/cgroup"), GROUPS_CAP)?;
    let (version, path) = group(&groups)?;
    let mounts: &[&str] = match version {
        Version::V1 => &["sys/fs/cgroup/memory"],
        // The second is where systemd mounts it beside version 1.
        Version::V2 => &["sys/fs/cgroup", "sys/fs/cgroup/unified"],
    };
    mounts.iter().find_map(|mount| tightest(&root.join(mount), path, version))
}

/// Far more than `/proc/self/cgroup` has.
const GROUPS_CAP: u64 = 64 * 1024;

/// Far more than a number has.
const NUMBER_CAP: u64 = 64;

/// Groups below groups that are looked at, from the innermost.
const DEEPEST: usize = 64;

/// Version 1 says "no limit" with the largest number of whole pages.
const UNLIMITED: u64 = 1 << 62;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// The group whose limits count, relative to the mount. Lines are `number:controllers:path`; version 2 has number 0 and no controllers.
fn group(groups: &str) -> Option<(Version, &Path)> {
    let lines = || {
        groups.lines().filter_map(|line| {
            let (number, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            Some((number, controllers, path))
        })
    };
    let v1 = lines().find(|(_, controllers, _)| controllers.split(',').any(|name| name == "memory"));
    let v2 = || lines().find(|&(number, controllers, _)| number == "0" && controllers.is_empty());
    let (version, path) = v1.map(|line| (Version::V1, line.2)).or_else(|| v2().map(|line| (Version::V2, line.2)))?;
    let path = Path::new(path.strip_prefix('/')?);
    // Above the root of the process's namespace: its limits cannot be seen from here.
    path.components().all(|part| matches!(part, Component::Normal(_))).then_some((version, path))
}

/// The tightest limit from the group at `path` up to the mount.
fn tightest(mount: &Path, path: &Path, version: Version) -> Option<Limit> {
    let mut directory = directory(mount, path);
    let mut tightest: Option<Limit> = None;
    for _ in 0..DEEPEST {
        let (max, current) = version.files();
        if let Some(bytes) = number(&directory.join(max)).filter(|&bytes| bytes < UNLIMITED)
            && tightest.is_none_or(|limit| bytes < limit.bytes)
        {
            tightest = Some(Limit { bytes, used: number(&directory.join(current)) });
        }
        if directory == mount || !directory.pop() || !version.binds_below(&directory) {
            break;
        }
    }
    tightest
}

impl Version {
    /// The files with the limit and the usage.
    fn files(self) -> (&'static str, &'static str) {
        match self {
            Self::V1 => ("memory.limit_in_bytes", "memory.usage_in_bytes"),
            Self::V2 => ("memory.max", "memory.current"),
        }
    }

    /// Whether the limit of the group in this directory binds those below it. Version 1 can say that it does not.
    fn binds_below(self, directory: &Path) -> bool {
        self == Self::V2 || number(&directory.join("memory.use_hierarchy")) != Some(0)
    }
}

/// Where the group at `path` is mounted. A container that has no namespace of its own sees the path that its host sees, and a mount that
/// begins somewhere on that path: so the longest end of the path that is there, or else the mount itself.
fn directory(mount: &Path, path: &Path) -> PathBuf {
    let mut below = path.components();
    loop {
        let directory = mount.join(below.as_path());
        if below.next().is_none() || directory.is_dir() {
            return directory;
        }
    }
}

/// The number in a file; `max` is none.
fn number(path: &Path) -> Option<u64> {
    text(path, NUMBER_CAP)?.trim_ascii().parse().ok()
}

#[cfg(all(test, not(miri)))]
mod tests {
    use std::sync::atomic::Ordering;

    use super::super::planted::Tree;
    use super::*;

    fn limit_of(files: &[(&str, &[u8])]) -> Option<(u64, Option<u64>)> {
        let tree = Tree::plant(files);
        limit(tree.root()).map(|limit| (limit.bytes, limit.used))
    }

    const SELF: &str = "proc/self/cgroup";

    #[test]
    fn a_container_with_a_namespace_of_its_own_has_its_limit_at_the_root() {
        let files: [(&str, &[u8]); 3] = [
            (SELF, b"0::/\n"),
            ("sys/fs/cgroup/memory.max", b"536870912\n"),
            ("sys/fs/cgroup/memory.current", b"1048576\n"),
        ];
        assert_eq!(limit_of(&files), Some((512 << 20, Some(1 << 20))));
    }

    #[test]
    fn a_container_that_sees_the_hosts_path_finds_its_group_from_where_the_mount_begins() {
        let own: [(&str, &[u8]); 2] = [(SELF, b"0::/kubepods/pod1/c2\n"), ("sys/fs/cgroup/memory.max", b"4096\n")];
        assert_eq!(limit_of(&own), Some((4096, None)));
        let below: [(&str, &[u8]); 3] = [
            (SELF, b"0::/docker/c2/worker\n"),
            ("sys/fs/cgroup/memory.max", b"8192\n"),
            ("sys/fs/cgroup/worker/memory.max", b"4096\n"),
        ];
        assert_eq!(limit_of(&below), Some((4096, None)));
    }

    #[test]
    fn the_tightest_of_nested_limits_counts_with_its_own_usage() {
        let nested = |outer: &'static [u8], middle: &'static [u8], inner: &'static [u8]| {
            limit_of(&[
                (SELF, b"0::/a.slice/b.service/c\n"),
                ("sys/fs/cgroup/cgroup.controllers", b"memory\n"),
                ("sys/fs/cgroup/a.slice/memory.max", outer),
                ("sys/fs/cgroup/a.slice/memory.current", b"11"),
                ("sys/fs/cgroup/a.slice/b.service/memory.max", middle),
                ("sys/fs/cgroup/a.slice/b.service/memory.current", b"22"),
                ("sys/fs/cgroup/a.slice/b.service/c/memory.max", inner),
                ("sys/fs/cgroup/a.slice/b.service/c/memory.current", b"33"),
            ])
        };
        assert_eq!(nested(b"100\n", b"200\n", b"300\n"), Some((100, Some(11))));
        assert_eq!(nested(b"300\n", b"100\n", b"200\n"), Some((100, Some(22))));
        assert_eq!(nested(b"300\n", b"200\n", b"100\n"), Some((100, Some(33))));
        assert_eq!(nested(b"max\n", b"200\n", b"max\n"), Some((200, Some(22))));
        assert_eq!(nested(b"max\n", b"max\n", b"max\n"), None);
        // The innermost of equals: its usage is the process's own.
        assert_eq!(nested(b"100\n", b"100\n", b"100\n"), Some((100, Some(33))));
        assert_eq!(nested(b"max\n", b"0\n", b"5\n"), Some((0, Some(22))));
    }

    #[test]
    fn version_1_counts_where_it_manages_memory() {
        let v1 = |hierarchy: &'static [u8], inner: &'static [u8]| {
            limit_of(&[
                (SELF, b"9:name=systemd:/x\n4:cpu,memory:/a/b\n0::/v2\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", b"9223372036854771712\n"),
                ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", b"1000\n"),
                ("sys/fs/cgroup/memory/a/memory.usage_in_bytes", b"10\n"),
                ("sys/fs/cgroup/memory/a/memory.use_hierarchy", hierarchy),
                ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", inner),
                ("sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", b"20\n"),
                ("sys/fs/cgroup/unified/v2/memory.max", b"7\n"),
            ])
        };
        assert_eq!(v1(b"1\n", b"2000\n"), Some((1000, Some(10))));
        assert_eq!(v1(b"0\n", b"2000\n"), Some((2000, Some(20))), "the group above does not bind those below");
        assert_eq!(v1(b"1\n", b"9223372036854771712\n"), Some((1000, Some(10))));
        assert_eq!(v1(b"0\n", b"9223372036854771712\n"), None);
    }

    #[test]
    fn version_2_beside_version_1_is_read_where_it_is_mounted() {
        let files: [(&str, &[u8]); 2] =
            [(SELF, b"4:cpu:/a\n0::/v2\n"), ("sys/fs/cgroup/unified/v2/memory.max", b"7\n")];
        assert_eq!(limit_of(&files), Some((7, None)));
    }

    #[test]
    fn what_makes_no_sense_is_passed_over_and_the_limits_above_hold() {
        let huge = vec![b'1'; 1 << 20];
        let malformed: [&[u8]; 9] =
            [b"", b"\n", b"-1\n", b"12x\n", b"1 2\n", b"99999999999999999999\n", &[0xff, 0, 0xfe], b"MAX\n", &huge];
        for content in malformed {
            let found = limit_of(&[
                (SELF, b"0::/a/b\n"),
                ("sys/fs/cgroup/a/memory.max", b"100\n"),
                ("sys/fs/cgroup/a/memory.current", content),
                ("sys/fs/cgroup/a/b/memory.max", content),
            ]);
            assert_eq!(found, Some((100, None)), "{:?}", String::from_utf8_lossy(&content[..content.len().min(20)]));
        }
    }

    #[test]
    fn no_groups_no_memory_controller_and_no_sense_are_no_limit() {
        let limit: (&str, &[u8]) = ("sys/fs/cgroup/memory.max", b"100\n");
        let huge = [b"0::/".as_slice(), &b"a/".repeat(1 << 20)].concat();
        let groups: [&[u8]; 10] = [
            b"",
            b"\n\n",
            b"0",
            b"0:",
            b"0::",
            b"0::relative\n",
            b"0::/../outside\n",
            b"3:cpu:/a\n",
            &[0xff, 0xfe, b':', b':'],
            &huge,
        ];
        for content in groups {
            let found = limit_of(&[(SELF, content), limit]);
            assert_eq!(found, None, "{:?}", String::from_utf8_lossy(&content[..content.len().min(20)]));
        }
        assert_eq!(limit_of(&[limit]), None, "no /proc/self/cgroup");
        assert_eq!(limit_of(&[(SELF, b"0::/\n")]), None, "nothing is mounted");
        assert_eq!(limit_of(&[]), None);
    }

    #[test]
    fn the_deepest_path_is_bounded() {
        let path = "a/".repeat(1_000);
        let groups = format!("0::/{path}\n");
        let top: (&str, &[u8]) = ("sys/fs/cgroup/memory.max", b"100\n");
        assert_eq!(limit_of(&[(SELF, groups.as_bytes()), top]), Some((100, None)), "only the mount is there");
        let inside = format!("sys/fs/cgroup/{path}memory.max");
        let found = limit_of(&[(SELF, groups.as_bytes()), top, (&inside, b"200\n")]);
        assert_eq!(found, Some((200, None)), "the innermost are looked at");
    }

    /// Groups and files come and go while they are read: whatever is found is one of the limits planted, or none.
    #[test]
    fn files_that_vanish_meanwhile_are_absent() {
        let tree = Tree::plant(&[(SELF, b"0::/a/b\n")]);
        let group = tree.root().join("sys/fs/cgroup/a/b");
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::fs::create_dir_all(&group).unwrap();
                    std::fs::write(group.join("memory.max"), "200\n").unwrap();
                    std::fs::write(group.parent().unwrap().join("memory.max"), "300\n").unwrap();
                    std::fs::remove_dir_all(tree.root().join("sys")).unwrap();
                }
            });
            let seen: Vec<_> = (0..2_000).map(|_| limit(tree.root()).map(|limit| limit.bytes)).collect();
            stop.store(true, Ordering::Relaxed);
            assert!(seen.contains(&None), "never found absent");
            assert!(seen.iter().all(|found| [None, Some(200), Some(300)].contains(found)), "a limit never planted");
        });
    }
}
