//! When something that could not be made is tried again. Plain data.

use std::sync::atomic::{AtomicU32, Ordering};

/// Holds back attempts after one that has failed: what fails for want of memory may work later, and what never works costs little.
#[derive(Debug, Default)]
pub(crate) struct Retry(AtomicU32);

impl Retry {
    /// Times that are held back.
    const WAIT: u32 = 1_024;

    /// Makes it, unless an attempt has failed a short while ago.
    pub(crate) fn attempt<T>(&self, make: impl FnOnce() -> Option<T>) -> Option<T> {
        if self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return None;
        }
        let made = make();
        if made.is_none() {
            self.0.store(Self::WAIT, Ordering::Relaxed);
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_failed_is_tried_again_after_a_while() {
        let retry = Retry::default();
        assert_eq!(retry.attempt(|| Some(1)), Some(1));
        for _ in 0..3 {
            assert_eq!(retry.attempt(|| None::<u8>), None);
            for _ in 0..Retry::WAIT {
                assert_eq!(retry.attempt(|| -> Option<u8> { panic!("too early") }), None);
            }
        }
        assert_eq!(retry.attempt(|| Some(2)), Some(2));
        assert_eq!(retry.attempt(|| Some(3)), Some(3), "nothing is held back any more");
    }
}
