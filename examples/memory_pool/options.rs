//! What the command line says.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;

use crate::traces::{FRAMES_A_SECOND, Kind, Occupancy};

/// Churns a memory pool as an engine does, moves its blocks together, and compares what lies in them each minute.
///
/// Exit codes: 0 done, 1 failed while running, 2 wrong options, 3 no GPU adapter.
#[derive(Debug, Parser)]
#[command(name = "memory_pool", version)]
pub(crate) struct Options {
    /// About how many blocks live at once, which sets the pool's budget.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) allocations: u32,

    /// How long it runs: 60s, 10m, 1h, …
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = runtime)]
    pub(crate) runtime: Duration,

    /// Who churns.
    #[arg(long, value_enum, default_value_t = Kind::Streaming)]
    pub(crate) trace: Kind,

    /// Percent of the budget that is asked for.
    #[arg(long, value_name = "PERCENT", default_value_t = 90, value_parser = clap::value_parser!(u8).range(10..=90))]
    occupancy: u8,

    /// From 30 to 90 percent and back in ten minutes instead.
    #[arg(long, conflicts_with = "occupancy")]
    sweep: bool,

    /// As many frames as in that time at 60 a second, but as fast as they go.
    #[arg(long)]
    pub(crate) fast: bool,

    /// Leaves the blocks where they are.
    #[arg(long)]
    pub(crate) no_defragmentation: bool,

    /// Where /metrics and the page are served. A taken port: the next free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9184")]
    pub(crate) listen: SocketAddr,
}

impl Options {
    pub(crate) fn frames(&self) -> u64 {
        (self.runtime.as_secs_f64() * FRAMES_A_SECOND as f64).round() as u64
    }

    pub(crate) fn occupancy(&self) -> Occupancy {
        if self.sweep { Occupancy::Sweep } else { Occupancy::Steady(f64::from(self.occupancy) / 100.0) }
    }

    /// Bytes for so many blocks, and for some of the largest.
    pub(crate) fn budget(&self) -> u64 {
        (u64::from(self.allocations) * mean_bytes(self.trace)).max(16 << 20)
    }
}

/// About what a block has in the mean.
fn mean_bytes(trace: Kind) -> u64 {
    match trace {
        Kind::Streaming => 80 << 10,
        Kind::Atlas => 24 << 10,
        Kind::Particles => 72 << 10,
        Kind::Adversarial => 4 << 10,
    }
}

fn runtime(text: &str) -> Result<Duration, String> {
    let runtime = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_millis(100)..=Duration::from_hours(24)).contains(&runtime) {
        Ok(runtime)
    } else {
        Err("the runtime must lie between 100ms and 24h".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }

    #[test]
    fn an_hour_has_its_frames() {
        let options = Options::try_parse_from(["memory_pool", "--allocations", "1000", "--runtime", "1h"]);
        assert_eq!(options.map(|options| options.frames()).ok(), Some(216_000));
        for wrong in ["0s", "25h", "soon"] {
            assert!(Options::try_parse_from(["memory_pool", "--runtime", wrong]).is_err(), "{wrong}");
        }
    }
}
