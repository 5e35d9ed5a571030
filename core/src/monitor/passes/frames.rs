//! The passes of the last frames. Plain data.

use std::collections::VecDeque;
use std::time::Duration;

/// How much is known of a frame's passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FramePasses {
    /// All that were timed.
    Complete,
    /// Some were read back, and others may be in flight.
    Partial,
    /// None was read back, or the frame is no longer kept.
    None,
}

/// The last frames that had passes, in ascending order.
#[derive(Debug, Default)]
pub(super) struct Frames {
    frames: VecDeque<Frame>,
    /// Those up to this one were kept and are not any more.
    forgotten: u64,
}

#[derive(Debug, Default)]
struct Frame {
    number: u64,
    complete: bool,
    /// Each pass once, with the sum of its times.
    times: Vec<(usize, Duration)>,
}

impl Frames {
    /// So many are kept.
    pub(super) const KEPT: usize = 16;

    /// A pass of that frame took so long.
    pub(super) fn add(&mut self, number: u64, pass: usize, time: Duration) {
        let Some(frame) = self.frame(number) else { return };
        match frame.times.iter_mut().find(|(known, _)| *known == pass) {
            Some((_, sum)) => *sum = sum.saturating_add(time),
            None => frame.times.push((pass, time)),
        }
    }

    /// There will be no more of that frame.
    pub(super) fn complete(&mut self, number: u64) {
        if let Some(frame) = self.frame(number) {
            frame.complete = true;
        }
    }

    /// What is known of that frame.
    pub(super) fn read(&self, number: u64) -> (FramePasses, &[(usize, Duration)]) {
        match self.frames.binary_search_by_key(&number, |frame| frame.number) {
            Ok(at) if self.frames[at].complete => (FramePasses::Complete, &self.frames[at].times),
            Ok(at) => (FramePasses::Partial, &self.frames[at].times),
            Err(_) => (FramePasses::None, &[]),
        }
    }

    /// That frame, which is new or was added to before; `None` for one that is no longer kept.
    fn frame(&mut self, number: u64) -> Option<&mut Frame> {
        let at = match self.frames.binary_search_by_key(&number, |frame| frame.number) {
            Ok(at) => at,
            Err(_) if number <= self.forgotten => return None,
            Err(at) => {
                let mut frame = Frame::default();
                let mut at = at;
                if self.frames.len() == Self::KEPT {
                    if at == 0 {
                        return None;
                    }
                    if let Some(oldest) = self.frames.pop_front() {
                        self.forgotten = oldest.number;
                        // Its memory serves the new one.
                        frame = oldest;
                    }
                    at -= 1;
                }
                frame.number = number;
                frame.complete = false;
                frame.times.clear();
                self.frames.insert(at, frame);
                at
            }
        };
        self.frames.get_mut(at)
    }
}
