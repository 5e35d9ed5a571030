use std::os::unix::fs::symlink;

use super::*;
use crate::vram::skipped;

/// A tree with these files open: descriptor, what it is open on, and what the kernel says of it.
fn tree(files: &[(u32, &str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let (links, infos) = (root.path().join("proc/self/fd"), root.path().join("proc/self/fdinfo"));
    fs::create_dir_all(&links).unwrap();
    fs::create_dir_all(&infos).unwrap();
    for (descriptor, target, info) in files {
        symlink(target, links.join(descriptor.to_string())).unwrap();
        fs::write(infos.join(descriptor.to_string()), info).unwrap();
    }
    root
}

const NODE: &str = "/dev/dri/renderD128";

const AMDGPU: &str = "pos:\t0\nflags:\t02100002\nmnt_id:\t26\nino:\t628\ndrm-driver:\tamdgpu\ndrm-client-id:\t43\n\
    drm-pdev:\t0000:03:00.0\npasid:\t32769\ndrm-total-cpu:\t0 KiB\ndrm-total-gtt:\t9 MiB\ndrm-total-vram:\t300 MiB\n\
    drm-shared-vram:\t16 MiB\ndrm-resident-cpu:\t128 KiB\ndrm-resident-gtt:\t8192 KiB\ndrm-resident-vram:\t262144 KiB\n\
    drm-memory-vram:\t262144 KiB\ndrm-memory-gtt: \t8192 KiB\namd-evicted-vram:\t0 KiB\n\
    drm-engine-gfx:\t1500000000 ns\ndrm-engine-compute:\t250 ns\ndrm-engine-capacity-compute:\t4\n";

/// As kernels before the keys by state wrote it.
const AMDGPU_OLD: &str = "drm-driver:\tamdgpu\ndrm-pdev:\t0000:03:00.0\ndrm-client-id:\t7\ndrm-memory-vram:\t100 KiB\n\
    drm-memory-gtt: \t50 KiB\ndrm-memory-cpu: \t3 KiB\ndrm-engine-gfx:\t1 ns\n";

const I915: &str = "drm-driver: i915\ndrm-client-id: 8\ndrm-pdev: 0000:00:02.0\ndrm-total-system0: 700 KiB\n\
    drm-shared-system0: 0\ndrm-active-system0: 4 KiB\ndrm-resident-system0: 600 KiB\ndrm-purgeable-system0: 0\n\
    drm-resident-stolen-system0: 24 KiB\ndrm-engine-render: 9288864723 ns\ndrm-engine-video: 0 ns\n\
    drm-engine-capacity-video: 2\n";

/// A card of the same driver, with memory of its own.
const I915_CARD: &str = "drm-driver: i915\ndrm-client-id: 9\ndrm-pdev: 0000:04:00.0\ndrm-resident-system0: 12\n\
    drm-resident-local0: 5 GiB\ndrm-resident-stolen-local0: 0\n";

const XE: &str = "drm-driver:\txe\ndrm-client-id:\t2\ndrm-pdev:\t0000:55:00.0\ndrm-total-system:\t0\ndrm-resident-system:\t64\n\
    drm-resident-gtt:\t192 KiB\ndrm-resident-vram0:\t23992 KiB\ndrm-resident-vram1:\t8 KiB\ndrm-resident-stolen:\t0\n\
    drm-cycles-rcs:\t28257900\ndrm-total-cycles-rcs:\t7655183225\n";

const NOUVEAU: &str = "pos:\t0\ndrm-driver:\tnouveau\ndrm-pdev:\t0000:01:00.0\ndrm-client-id:\t3\n";

fn refreshed(root: &tempfile::TempDir, device: Option<&str>) -> DrmFdinfoProvider {
    let provider = DrmFdinfoProvider::under(root.path(), device.map(|text| text.parse().unwrap()));
    provider.refresh();
    provider
}

fn heaps(provider: &DrmFdinfoProvider) -> Vec<(String, Option<u64>)> {
    provider.get_vram_heaps().into_iter().map(|heap| (heap.name.into_owned(), heap.used_bytes)).collect()
}

fn named(heaps: &[(&str, u64)]) -> Vec<(String, Option<u64>)> {
    heaps.iter().map(|&(name, bytes)| (name.to_owned(), Some(bytes))).collect()
}

#[test]
fn amdgpu_is_read_in_its_newer_and_its_older_form() {
    let root = tree(&[(3, NODE, AMDGPU)]);
    let provider = refreshed(&root, None);
    assert_eq!(heaps(&provider), named(&[("cpu", 128 << 10), ("gtt", 8 << 20), ("vram", 256 << 20)]));
    assert_eq!(provider.get_vram_usage_bytes(), Some(256 << 20));
    assert_eq!((provider.get_vram_capacity_bytes(), provider.get_vram_budget_bytes()), (None, None));
    let engines = provider.get_engines_busy();
    let engines: Vec<_> = engines.iter().map(|engine| (engine.name.as_ref(), engine.busy, engine.count)).collect();
    assert_eq!(engines, [("compute", Duration::from_nanos(250), 4), ("gfx", Duration::from_millis(1_500), 1)]);

    let provider = refreshed(&tree(&[(3, NODE, AMDGPU_OLD)]), None);
    assert_eq!(heaps(&provider), named(&[("cpu", 3 << 10), ("gtt", 50 << 10), ("vram", 100 << 10)]));
}

#[test]
fn intel_is_read_with_and_without_memory_of_its_own() {
    let root = tree(&[(3, NODE, I915), (4, "/dev/dri/renderD129", I915_CARD), (5, "/dev/dri/renderD130", XE)]);
    let integrated = refreshed(&root, Some("0000:00:02.0"));
    assert_eq!(integrated.get_vram_usage_bytes(), Some(624 << 10), "the system's memory, where there is no other");
    assert_eq!(integrated.get_engines_busy()[1].count, 2);
    assert_eq!(refreshed(&root, Some("0000:04:00.0")).get_vram_usage_bytes(), Some(5 << 30));
    let xe = refreshed(&root, Some("0000:55:00.0"));
    assert_eq!(xe.get_vram_usage_bytes(), Some(24_000 << 10), "both tiles");
    assert!(xe.get_engines_busy().is_empty(), "cycles are no time");
    let all = refreshed(&root, None);
    assert_eq!((all.clients(), all.get_vram_usage_bytes()), (3, Some((5 << 30) + (24_000 << 10))));
}

#[test]
fn a_client_counts_once_however_often_it_is_open() {
    let other = AMDGPU.replace("drm-client-id:\t43", "drm-client-id:\t44");
    let elsewhere = AMDGPU.replace("0000:03:00.0", "0000:07:00.0");
    let root = tree(&[(3, NODE, AMDGPU), (4, NODE, AMDGPU), (5, NODE, &other), (6, NODE, &elsewhere)]);
    let provider = refreshed(&root, Some("0000:03:00.0"));
    assert_eq!((provider.clients(), provider.get_vram_usage_bytes()), (2, Some(512 << 20)));
    assert_eq!(refreshed(&root, None).clients(), 3);
}

#[test]
fn a_driver_that_says_nothing_of_memory_leaves_it_unknown() {
    let provider = refreshed(&tree(&[(3, NODE, NOUVEAU)]), None);
    assert_eq!((provider.clients(), provider.get_vram_usage_bytes(), provider.get_vram_peak_bytes()), (1, None, None));
    assert_eq!((provider.get_vram_heaps(), provider.get_engines_busy()), (vec![], vec![]));
}

#[test]
fn without_a_device_everything_is_unknown() {
    let none = tree(&[(0, "/dev/pts/0", "pos:\t0\n"), (1, "/dev/dri/card0", "pos:\t0\n"), (2, "socket:[1]", AMDGPU)]);
    for root in [&none, &tempfile::tempdir().unwrap()] {
        let provider = refreshed(root, None);
        assert_eq!((provider.clients(), provider.get_vram_usage_bytes()), (0, None));
    }
}

#[test]
fn malformed_lines_are_passed_over() {
    let bad = "drm-driver: xe\ndrm-client-id: x\ndrm-pdev: nowhere\ndrm-resident-vram0: 12 KB\ndrm-resident-vram1: -4 KiB\n\
        drm-resident-vram2: 18446744073709551615 KiB\ndrm-resident-: 4\ndrm-resident-vram3\ndrm-resident-gtt: 4 KiB\n\
        drm-engine-rcs: 12\ndrm-engine-bcs: 12 ms\ndrm-engine-ccs: ns\ndrm-engine-capacity-ccs: 0\n\u{0}\u{1}:\n:::\n";
    let provider = refreshed(&tree(&[(3, NODE, bad)]), None);
    assert_eq!(heaps(&provider), named(&[("gtt", 4 << 10)]));
    assert!(provider.get_engines_busy().is_empty());

    let many: String = (0..2_000).map(|region| format!("drm-resident-vram{region}: 1\n")).collect();
    let provider = refreshed(&tree(&[(3, NODE, &format!("drm-driver: xe\n{many}"))]), None);
    assert_eq!(provider.get_vram_heaps().len(), MOST_NAMES);
}

#[test]
fn the_peak_is_the_highest_that_was_seen_and_what_vanished_is_unknown() {
    let root = tree(&[(3, NODE, AMDGPU)]);
    let provider = refreshed(&root, None);
    fs::write(root.path().join("proc/self/fdinfo/3"), AMDGPU_OLD).unwrap();
    provider.refresh();
    assert_eq!((provider.get_vram_usage_bytes(), provider.get_vram_peak_bytes()), (Some(100 << 10), Some(256 << 20)));
    let vram = provider.get_vram_heaps().pop().unwrap();
    assert_eq!((vram.used_bytes, vram.peak_bytes), (Some(100 << 10), Some(256 << 20)));
    fs::remove_file(root.path().join("proc/self/fdinfo/3")).unwrap();
    provider.refresh();
    assert_eq!((provider.get_vram_usage_bytes(), provider.get_vram_peak_bytes()), (None, Some(256 << 20)));
}

#[test]
fn an_open_device_of_this_machine_is_a_client() {
    let test = "an_open_device_of_this_machine_is_a_client";
    let nodes: Vec<_> = fs::read_dir("/dev/dri").into_iter().flatten().filter_map(Result::ok).collect();
    let open = |node: &fs::DirEntry| {
        let render = node.file_name().to_str().is_some_and(|name| name.starts_with("renderD"));
        let file = render.then(|| fs::File::open(node.path()))?.ok()?;
        let info = format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        // Not so NVIDIA's own driver.
        let tells = fs::read_to_string(info).is_ok_and(|text| text.contains("drm-driver:"));
        tells.then_some(file)
    };
    let Some(_file) = nodes.iter().find_map(open) else {
        return skipped(test, "no device below /dev/dri that can be opened keeps account of its clients");
    };
    let provider = DrmFdinfoProvider::new(None);
    provider.refresh();
    assert!(provider.clients() > 0);
}

#[test]
fn a_file_that_is_too_long_is_no_client() {
    let long = format!("{AMDGPU}{}", " ".repeat(64 << 10));
    assert_eq!(refreshed(&tree(&[(3, NODE, &long)]), None).clients(), 0);
}

#[test]
fn the_time_of_engines_only_grows() {
    let gfx = |provider: &DrmFdinfoProvider| {
        provider.refresh();
        provider.get_engines_busy().iter().find(|engine| engine.name == "gfx").map(|engine| engine.busy)
    };
    let (ms, other) = (Duration::from_millis(1), AMDGPU.replace("drm-client-id:\t43", "drm-client-id:\t44"));
    let root = tree(&[(3, NODE, AMDGPU), (4, NODE, &other)]);
    let file = |number: u32| root.path().join(format!("proc/self/fdinfo/{number}"));
    let provider = refreshed(&root, None);
    assert_eq!(gfx(&provider), Some(3_000 * ms));
    fs::remove_file(file(4)).unwrap();
    assert_eq!((gfx(&provider), provider.clients()), (Some(3_000 * ms), 1), "what a closed client did stays done");
    fs::write(file(3), AMDGPU.replace("1500000000 ns", "1600000000 ns")).unwrap();
    assert_eq!(gfx(&provider), Some(3_100 * ms));
    fs::write(file(4), &other).unwrap();
    assert_eq!(gfx(&provider), Some(3_100 * ms), "a client that comes back is the same");
    for client in 100..1_200 {
        fs::write(file(4), AMDGPU.replace("drm-client-id:\t43", &format!("drm-client-id:\t{client}"))).unwrap();
        provider.refresh();
    }
    assert_eq!(gfx(&provider), Some((3_100 + 1_100 * 1_500) * ms), "of however many clients");
    assert_eq!(provider.state.lock().engines.clients.len(), MOST_CLIENTS);
}

#[test]
fn clients_beyond_the_cap_are_passed_over_and_counted_and_those_that_are_here_are_kept() {
    let beyond = 76;
    let numbered = |number: usize| AMDGPU.replace("drm-client-id:\t43", &format!("drm-client-id:\t{number}"));
    let root = tree(&[(0, "/dev/null", "pos:\t0\n")]);
    let write = |first: usize| {
        for file in 1..=MOST_CLIENTS + beyond {
            fs::write(root.path().join(format!("proc/self/fdinfo/{file}")), numbered(first + file)).unwrap();
        }
    };
    write(10_000);
    let provider = refreshed(&root, None);
    let all = MOST_CLIENTS as u64;
    for refresh in 0..2 {
        assert_eq!((provider.clients(), provider.files_beyond()), (MOST_CLIENTS, beyond as u64), "{refresh}");
        assert_eq!(provider.get_vram_usage_bytes(), Some(all * (256 << 20)), "{refresh}");
        assert_eq!(provider.get_engines_busy()[1].busy, Duration::from_millis(all * 1_500), "{refresh}");
        provider.refresh();
    }
    // All others at once, of lower numbers: those that went are summed up, and none of those that are here.
    write(0);
    provider.refresh();
    assert_eq!(provider.get_engines_busy()[1].busy, Duration::from_millis(2 * all * 1_500));
    let kept: Vec<_> = provider.state.lock().engines.clients.keys().map(|key| key.1).collect();
    assert_eq!((kept.len(), kept.iter().all(|&number| number < 10_000)), (MOST_CLIENTS, true));
}

#[test]
fn clients_without_a_number_count_each() {
    let nameless = AMDGPU.replace("drm-client-id:\t43\n", "");
    let root = tree(&[(3, NODE, &nameless), (4, NODE, &nameless)]);
    let provider = refreshed(&root, None);
    assert_eq!((provider.clients(), provider.get_vram_usage_bytes()), (2, Some(512 << 20)));
    let gfx = |provider: &DrmFdinfoProvider| provider.get_engines_busy()[1].busy;
    assert_eq!(gfx(&provider), Duration::from_secs(3));
    fs::remove_file(root.path().join("proc/self/fdinfo/3")).unwrap();
    provider.refresh();
    assert_eq!(gfx(&provider), Duration::from_secs(3), "it never sinks");
}

mod any_bytes {
    use super::*;
    use proptest::prelude::*;

    /// Lines that are nearly what a driver writes, and bytes that are nothing.
    fn file() -> impl Strategy<Value = Vec<u8>> {
        let lines = "(drm-(driver|pdev|client-id|resident-|memory-|engine-|engine-capacity-)[a-z0-9-]{0,5}:[ \t]?[0-9]{0,22} ?(KiB|MiB|GiB|ns)?\n|\\PC{0,30}\n){0,20}";
        prop_oneof![
            lines.prop_map(|lines: String| format!("drm-driver: x\n{lines}").into_bytes()),
            prop::collection::vec(any::<u8>(), 0..300),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn are_understood_or_passed_over_and_what_is_kept_is_bounded(refreshes in prop::collection::vec(prop::collection::vec(file(), 0..4), 1..4)) {
            let root = tree(&[]);
            let provider = DrmFdinfoProvider::under(root.path(), None);
            let mut busy = BTreeMap::new();
            for files in refreshes {
                for (number, bytes) in files.iter().enumerate() {
                    fs::write(root.path().join(format!("proc/self/fdinfo/{number}")), bytes).unwrap();
                }
                provider.refresh();
                prop_assert!(provider.clients() <= 4);
                prop_assert!(provider.get_vram_heaps().len() <= MOST_NAMES);
                prop_assert!(provider.get_vram_peak_bytes() >= provider.get_vram_usage_bytes());
                for engine in provider.get_engines_busy() {
                    let before = busy.insert(engine.name.into_owned(), engine.busy).unwrap_or_default();
                    prop_assert!(engine.busy >= before && engine.count > 0);
                }
                prop_assert!(busy.len() <= MOST_NAMES);
            }
        }
    }
}
