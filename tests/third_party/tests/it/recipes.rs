//! The programs of docs/RECIPES.md do what the page says.

use crate::gpu::available;
use crate::programs;
use crate::support::{Guarded, Xvfb, skipped_without_adapter};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a recipe without a window prints; a named skip without an adapter.
fn said(recipe: &str) -> Option<String> {
    if !available() {
        skipped_without_adapter(recipe);
        return None;
    }
    let output = Command::new(programs::example(recipe)).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    Some(said)
}

#[test]
fn headless() {
    let Some(said) = said("recipe_headless") else { return };
    let map = "texture_target Some(\"shadow map\"): 16777216 bytes, owner Some(\"shadows\")";
    assert!(said.lines().any(|line| line == map), "{said}");
    assert!(said.lines().any(|line| line.starts_with("device ") && line.ends_with("owner None")), "{said}");
}

#[test]
fn adopt() {
    let Some(said) = said("recipe_adopt") else { return };
    assert_eq!(said, "4096 bytes live\n");
}

#[test]
fn pools() {
    let Some(said) = said("recipe_pools") else { return };
    assert_eq!(said, "64 blocks live\n65536 bytes written, 0 stalls, 0 writes refused\n");
}

#[test]
fn vello() {
    let Some(said) = said("recipe_vello") else { return };
    assert!(number_behind(&said, "vello: ") > 10, "{said}");
}

#[test]
fn cubecl() {
    let Some(said) = said("recipe_cubecl") else { return };
    assert!(said.starts_with("[2.0, 4.0, 6.0]; ") && number_behind(&said, "compute: ") > 5, "{said}");
}

#[test]
fn winit() {
    let Some(metrics) = metrics_of_frames("recipe_winit") else { return };
    assert!(number_behind(&metrics, "\nvitals_packets_queued_total ") >= 3, "{metrics}");
}

#[test]
fn egui() {
    let Some(metrics) = metrics_of_frames("recipe_egui") else { return };
    let owned = number_behind(&metrics, "vitals_owner_live_bytes{owner_kind=\"root_visual\"} ");
    assert!(owned > 100_000, "{owned} bytes of egui: {metrics}");
}

/// Shows the recipe's window until `/metrics` tells of three presented frames.
fn metrics_of_frames(recipe: &str) -> Option<String> {
    if !available() {
        skipped_without_adapter(recipe);
        return None;
    }
    let display = Xvfb::start(recipe)?;
    let mut command = Command::new(programs::example(recipe));
    let mut program = Guarded::spawn(display.shows(&mut command).stdout(Stdio::piped())).unwrap();
    let mut url = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let url = format!("{}/metrics", url.trim().trim_end_matches('/'));
    let start = Instant::now();
    loop {
        let metrics = ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap();
        if number_behind(&metrics, "vitals_packets_total{result=\"presented\"} ") >= 3 {
            return Some(metrics);
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{recipe} presents no frames: {metrics}");
        assert!(program.try_wait().unwrap().is_none(), "{recipe} has ended");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The number behind these words; 0 where they are not.
fn number_behind(text: &str, words: &str) -> u64 {
    let behind = text.split_once(words).map_or("", |(_, behind)| behind);
    let digits = behind.find(|c: char| !c.is_ascii_digit()).map_or(behind, |end| &behind[..end]);
    digits.parse().unwrap_or(0)
}
