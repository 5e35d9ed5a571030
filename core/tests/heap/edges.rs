//! The edges of a process and of its threads, on Linux: before `main` and after it, and threads that the standard library did not start.

use std::any::Any;
use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{null, null_mut};
use std::sync::Mutex;

use super::blocks::Block;
use super::random::Random;
use super::shadow::Compared;
use super::soak::{self, is_soaking};
use super::wills;

/// What was made before `main` and lies there until after the last exit handler.
static KEPT: Mutex<Vec<Block>> = Mutex::new(Vec::new());
static COMPARED_BEFORE_MAIN: Mutex<Option<Compared>> = Mutex::new(None);

// SAFETY: the loader calls each function in this section once before `main`, with arguments that one without parameters ignores. By then
// the C library and this program's thread-locals are ready, and it needs nothing that the standard library sets up in `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

// SAFETY: the C library calls each function in this section once, after the handlers of `atexit`, when it is still ready itself.
#[used]
#[unsafe(link_section = ".fini_array")]
static AFTER_EXIT: extern "C" fn() = after_exit;

extern "C" fn before_main() {
    // Before the first allocation, so that it is destroyed after everything that is used later.
    wills::FIRST.with(|_| {});
    allocate_and_free();
    *COMPARED_BEFORE_MAIN.lock().expect("no panic") = Some(Compared::now());
}

/// The figures of before `main`.
pub(super) fn compared_before_main() -> Compared {
    COMPARED_BEFORE_MAIN.lock().expect("no panic").expect("the loader has called `before_main`")
}

/// Has `exit` allocate, free and compare, after the main thread's thread-locals are gone.
pub(super) fn register_exit_handler() {
    // SAFETY: the handler is a function of this program and needs nothing that may be gone by then.
    assert_eq!(unsafe { atexit(at_exit) }, 0, "atexit");
}

extern "C" fn at_exit() {
    allocate_and_free();
    soak::report("at-exit", &Compared::now());
}

extern "C" fn after_exit() {
    if !is_soaking() {
        return;
    }
    allocate_and_free();
    KEPT.lock().expect("no panic").clear();
    soak::report("after-exit", &Compared::now());
}

fn allocate_and_free() {
    let mut kept = KEPT.lock().expect("no panic");
    let mut random = Random::new(kept.len() as u64);
    for _ in 0..100 {
        kept.push(Block::new(&mut random));
        let index = random.below(kept.len() as u64) as usize;
        if random.once_in(2) {
            kept.swap_remove(index);
        } else {
            kept[index].resize(&mut random);
        }
    }
}

/// A thread made by the system's own call, as a driver or an audio library makes them. Its first thread-local is used before its first
/// allocation, and its last allocation is made when all of Rust's thread-locals are gone.
pub(super) struct Foreign {
    handle: c_ulong,
}

type Life = Box<dyn FnOnce() + Send>;

impl Foreign {
    pub(super) fn start(life: impl FnOnce() + Send + 'static) -> Self {
        extern "C" fn body(life: *mut c_void) -> *mut c_void {
            wills::FIRST.with(|_| {});
            // SAFETY: `start` made it by `Box::into_raw`, of this type, for this thread alone.
            let life = unsafe { Box::from_raw(life.cast::<Life>()) };
            let result = catch_unwind(AssertUnwindSafe(life));
            at_the_very_end(Some(Block::new(&mut Random::new(1))));
            result.map_or_else(|panic| Box::into_raw(Box::new(panic)).cast(), |()| null_mut())
        }
        Self::of(body, Box::into_raw(Box::new(Box::new(life) as Life)).cast())
    }

    /// A thread that allocates for the first time when all of Rust's thread-locals are gone.
    pub(super) fn that_allocates_at_its_very_end() -> Self {
        extern "C" fn body(_: *mut c_void) -> *mut c_void {
            at_the_very_end(None);
            null_mut()
        }
        Self::of(body, null_mut())
    }

    pub(super) fn join(self) -> Result<(), Box<dyn Any + Send>> {
        let mut panic = null_mut();
        // SAFETY: the thread was started by `of` and is joined once, since this takes `self`.
        assert_eq!(unsafe { pthread_join(self.handle, &raw mut panic) }, 0, "pthread_join");
        if panic.is_null() {
            return Ok(());
        }
        // SAFETY: `body` made it by `Box::into_raw`, of this type, and it is taken once.
        Err(*unsafe { Box::from_raw(panic.cast::<Box<dyn Any + Send>>()) })
    }

    fn of(body: extern "C" fn(*mut c_void) -> *mut c_void, life: *mut c_void) -> Self {
        let mut handle = 0;
        // SAFETY: `body` takes what `life` is, and the attributes may be absent.
        let error = unsafe { pthread_create(&raw mut handle, null(), body, life) };
        assert_eq!(error, 0, "pthread_create");
        Self { handle }
    }
}

/// Has the system call `very_end` for this thread, after Rust's thread-locals were destroyed, with this block or without one.
fn at_the_very_end(block: Option<Block>) {
    static KEY: std::sync::OnceLock<c_uint> = std::sync::OnceLock::new();
    let key = *KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: `very_end` takes what is set below.
        assert_eq!(unsafe { pthread_key_create(&raw mut key, very_end) }, 0, "pthread_key_create");
        key
    });
    let value = block.map_or(NO_BLOCK, |block| Box::into_raw(Box::new(block)).cast());
    // SAFETY: the key is one that `pthread_key_create` gave.
    assert_eq!(unsafe { pthread_setspecific(key, value) }, 0, "pthread_setspecific");
}

/// Not null, so that the destructor runs, and no block's address.
const NO_BLOCK: *const c_void = std::ptr::without_provenance(1);

extern "C" fn very_end(block: *mut c_void) {
    let mut random = Random::new(2);
    let mut another = Block::new(&mut random);
    another.resize(&mut random);
    if !std::ptr::eq(block, NO_BLOCK) {
        // SAFETY: `at_the_very_end` made it by `Box::into_raw`, of this type, and the destructor runs once for it.
        drop(unsafe { Box::from_raw(block.cast::<Block>()) });
    }
}

// SAFETY: as POSIX declares them, with the types of Linux.
unsafe extern "C" {
    fn atexit(handler: extern "C" fn()) -> c_int;
    fn pthread_create(
        thread: *mut c_ulong,
        attributes: *const c_void,
        body: extern "C" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> c_int;
    fn pthread_join(thread: c_ulong, result: *mut *mut c_void) -> c_int;
    fn pthread_key_create(key: *mut c_uint, destructor: extern "C" fn(*mut c_void)) -> c_int;
    fn pthread_setspecific(key: c_uint, value: *const c_void) -> c_int;
}
