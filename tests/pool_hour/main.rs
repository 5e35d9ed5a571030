//! An accelerated hour of churn: a tenth of its 216,000 frames, or as many as `ENGINE_VITALS_SOAK_FRAMES` says (`cargo xtask soak pool`).
//!
//! On the layout alone each trace is judged in every frame. On devices what lies in the blocks is compared each simulated minute.
#![expect(clippy::unwrap_used, reason = "a test")]
#![expect(clippy::print_stdout, reason = "the figures, with --nocapture")]

#[path = "../../examples/memory_pool/hour.rs"]
mod hour;
mod layout;
#[path = "../../examples/memory_pool/pooled.rs"]
mod pooled;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../examples/memory_pool/traces.rs"]
mod traces;

use clap::ValueEnum;
use engine_vitals::Probe;
use engine_vitals::resources::pool::layout::LayoutConfig;
use engine_vitals::resources::pool::{MemoryPool, MemoryPoolConfig};

use crate::hour::{Hour, Quality};
use crate::layout::OnLayout;
use crate::pooled::Pooled;
use crate::traces::{FRAMES_A_MINUTE, Kind, Occupancy, Trace};

/// Of an hour at 60 frames per second.
const TENTH: u64 = 21_600;
const BUDGET: u64 = 64 << 20;
/// Of a pool on a device where the campaign is not run: too small for a trace to be judged, whose largest blocks have 1 MiB.
const SMALL_BUDGET: u64 = 12 << 20;
/// The part of the budget that a frame may move.
const MOVES_DIVISOR: u64 = 256;

fn frames() -> u64 {
    std::env::var("ENGINE_VITALS_SOAK_FRAMES").map_or(TENTH, |frames| frames.parse().unwrap())
}

fn seed() -> u64 {
    std::env::var("ENGINE_VITALS_SEED").map_or(1, |seed| seed.parse().unwrap())
}

/// Whether the long campaign runs, rather than an ordinary test.
fn is_soak() -> bool {
    frames() > TENTH
}

fn hour(kind: Kind, occupancy: Occupancy, frames: u64) -> Quality {
    let config = LayoutConfig { budget_bytes: Some(BUDGET), ..LayoutConfig::default() };
    let most_moves = MemoryPoolConfig::default().defrag_moves;
    let mut blocks = OnLayout::new(config, Some((BUDGET / MOVES_DIVISOR, most_moves)));
    let mut hour = Hour::new(Trace::new(kind, seed(), BUDGET, occupancy));
    for _ in 0..frames {
        hour.frame(&mut blocks);
    }
    hour.quality()
}

fn keeps_its_promises(kind: Kind) {
    // From 30 % to 90 % and back; the campaign has each of them by itself too.
    let all = [
        Occupancy::Sweep,
        Occupancy::Steady(0.3),
        Occupancy::Steady(0.5),
        Occupancy::Steady(0.7),
        Occupancy::Steady(0.9),
    ];
    for occupancy in all.into_iter().take(if is_soak() { all.len() } else { 1 }) {
        let quality = hour(kind, occupancy, frames());
        let (loss, reserved) = (quality.mean_loss(), quality.mean_reserved());
        println!("{}, {occupancy:?}: loss {loss:.4}, {reserved:.3} of the peak reserved; {quality:?}", kind.name());
        // What is written in each frame is never at rest: particles do not move.
        let moved = quality.moved_bytes > 0 || kind == Kind::Particles;
        assert!(quality.allocations > frames() / 2 && moved, "nothing happened: {kind:?}, {quality:?}");
        judge(kind, occupancy, &quality);
    }
}

