//! When the next frame is due.

use std::time::{Duration, Instant};

/// Holds a frame rate without drifting; a late frame does not make the ones after it hurry.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Option<Duration>,
    due: Instant,
}

impl Pace {
    /// A pace of `fps` frames per second; 0 holds nothing back.
    pub(crate) fn new(fps: f64) -> Self {
        let interval = (fps > 0.0).then(|| Duration::from_secs_f64(1.0 / fps));
        Self { interval, due: Instant::now() }
    }

    /// When the next frame is due.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Notes that a frame starts at `now`.
    pub(crate) fn started(&mut self, now: Instant) {
        if let Some(interval) = self.interval {
            self.due = (self.due + interval).max(now);
        }
    }
}

/// Reads frames per second.
///
/// # Errors
/// Says what was expected.
pub(crate) fn parse_fps(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(fps) if (0.0..=10_000.0).contains(&fps) && (fps == 0.0 || fps >= 0.01) => Ok(fps),
        Ok(_) | Err(_) => Err("expected 0 (as fast as possible) or frames per second from 0.01 to 10000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_frame_is_not_made_up_for() {
        let mut pace = Pace::new(10.0);
        let start = pace.due();
        pace.started(start);
        assert_eq!(pace.due(), start + Duration::from_millis(100));
        let late = start + Duration::from_secs(5);
        pace.started(late);
        assert_eq!(pace.due(), late);
        pace.started(late);
        assert_eq!(pace.due(), late + Duration::from_millis(100));
    }

    #[test]
    fn without_a_rate_every_frame_is_due() {
        let mut pace = Pace::new(0.0);
        let start = pace.due();
        pace.started(start + Duration::from_secs(1));
        assert_eq!(pace.due(), start);
    }

    #[test]
    fn rates_that_are_not_finite_or_negative_are_refused() {
        assert_eq!(parse_fps("0"), Ok(0.0));
        assert_eq!(parse_fps("59.94"), Ok(59.94));
        for wrong in ["-1", "NaN", "inf", "1e9", "0.0001", "fast"] {
            assert!(parse_fps(wrong).is_err(), "{wrong:?} was accepted");
        }
    }
}
