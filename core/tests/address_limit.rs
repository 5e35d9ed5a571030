//! A limit of addresses is the one that the shell set, and allocations fail at it while memory is free.
//!
//! The test runs itself again below `sh -c "ulimit -v …"`.
#![cfg(all(feature = "telemetry", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "a test, and the part of it that runs below the limit")]

use std::process::Command;

use engine_vitals_core::memory::process::ProcessMemoryReader;

const LIMIT_KIB: u64 = 2 << 20;
const CHILD: &str = "ENGINE_VITALS_TEST_BELOW_A_LIMIT";

#[test]
fn a_limit_of_addresses_is_a_figure_of_its_own() {
    if std::env::var_os(CHILD).is_some() {
        return below_the_limit();
    }
    let name = "a_limit_of_addresses_is_a_figure_of_its_own";
    let child = Command::new("sh")
        .args(["-c", &format!("ulimit -v {LIMIT_KIB} && exec \"$0\" --exact {name} --nocapture")])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, "1")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

fn below_the_limit() {
    let limit = LIMIT_KIB * 1024;
    let mut reader = ProcessMemoryReader::new();
    let before = reader.read();
    assert_eq!(before.virtual_limit_bytes, Some(limit));
    assert!(before.virtual_limit_ratio().unwrap() < 0.5, "{before:?}");
    // Resident bytes may grow to what they could before.
    assert_ne!(before.capacity_bytes(), Some(limit));

    // Three quarters of the limit, untouched: no more is resident.
    let mapped: Vec<u8> = Vec::with_capacity((limit / 4 * 3).try_into().unwrap());
    let after = reader.read();
    assert!(after.virtual_limit_ratio().unwrap() > 0.75, "{after:?}");
    assert!(after.virtual_limit_ratio().unwrap() < 1.0, "{after:?}");
    assert!(after.resident_bytes.unwrap() < limit / 4, "{after:?}");
    let refused = Vec::<u8>::new().try_reserve_exact((limit / 4).try_into().unwrap());
    assert!(refused.is_err(), "a quarter more is beyond the limit");
    drop(mapped);
}
