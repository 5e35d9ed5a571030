//! Tags: the subsystems that allocations are charged to.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::MOST_TAGS;

static NAMES: Mutex<[&'static str; MOST_TAGS]> = Mutex::new({
    let mut names = [""; MOST_TAGS];
    names[HeapTag::UNTAGGED.0 as usize] = "untagged";
    names[HeapTag::OWN.0 as usize] = "engine-vitals";
    names[HeapTag::OVERFLOW.0 as usize] = "other";
    names
});

/// How many names there are. Written under the lock of the names.
static NAMED: AtomicUsize = AtomicUsize::new(HeapTag::OVERFLOW.0 as usize + 1);

thread_local! {
    /// Without a destructor, so that it can be read as long as the thread runs.
    static CURRENT: Cell<u16> = const { Cell::new(HeapTag::UNTAGGED.0) };
}

/// A subsystem that allocations are charged to, by name. The token with which a scope is handed over to another thread.
///
/// Allocations are charged to the current tag of the thread where the allocator was made
/// [`with_tags`](super::TrackingAllocator::with_tags); otherwise tags cost a write to a thread-local where a scope begins and one where it
/// ends, and nothing is charged.
///
/// ```
/// use engine_vitals_core::memory::HeapTag;
///
/// let streaming = HeapTag::named("streaming");
/// let _scope = streaming.enter();
/// let token = HeapTag::current();
/// std::thread::spawn(move || {
///     let _scope = token.enter();
///     // What this thread allocates here is streaming's too.
/// });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeapTag(u16);

impl HeapTag {
    /// What no scope is entered for.
    pub const UNTAGGED: Self = Self(0);
    /// `engine-vitals`: what this library allocates for itself.
    pub const OWN: Self = Self(1);
    /// `other`: the tags of all names beyond [`MOST_TAGS`](super::MOST_TAGS).
    pub const OVERFLOW: Self = Self(2);

    /// The tag of this name, made at first. [`OVERFLOW`](Self::OVERFLOW) once there are as many as there may be.
    ///
    /// Takes a lock and compares names: keep the tag, or use [`heap_scope!`](crate::heap_scope), which does.
    #[must_use]
    pub fn named(name: &'static str) -> Self {
        let mut names = NAMES.lock();
        let named = NAMED.load(Ordering::Relaxed);
        let found = names.iter().take(named).position(|known| *known == name);
        let index = found.or_else(|| {
            *names.get_mut(named)? = name;
            NAMED.store(named + 1, Ordering::Release);
            Some(named)
        });
        index.and_then(|index| u16::try_from(index).ok()).map_or(Self::OVERFLOW, Self)
    }

    /// What this thread's allocations are charged to now.
    #[must_use]
    #[inline]
    pub fn current() -> Self {
        Self(current())
    }

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.lock().get(usize::from(self.0)).copied().unwrap_or_default()
    }

    /// Charges what this thread allocates to the tag, until the scope is dropped.
    #[inline]
    pub fn enter(self) -> HeapScope {
        let before = CURRENT.try_with(|current| current.replace(self.0)).unwrap_or(Self::UNTAGGED.0);
        HeapScope { before, thread: PhantomData }
    }
}

impl fmt::Debug for HeapTag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HeapTag({:?})", self.name())
    }
}

/// While it lives, its thread's allocations are charged to a [`HeapTag`]. Scopes nest; drop them in the reverse order of their making.
///
/// In asynchronous code a scope that is held across an `.await` charges to its tag what other tasks allocate on the thread meanwhile. An
/// executor of several threads refuses such a task, since a scope stays on its thread: enter one in each part between two `.await`s.
#[derive(Debug)]
#[must_use = "the scope ends when this is dropped"]
pub struct HeapScope {
    before: u16,
    /// It belongs to the thread that entered.
    thread: PhantomData<*const ()>,
}

impl Drop for HeapScope {
    #[inline]
    fn drop(&mut self) {
        // Without the thread-local nothing was entered.
        let _ = CURRENT.try_with(|current| current.set(self.before));
    }
}

/// The tag of one place in the source, found at its first use. For [`heap_scope!`](crate::heap_scope).
#[doc(hidden)]
#[derive(Debug)]
pub struct TagOfPlace {
    name: &'static str,
    /// 0 before the first use.
    tag: AtomicU16,
}

impl TagOfPlace {
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, tag: AtomicU16::new(0) }
    }

    #[inline]
    pub fn enter(&self) -> HeapScope {
        match self.tag.load(Ordering::Relaxed) {
            0 => self.find(),
            tag => HeapTag(tag),
        }
        .enter()
    }

    #[cold]
    fn find(&self) -> HeapTag {
        let tag = HeapTag::named(self.name);
        self.tag.store(tag.0, Ordering::Relaxed);
        tag
    }
}

/// The index of the current tag of this thread.
#[inline(always)]
pub(super) fn current() -> u16 {
    CURRENT.try_with(Cell::get).unwrap_or(HeapTag::UNTAGGED.0)
}

/// How many tags have names: the first so many.
pub(super) fn named() -> usize {
    NAMED.load(Ordering::Acquire)
}

/// Hands each name to `visit`, in the order of the tags.
pub(super) fn for_each_name(visit: impl FnMut(&'static str)) {
    // Counted first: of the names that come in between, none is visited, rather than one that is not there yet.
    let named = named();
    let names = *NAMES.lock();
    names.into_iter().take(named).for_each(visit);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one test that makes tags, so that none disturbs another.
    #[test]
    fn tags_have_names_nest_and_are_bounded() {
        assert_eq!(HeapTag::current(), HeapTag::UNTAGGED);
        let physics = HeapTag::named("physics");
        assert_eq!(HeapTag::named("physics"), physics);
        assert_eq!((physics.name(), HeapTag::OWN.name()), ("physics", "engine-vitals"));
        assert_eq!(HeapTag::named("engine-vitals"), HeapTag::OWN);
        {
            let _outer = physics.enter();
            crate::heap_scope!("audio");
            assert_eq!(HeapTag::current().name(), "audio");
            {
                let _inner = physics.enter();
                assert_eq!(HeapTag::current(), physics);
            }
            let token = HeapTag::current();
            let there = std::thread::spawn(move || {
                assert_eq!(HeapTag::current(), HeapTag::UNTAGGED);
                let _scope = token.enter();
                HeapTag::current().name()
            });
            assert_eq!(there.join().unwrap(), "audio");
        }
        assert_eq!(HeapTag::current(), HeapTag::UNTAGGED);

        let names: Vec<&'static str> =
            (0..2 * MOST_TAGS).map(|number| &*Box::leak(format!("tag {number}").into_boxed_str())).collect();
        let overflown = names.iter().filter(|name| HeapTag::named(name) == HeapTag::OVERFLOW).count();
        assert_eq!(named(), MOST_TAGS);
        assert!((MOST_TAGS..2 * MOST_TAGS).contains(&overflown), "{overflown}");
        assert_eq!(HeapTag::named("physics"), physics);
    }
}
