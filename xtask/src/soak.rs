//! `cargo xtask soak [NAME]`: the long campaigns. Without a name it lists them.
//!
//! A campaign repeats a test in release until its time is up. One round of it is what `cargo xtask test` runs: each in its step `tests`, as
//! any other test, and those of the core in its step `soaks` in release too. Each round gets another `ENGINE_VITALS_SEED`; the round
//! that fails prints it, so that it can be run again.

use crate::shell::Shell;
use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The campaign; without one they are listed
    name: Option<String>,
    /// All of them, one after the other
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// How long each campaign lasts; a round that has begun is finished
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// The seed of the first round
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

struct Campaign {
    name: &'static str,
    about: &'static str,
    /// What follows `cargo test --release`.
    test: &'static [&'static str],
    /// Beside a processor.
    needs: Option<&'static str>,
    /// A variable that makes a round longer than in `cargo xtask test`, unless it is set.
    longer: Option<(&'static str, &'static str)>,
}

const CAMPAIGNS: &[Campaign] = &[
    Campaign {
        name: "heap",
        about: "a billion heap operations on 64 threads that come and go, counted to the byte",
        test: &["--package", "engine-vitals-core", "--test", "heap_oracle", "--test", "heap_oracle_mimalloc"],
        needs: None,
        longer: Some(("ENGINE_VITALS_SOAK_OPS", "1000000000")),
    },
    Campaign {
        name: "heap-switches",
        about: "the same with tags, sizes and sampled call sites, a hundred million operations",
        test: &[
            "--package",
            "engine-vitals-core",
            "--features",
            "call-sites",
            "--test",
            "heap_oracle_switches",
            "--test",
            "heap_oracle_switches_mimalloc",
        ],
        needs: None,
        longer: Some(("ENGINE_VITALS_SOAK_OPS", "100000000")),
    },
    Campaign {
        name: "book",
        about: "the book under threads, and against a naive model",
        test: &["--package", "engine-vitals-core", "--test", "book_threads", "--test", "book_model"],
        needs: None,
        longer: None,
    },
    Campaign {
        name: "events",
        about: "a billion events from 8 producers while readers follow",
        test: &["--package", "engine-vitals-core", "--test", "book_stress", "--", "--nocapture"],
        needs: None,
        longer: Some(("ENGINE_VITALS_SOAK_EVENTS", "1000000000")),
    },
    Campaign {
        name: "scrape",
        about: "scrapes beside half-open connections, trickling bytes, and scrapes at the same time",
        test: &["--package", "engine-vitals-prometheus", "--test", "it", "flood"],
        needs: None,
        longer: None,
    },
    Campaign {
        name: "devices",
        about: "1,000 devices destroyed with frames in flight and made anew: lost once each, flat memory",
        test: &["--package", "engine-vitals", "--test", "device_cycles", "--", "--nocapture"],
        needs: Some("a GPU, or Mesa's lavapipe"),
        longer: Some(("ENGINE_VITALS_SOAK_DEVICES", "1000")),
    },
    Campaign {
        name: "faults",
        about: "a renderer under 200 random plans of faults (ENGINE_VITALS_SOAK_SCENES: another number): no panic, no hang, books at zero",
        test: &["--package", "engine-vitals", "--features", "fault", "--test", "fault", "whatever_a_seed_brings"],
        needs: Some("a GPU, or Mesa's lavapipe"),
        longer: None,
    },
    Campaign {
        name: "pool",
        about: "hours of churn on memory pools: loss, reserved bytes and failures judged in each frame, contents compared each minute",
        test: &["--package", "engine-vitals", "--features", "memory-pools", "--test", "pool_hour", "--", "--nocapture"],
        needs: Some("a GPU, or Mesa's lavapipe"),
        longer: Some(("ENGINE_VITALS_SOAK_FRAMES", "216000")),
    },
    Campaign {
        name: "pool-model",
        about: "a memory pool's layout against a naive model, 10,000 seeds of 10,000 operations: no overlap, nothing lost, books at zero",
        test: &[
            "--package",
            "engine-vitals",
            "--features",
            "memory-pools",
            "--test",
            "pool_model",
            "--",
            "--nocapture",
        ],
        needs: None,
        longer: Some(("ENGINE_VITALS_SOAK_POOL", "10000x10000")),
    },
    Campaign {
        name: "staging",
        about: "100,000 frames through staging rings: each byte compared, with 1, 2 and 3 buffers; no growth",
        test: &[
            "--package",
            "engine-vitals",
            "--features",
            "staging-rings",
            "--test",
            "staging",
            "--test",
            "staging_growth",
            "frames",
            "--",
            "--nocapture",
        ],
        needs: Some("a GPU, or Mesa's lavapipe"),
        longer: Some(("ENGINE_VITALS_SOAK_FRAMES", "100000")),
    },
];

