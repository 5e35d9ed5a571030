//! What code lies where in this process.

/// Code of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loaded {
    pub(super) start: u64,
    /// The first address beyond.
    pub(super) limit: u64,
    /// Where it begins in the file.
    pub(super) offset: u64,
    pub(super) file: String,
}

/// The program first, then its libraries. Where the system does not tell, the program is taken to be everywhere.
pub(super) fn of_this_process() -> Vec<Loaded> {
    let program = std::env::current_exe().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let maps = if cfg!(any(target_os = "linux", target_os = "android")) {
        std::fs::read_to_string("/proc/self/maps").unwrap_or_default()
    } else {
        String::new()
    };
    let mut loaded: Vec<_> = maps.lines().filter_map(executable).collect();
    loaded.sort_by_key(|one| one.file != program);
    if loaded.is_empty() {
        loaded.push(Loaded { start: 0, limit: u64::MAX, offset: 0, file: program });
    }
    loaded
}

/// `55e8c1a00000-55e8c1b00000 r-xp 00012000 08:01 1234   /usr/bin/engine`: a line of the system's, if it is code of a file.
fn executable(line: &str) -> Option<Loaded> {
    let mut parts = line.splitn(6, ' ');
    let mut part = || parts.next();
    let (range, flags, offset, _device, _inode, file) = (part()?, part()?, part()?, part()?, part()?, part()?);
    let (start, limit) = range.split_once('-')?;
    let file = file.trim_start();
    let hexadecimal = |text| u64::from_str_radix(text, 16).ok();
    (flags.contains('x') && file.starts_with('/')).then_some(Loaded {
        start: hexadecimal(start)?,
        limit: hexadecimal(limit)?,
        offset: hexadecimal(offset)?,
        file: file.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_a_mapping() {
        let line = "55e8c1a12000-55e8c1b00000 r-xp 00012000 08:01 1234                       /opt/my game/engine";
        let expected = Loaded {
            start: 0x55e8_c1a1_2000,
            limit: 0x55e8_c1b0_0000,
            offset: 0x12000,
            file: "/opt/my game/engine".into(),
        };
        assert_eq!(executable(line), Some(expected));
        for other in [
            "55e8c1a12000-55e8c1b00000 r--p 00012000 08:01 1234                       /opt/engine",
            "7ffc1a12000-7ffc1b00000 r-xp 00000000 00:00 0                          [vdso]",
            "7f0000000000-7f0000001000 rwxp 00000000 00:00 0 ",
            "7f0000000000 r-xp 00000000 00:00 0 /opt/engine",
            "x-y r-xp z 00:00 0 /opt/engine",
            "",
        ] {
            assert_eq!(executable(other), None, "{other}");
        }
    }

    #[test]
    fn this_function_lies_in_the_first() {
        let all = of_this_process();
        let here = this_function_lies_in_the_first as fn() as usize as u64;
        assert!((all[0].start..all[0].limit).contains(&here), "{here:#x} {all:x?}");
    }
}
