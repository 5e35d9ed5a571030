//! What is known of the watched engine: the last figures, their age, the error if there is one, the last minutes. Pure: the time is an
//! argument.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::fetch::FetchError;
use super::rates::Rates;
use super::sample::{Figure, Sample};

/// As many scrapes are kept for the sparklines.
const HISTORY: usize = 400;

/// An engine as it is watched.
#[derive(Debug)]
pub(crate) struct Watched {
    url: String,
    interval: Duration,
    last: Option<(Sample, Instant)>,
    rates: Option<Rates>,
    error: Option<FetchError>,
    frame_times: VecDeque<Figure>,
    heap: VecDeque<Figure>,
    paused: bool,
}

/// How the figures stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status<'a> {
    /// No scrape has ended yet.
    Waiting,
    Live,
    /// The last scrape failed; there was a good one this long ago, or none.
    Failing(&'a FetchError, Option<Duration>),
}

impl Watched {
    pub(crate) fn new(url: String, interval: Duration) -> Self {
        Self {
            url,
            interval,
            last: None,
            rates: None,
            error: None,
            frame_times: VecDeque::with_capacity(HISTORY),
            heap: VecDeque::with_capacity(HISTORY),
            paused: false,
        }
    }

    /// Takes the outcome of a scrape that ended at `now`. A failed one leaves the figures as they are: [`status`](Self::status) tells
    /// their age.
    pub(crate) fn take(&mut self, outcome: Result<Sample, FetchError>, now: Instant) {
        let (frame_time, heap) = match outcome {
            Ok(sample) => {
                let before = self.last.as_ref().map(|(before, at)| (before, now.duration_since(*at).as_secs_f64()));
                let rates = Rates::between(before, &sample);
                let newest = (rates.frame.and_then(|frame| frame.mean), rates.heap.live_bytes);
                self.rates = Some(rates);
                self.last = Some((sample, now));
                self.error = None;
                newest
            }
            Err(error) => {
                self.error = Some(error);
                (None, None)
            }
        };
        for (history, figure) in [(&mut self.frame_times, frame_time), (&mut self.heap, heap)] {
            if history.len() == HISTORY {
                history.pop_front();
            }
            history.push_back(figure);
        }
    }

    pub(crate) fn toggle_pause(&mut self) {
        self.paused = !self.paused;
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// The newest figures there are; none before the first good scrape.
    pub(crate) fn rates(&self) -> Option<&Rates> {
        self.rates.as_ref()
    }

    /// Why the last scrape failed, if it did.
    pub(crate) fn error(&self) -> Option<&FetchError> {
        self.error.as_ref()
    }

    pub(crate) fn status(&self, now: Instant) -> Status<'_> {
        match (&self.error, &self.last) {
            (Some(error), last) => {
                Status::Failing(error, last.as_ref().map(|(_, at)| now.saturating_duration_since(*at)))
            }
            (None, Some(_)) => Status::Live,
            (None, None) => Status::Waiting,
        }
    }

    /// Mean frame times in seconds, one per scrape, newest last.
    pub(crate) fn frame_times(&self) -> &VecDeque<Figure> {
        &self.frame_times
    }

    /// Live heap bytes, one per scrape, newest last.
    pub(crate) fn heap(&self) -> &VecDeque<Figure> {
        &self.heap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heap(bytes: u32) -> Result<Sample, FetchError> {
        Ok(Sample::read(&format!("vitals_heap_bytes {bytes}\nvitals_heap_allocations_total {bytes}")).unwrap())
    }

    #[test]
    fn a_failure_leaves_the_figures_and_tells_their_age() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut watched = Watched::new("url".to_owned(), Duration::from_secs(1));
        assert_eq!(watched.status(start), Status::Waiting);
        let refused = FetchError::NoAnswer("refused".to_owned());
        watched.take(Err(refused.clone()), start);
        assert_eq!(watched.status(after(1)), Status::Failing(&refused, None));
        assert!(watched.rates().is_none());

        watched.take(heap(10), after(1));
        watched.take(heap(30), after(3));
        assert_eq!(watched.status(after(3)), Status::Live);
        assert_eq!(watched.rates().unwrap().heap.allocations_per_second, Some(10.0));

        watched.take(Err(refused.clone()), after(5));
        assert_eq!(watched.status(after(8)), Status::Failing(&refused, Some(Duration::from_secs(5))));
        assert_eq!(watched.rates().unwrap().heap.live_bytes, Some(30.0));
        assert_eq!(watched.heap(), &[None, Some(10.0), Some(30.0), None]);

        watched.take(heap(70), after(7));
        assert_eq!(watched.rates().unwrap().heap.allocations_per_second, Some(10.0), "over the whole gap");
    }

    #[test]
    fn the_history_is_bounded() {
        let mut watched = Watched::new("url".to_owned(), Duration::from_secs(1));
        for bytes in 0..=HISTORY {
            watched.take(heap(bytes as u32), Instant::now());
        }
        assert_eq!((watched.heap().len(), watched.heap()[0]), (HISTORY, Some(1.0)));
    }
}