/// What is promised of a pool of [`BUDGET`] bytes.
fn judge(kind: Kind, occupancy: Occupancy, quality: &Quality) {
    let case = (kind.name(), occupancy, quality);
    let share = |bytes: u64| bytes as f64 / BUDGET as f64;
    let [least, most] = quality.demand.map(share);
    let [lowest, highest] = match occupancy {
        Occupancy::Steady(share) => [share; 2],
        Occupancy::Sweep => [0.3, 0.9],
    };
    // Streaming keeps a sixteenth of what it may ask for free, for what comes next.
    assert!(most > highest * 0.9 && most <= highest, "it was not asked for so much: {case:?}");
    assert!(occupancy != Occupancy::Sweep || least <= lowest, "it was not asked for so little: {case:?}");
    assert_eq!(quality.failures, 0, "allocations failed that fit the budget: {case:?}");
    assert!(quality.worst_loss < 0.05, "{case:?}");
    assert!(quality.worst_reserved <= 1.25, "{case:?}");
    assert!(quality.most_moved_bytes <= BUDGET / MOVES_DIVISOR, "{case:?}");
}

#[test]
fn level_streaming() {
    keeps_its_promises(Kind::Streaming);
}

#[test]
fn ui_atlas() {
    keeps_its_promises(Kind::Atlas);
}

#[test]
fn particles() {
    keeps_its_promises(Kind::Particles);
}

#[test]
fn adversarial() {
    keeps_its_promises(Kind::Adversarial);
}

/// Without moves the adversary wins: what the others show is that defragmentation works.
#[test]
fn without_moves_the_adversary_wins() {
    let config = LayoutConfig { budget_bytes: Some(BUDGET), ..LayoutConfig::default() };
    let mut blocks = OnLayout::new(config, None);
    let mut hour = Hour::new(Trace::new(Kind::Adversarial, seed(), BUDGET, Occupancy::Steady(0.9)));
    for _ in 0..2 * FRAMES_A_MINUTE {
        hour.frame(&mut blocks);
    }
    assert!(hour.quality().failures > 100, "{:?}", hour.quality());
}

/// The same traces on a device: a tenth of an hour in all; in the campaign an hour each, judged as above.
#[test]
fn contents_are_what_was_written() {
    let Some((device, queue)) = support::device("contents_are_what_was_written") else { return };
    let kinds = Kind::value_variants();
    let (frames, budget, occupancy) = if is_soak() {
        (frames(), BUDGET, Occupancy::Sweep)
    } else {
        (frames() / kinds.len() as u64, SMALL_BUDGET, Occupancy::Steady(0.9))
    };
    for &kind in kinds {
        let layout = LayoutConfig { budget_bytes: Some(budget), ..LayoutConfig::default() };
        let config = MemoryPoolConfig { layout, defrag_bytes: budget / MOVES_DIVISOR, ..MemoryPoolConfig::default() };
        let pool = MemoryPool::with_config(&device, &queue, Probe::OFF, config);
        let mut pooled = Pooled::new(&device, &queue, pool.clone(), kind.name());
        let mut hour = Hour::new(Trace::new(kind, seed(), budget, occupancy));
        let mut compared = 0;
        for frame in 1..=frames {
            hour.frame(&mut pooled);
            if frame % FRAMES_A_MINUTE == 0 || frame == frames {
                let found = pooled.compare().unwrap();
                assert_eq!(found.wrong, 0, "{}, frame {frame}: {found:?}", kind.name());
                compared += found.blocks;
            }
        }
        let (quality, moved) = (hour.quality(), pool.stats().defrag);
        println!("{}: {compared} blocks compared, {moved:?}, {quality:?}", kind.name());
        // What is written in each frame is never at rest: particles do not move.
        assert!(compared > 0 && (moved.moved > 0 || kind == Kind::Particles), "{}: {moved:?}", kind.name());
        assert!(quality.most_moved_bytes <= budget / MOVES_DIVISOR, "{}: {quality:?}", kind.name());
        if budget == BUDGET {
            judge(kind, occupancy, &quality);
        } else {
            assert!(quality.failures <= quality.allocations / 1_000, "{kind:?}: {quality:?} {:?}", pooled.failure);
        }
    }
}
