//! `engine-vitals watch`: the figures of a served engine, live in a terminal or as lines of text.
//!
//! ```text
//!  address ─▶ fetch ─▶ exposition ─▶ sample ─▶ rates ─▶ state ─┬▶ view, drawn by terminal
//!  URL        HTTP     series        totals    per second      └▶ summary: --once, lines
//! ```
//!
//! `fetch`, `terminal` and this file speak to the world; everything between is pure. It owns no metric: it shows those
//! that it knows by name and passes over the others.

mod address;
mod exposition;
mod fetch;
mod passes;
mod rates;
mod sample;
mod state;
mod stores;
mod summary;
mod terminal;
pub(crate) mod units;
mod view;

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::Args;

pub(crate) use self::fetch::FetchError;
use self::fetch::Fetcher;
use self::sample::Sample;
use self::state::Watched;
use crate::failure::{self, Failure};

/// Watch a served engine: frame times, memory, GPU resources, submissions and the health of its monitors.
///
/// On a terminal it draws until q, Esc or Ctrl-C; p pauses. Elsewhere it prints one line per interval. Rates and times are those between
/// two scrapes; ~p50 and ~p95 are estimated from buckets. A figure that the engine does not have is shown as `-`.
#[derive(Debug, Args)]
#[command(after_help = failure::EXIT_CODES)]
pub(crate) struct Options {
    /// Where the engine serves: http://HOST:PORT, without scheme and /metrics too
    #[arg(default_value = "http://127.0.0.1:9184")]
    url: String,
    /// Seconds between two scrapes, 0.1 to 3600
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    interval: Duration,
    /// Scrape twice, an interval apart, print a summary and exit
    #[arg(long)]
    once: bool,
    /// Bearer token, where the engine wants one. Other users of this machine can see arguments: prefer the variable
    #[arg(long, env = "ENGINE_VITALS_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// Watches until the user has seen enough.
///
/// # Errors
/// When an argument is not valid, with `--once` when the engine cannot be read, and when there is nowhere to show it.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    // Not read by clap, which repeats what it refuses.
    let address: address::Address = options.url.parse().map_err(Failure::Usage)?;
    let token = options.token.filter(|token| !token.is_empty());
    let token = token.map(|token| token.parse()).transpose();
    let token = token.map_err(|error| Failure::Usage(format!("--token or ENGINE_VITALS_TOKEN: {error}")))?;
    let watched = Watched::new(address.to_string(), options.interval);
    let fetcher = Fetcher::new(address, token);
    if options.once {
        once(&fetcher, watched)
    } else if io::stdout().is_terminal() {
        terminal::run(fetcher, watched)
    } else {
        lines(&fetcher, watched)
    }
}

/// One scrape, read.
fn scrape(fetcher: &Fetcher) -> Result<Sample, FetchError> {
    let text = fetcher.fetch()?;
    Sample::read(&text).map_err(|why| {
        FetchError::Unusable(format!(
            "{}: {why}\nCheck host and port: an engine prints its URL when it starts.",
            fetcher.address()
        ))
    })
}

fn once(fetcher: &Fetcher, mut watched: Watched) -> Result<(), Failure> {
    watched.take(Ok(scrape(fetcher).map_err(Failure::Fetch)?), Instant::now());
    std::thread::sleep(watched.interval());
    watched.take(Ok(scrape(fetcher).map_err(Failure::Fetch)?), Instant::now());
    io::stdout().lock().write_all(summary::page(&watched).as_bytes()).map_err(Failure::Output)
}

fn lines(fetcher: &Fetcher, mut watched: Watched) -> Result<(), Failure> {
    loop {
        let begun = Instant::now();
        watched.take(scrape(fetcher), Instant::now());
        if let Some(error) = watched.error() {
            failure::print(error);
        } else {
            writeln!(io::stdout().lock(), "{}", summary::line(&watched)).map_err(Failure::Output)?;
        }
        std::thread::sleep(watched.interval().saturating_sub(begun.elapsed()));
    }
}

fn interval(given: &str) -> Result<Duration, String> {
    given
        .parse::<f64>()
        .ok()
        .filter(|seconds| (0.1..=3600.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "give seconds, 0.1 to 3600".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_bounds() {
        assert_eq!(interval("0.1"), Ok(Duration::from_millis(100)));
        assert_eq!(interval("3600"), Ok(Duration::from_secs(3600)));
        for given in ["0.09", "3600.1", "-1", "NaN", "inf", "1s", ""] {
            assert!(interval(given).is_err(), "{given}");
        }
    }
}
