//! Buffers for writes that are larger than a buffer of the ring.

use super::refused::stalled;
use super::state::State;
use super::{COPY_ALIGNMENT, DEDICATED, Landing, Plan, PlanConfig, Refused, Reserved};

/// The size of a dedicated buffer is a multiple of this, so that writes of about one size find one another's.
pub(super) const DEDICATED_GRAIN: u64 = 64 << 10;

/// A buffer for a write that is larger than a buffer of the ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dedicated {
    pub(super) state: State,
    pub(super) bytes: u64,
    pub(super) idle_ticks: u64,
}

impl Plan {
    /// A dedicated buffer of so many bytes, which is ready. Give up those that [`idle_dedicated`](Self::idle_dedicated) names before.
    pub fn add_dedicated(&mut self, bytes: u64) -> u32 {
        let added = Some(Dedicated { state: State::Ready, bytes, idle_ticks: 0 });
        let index = match self.dedicated.iter().position(Option::is_none) {
            Some(index) => {
                self.dedicated[index] = added;
                index
            }
            None => {
                self.dedicated.push(added);
                self.dedicated.len() - 1
            }
        };
        DEDICATED | index as u32
    }

    /// A dedicated buffer that is not needed and whose bytes are: without it, `bytes` more come nearer to what is allowed. Its caller drops it.
    pub fn idle_dedicated(&mut self, bytes: u64) -> Option<u32> {
        let all: u64 = self.dedicated.iter().flatten().map(|one| one.bytes).sum();
        if all.saturating_add(bytes) <= self.config.most_dedicated_bytes {
            return None;
        }
        self.give_up_dedicated(|_| true)
    }

    /// A dedicated buffer that nobody has needed for long. Its caller drops it.
    pub fn quiet_dedicated(&mut self) -> Option<u32> {
        let most = self.config.quiet_ticks;
        self.give_up_dedicated(|one| one.idle_ticks >= most)
    }

    /// A dedicated buffer that cannot be used any more. Its caller drops it.
    pub fn broken_dedicated(&mut self) -> Option<u32> {
        let is_broken = |one: &Option<Dedicated>| {
            one.as_ref()
                .is_some_and(|one| matches!(one.state, State::Broken | State::Landed { landing: Landing::Failed, .. }))
        };
        let index = self.dedicated.iter().position(is_broken)?;
        self.dedicated[index] = None;
        Some(DEDICATED | index as u32)
    }

    /// The smallest dedicated buffer that is ready and holds it.
    pub(super) fn reserve_dedicated(&mut self, bytes: u64, phase: u64) -> Result<Reserved, Refused> {
        let PlanConfig { most_dedicated_bytes: all, largest_dedicated_bytes: most, .. } = self.config;
        let most = most & !(COPY_ALIGNMENT - 1);
        let needed = bytes.checked_add(phase).filter(|&needed| needed <= most);
        let needed = needed.ok_or(Refused::TooLarge { bytes, most })?;
        let rounded = needed.checked_next_multiple_of(DEDICATED_GRAIN).map_or(most, |rounded| rounded.min(most));
        let mut found: Option<(u64, u32)> = None;
        let mut kept = 0;
        for (one, index) in self.dedicated.iter().zip(0..) {
            let Some(one) = one else { continue };
            if one.state != State::Ready {
                kept += one.bytes;
            } else if one.bytes >= needed && found.is_none_or(|(bytes, _)| one.bytes < bytes) {
                found = Some((one.bytes, index));
            }
        }
        match found {
            Some((_, index)) => {
                if let Some(Some(one)) = self.dedicated.get_mut(index as usize) {
                    one.state = State::Filled { end: needed };
                    // One that is far too large is not needed: a smaller one would do.
                    if one.bytes / 2 < rounded {
                        one.idle_ticks = 0;
                    }
                }
                Ok(Reserved { buffer: DEDICATED | index, offset: phase, bytes })
            }
            None if rounded <= all.saturating_sub(kept) => Err(Refused::NeedsDedicated { bytes: rounded }),
            None => {
                let states = self.dedicated.iter().zip(DEDICATED..);
                let states = states.filter_map(|(one, number)| Some((&one.as_ref()?.state, number)));
                Err(stalled(states, false))
            }
        }
    }

    fn give_up_dedicated(&mut self, goes: impl Fn(&Dedicated) -> bool) -> Option<u32> {
        let idle = |one: &Option<Dedicated>| one.as_ref().is_some_and(|one| one.state == State::Ready && goes(one));
        let index = self.dedicated.iter().position(idle)?;
        self.dedicated[index] = None;
        Some(DEDICATED | index as u32)
    }
}
