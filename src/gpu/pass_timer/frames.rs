//! Which frames have passes in flight, and from when to when their passes ran. Plain data.

use std::time::Duration;

use smallvec::SmallVec;

use crate::gpu::ticks::Period;

/// From the first begin to the last end of a frame's passes on one device, by that device's clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    /// Tells devices apart, whose clocks cannot be compared.
    pub(super) device: u64,
    pub(super) period: Period,
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Span {
    fn time(&self) -> Option<Duration> {
        self.period.between(self.first, self.last)
    }
}

/// A frame that is over and has nothing in flight.
#[derive(Debug, PartialEq)]
pub(super) struct Finished {
    pub(super) number: u64,
    /// For each device that ran timed passes.
    pub(super) spans: SmallVec<[Duration; 1]>,
}

/// The frames with passes in flight, and those that are not over.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// In ascending order.
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    number: u64,
    /// Submissions.
    in_flight: u32,
    spans: SmallVec<[Span; 1]>,
}

impl Frames {
    /// A submission with timed passes is made in that frame.
    pub(super) fn submitted(&mut self, number: u64) {
        match self.open.binary_search_by_key(&number, |frame| frame.number) {
            Ok(at) => self.open[at].in_flight += 1,
            Err(at) => self.open.insert(at, Open { number, in_flight: 1, spans: SmallVec::new() }),
        }
    }

    /// One of its submissions was read back, with passes that ran from when to when, or never will be.
    pub(super) fn ended(&mut self, number: u64, span: Option<Span>) {
        let Ok(at) = self.open.binary_search_by_key(&number, |frame| frame.number) else {
            debug_assert!(false, "frame {number} has nothing in flight");
            return;
        };
        let frame = &mut self.open[at];
        debug_assert!(frame.in_flight > 0, "frame {number} has nothing in flight");
        frame.in_flight = frame.in_flight.saturating_sub(1);
        let Some(span) = span else { return };
        match frame.spans.iter_mut().find(|known| known.device == span.device) {
            Some(known) => {
                known.first = known.first.min(span.first);
                known.last = known.last.max(span.last);
            }
            None => frame.spans.push(span),
        }
    }

    /// A frame that lies before the one under way and has nothing in flight: the oldest, once.
    pub(super) fn finished(&mut self, under_way: u64) -> Option<Finished> {
        let at = self.open.iter().position(|frame| frame.number < under_way && frame.in_flight == 0)?;
        let Open { number, spans, .. } = self.open.remove(at);
        Some(Finished { number, spans: spans.iter().filter_map(Span::time).collect() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn span(device: u64, first: u64, last: u64) -> Span {
        Span { device, period: Period::new(1.0).unwrap(), first, last }
    }

    #[test]
    fn a_frame_is_finished_when_it_is_over_and_nothing_of_it_is_in_flight() {
        let mut frames = Frames::default();
        frames.submitted(1);
        frames.submitted(1);
        frames.ended(1, Some(span(7, 100, 200)));
        assert_eq!(frames.finished(2), None, "one is in flight");
        frames.ended(1, Some(span(7, 50, 120)));
        assert_eq!(frames.finished(1), None, "it is under way");
        let finished = frames.finished(2).unwrap();
        assert_eq!((finished.number, &finished.spans[..]), (1, &[Duration::from_nanos(150)][..]));
        assert_eq!(frames.finished(2), None);
    }

    #[test]
    fn clocks_of_two_devices_are_not_mixed_and_a_failed_submission_has_no_span() {
        let mut frames = Frames::default();
        for _ in 0..3 {
            frames.submitted(4);
        }
        frames.ended(4, Some(span(1, 10, 20)));
        frames.ended(4, Some(span(2, 1_000, 1_005)));
        frames.ended(4, None);
        assert_eq!(&frames.finished(5).unwrap().spans[..], [10, 5].map(Duration::from_nanos));
    }

    proptest! {
        #[test]
        fn every_frame_with_submissions_is_finished_once(
            steps in prop::collection::vec((0_u8..4, any::<prop::sample::Index>(), 0_u64..100, 1_u64..100), 0..200),
        ) {
            let mut frames = Frames::default();
            let (mut under_way, mut in_flight) = (1, Vec::<u64>::new());
            // The naive model: what each frame's submissions have told.
            let mut told: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
            let mut submitted: BTreeMap<u64, u32> = BTreeMap::new();
            let mut finished = Vec::new();
            let mut end = |frames: &mut Frames, number, first, length: u64| {
                // Every third fails.
                let span = (!length.is_multiple_of(3)).then(|| span(1, first, first + length));
                if span.is_some() {
                    told.entry(number).or_default().push((first, first + length));
                }
                frames.ended(number, span);
            };
            for (step, which, first, length) in steps {
                match step {
                    0 | 1 => {
                        frames.submitted(under_way);
                        in_flight.push(under_way);
                        *submitted.entry(under_way).or_default() += 1;
                    }
                    2 if !in_flight.is_empty() => {
                        let number = in_flight.swap_remove(which.index(in_flight.len()));
                        end(&mut frames, number, first, length);
                    }
                    _ => under_way += 1,
                }
                while let Some(frame) = frames.finished(under_way) {
                    prop_assert!(frame.number < under_way && !in_flight.contains(&frame.number));
                    finished.push(frame);
                }
            }
            for number in std::mem::take(&mut in_flight) {
                end(&mut frames, number, 3, 5);
            }
            finished.extend(std::iter::from_fn(|| frames.finished(u64::MAX)));
            let numbers: Vec<u64> = finished.iter().map(|frame| frame.number).collect();
            let mut sorted = numbers;
            sorted.sort_unstable();
            prop_assert!(sorted.iter().eq(submitted.keys()));
            for frame in finished {
                let expected = told.get(&frame.number).map(|told| {
                    let first = told.iter().map(|(first, _)| *first).min().unwrap();
                    Duration::from_nanos(told.iter().map(|(_, last)| *last).max().unwrap() - first)
                });
                prop_assert_eq!(frame.spans.first().copied(), expected);
            }
        }
    }
}