pub(crate) fn run(shell: &Shell, options: &Options) -> Result<()> {
    let wanted = |campaign: &&Campaign| options.all || options.name.as_deref() == Some(campaign.name);
    let campaigns: Vec<_> = CAMPAIGNS.iter().filter(wanted).collect();
    if let (Some(name), true) = (&options.name, campaigns.is_empty()) {
        bail!("no campaign is called `{name}`; `cargo xtask soak` lists them");
    }
    if campaigns.is_empty() {
        print!("{}", list());
        return Ok(());
    }
    campaigns
        .into_iter()
        .try_for_each(|one| repeat(shell, one, Duration::from_secs(options.seconds), options.seed, one.longer))
}

/// Each campaign, with what its rounds take.
fn list() -> String {
    let mut text = String::new();
    for Campaign { name, about, test, needs, longer } in CAMPAIGNS {
        let round =
            longer.map_or_else(String::new, |(variable, value)| format!("{variable}={value} (unless it is set) "));
        text += &format!("{name}: {about}\n    a round: {round}cargo test --release {}\n", test.join(" "));
        text += &needs.map_or_else(String::new, |needs| format!("    needs {needs}\n"));
    }
    text + "\ncargo xtask soak NAME repeats one until --seconds (600) are over, --all all of them in turn.\n"
}

/// One round of each campaign of the core, whose code must be right in whatever order the optimiser puts it. To build all the others in
/// release takes longer than all tests.
pub(crate) fn short(shell: &Shell) -> Result<()> {
    let metadata = MetadataCommand::new().current_dir(shell.root()).no_deps().exec().context("cargo metadata")?;
    CAMPAIGNS.iter().try_for_each(|campaign| campaign.is_of_tests(&metadata))?;
    let mut of_core = CAMPAIGNS.iter().filter(|campaign| campaign.test.starts_with(OF_CORE));
    of_core.try_for_each(|campaign| repeat(shell, campaign, Duration::ZERO, 1, None))
}

/// How the test of a campaign begins that needs the core alone, and none of its features.
const OF_CORE: &[&str] = &["--package", "engine-vitals-core", "--test"];

impl Campaign {
    /// Its tests are among those that the step `tests` runs.
    fn is_of_tests(&self, metadata: &Metadata) -> Result<()> {
        let after = |option| self.test.windows(2).filter(move |pair| pair[0] == option).map(|pair| pair[1]);
        let package = metadata.packages.iter().find(|package| after("--package").any(|name| *package.name == *name));
        for test in after("--test") {
            let found =
                package.is_some_and(|package| package.targets.iter().any(|one| one.is_test() && one.name == test));
            if !found {
                bail!("the campaign `{}` names the test `{test}`, which is not there", self.name);
            }
        }
        Ok(())
    }
}

fn repeat(
    shell: &Shell,
    campaign: &Campaign,
    length: Duration,
    first_seed: u64,
    longer: Option<(&str, &str)>,
) -> Result<()> {
    println!("--- {}: {}", campaign.name, campaign.about);
    shell.cargo(["test", "--release", "--no-run"]).args(campaign.test).watch()?;
    let start = Instant::now();
    let mut rounds = 0;
    while rounds == 0 || start.elapsed() < length {
        let seed = (first_seed + rounds).to_string();
        let mut round = shell.cargo(["test", "--release"]).args(campaign.test).env("ENGINE_VITALS_SEED", &seed);
        if let Some((variable, value)) = longer.filter(|(variable, _)| std::env::var_os(variable).is_none()) {
            round = round.env(variable, value);
        }
        let round = round.watch();
        round.with_context(|| format!("{}: the round with seed {seed} failed", campaign.name))?;
        rounds += 1;
    }
    println!("--- {}: {rounds} rounds in {:.0} s, none failed", campaign.name, start.elapsed().as_secs_f64());
    Ok(())
}
