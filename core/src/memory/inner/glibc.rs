//! glibc's allocator.

use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use super::AllocatorMemory;

/// Its totals, over all arenas. Walks all free blocks.
///
/// `None` where glibc is older than 2.33, where the program is linked without the dynamic linker, and where another allocator has taken
/// `malloc`'s place (`LD_PRELOAD`): glibc's figures are then of blocks that hardly anybody uses.
pub(super) fn read() -> Option<AllocatorMemory> {
    static FOUND: OnceLock<Option<Mallinfo2>> = OnceLock::new();
    let mallinfo2 = (*FOUND.get_or_init(find))?;
    // SAFETY: it is glibc's function, which may be called at any time on any thread.
    let info = unsafe { mallinfo2() };
    // Blocks with mappings of their own are in no arena.
    let (allocated, mapped) = (info.uordblks.checked_add(info.hblkhd)?, info.arena.checked_add(info.hblkhd)?);
    Some(AllocatorMemory {
        allocated: Some(allocated as u64),
        mapped: Some(mapped as u64),
        ..AllocatorMemory::default()
    })
}

type Mallinfo2 = unsafe extern "C" fn() -> libc::mallinfo2;

/// Looked up and not linked, so that a program also runs with an older glibc.
fn find() -> Option<Mallinfo2> {
    let (malloc, mallinfo2) = (symbol(c"malloc")?, symbol(c"mallinfo2")?);
    // SAFETY: glibc's only symbol of this name has this type, since 2.33.
    (object_of(malloc)? == object_of(mallinfo2)?)
        .then(|| unsafe { std::mem::transmute::<*mut c_void, Mallinfo2>(mallinfo2) })
}

fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name ends in a zero.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

/// Where the library with this address begins.
fn object_of(address: *mut c_void) -> Option<*mut c_void> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: any address may be asked for, and the answer has room.
    let found = unsafe { libc::dladdr(address, info.as_mut_ptr()) };
    // SAFETY: all zeroes are a `Dl_info`, as is what was written over them.
    (found != 0).then(|| unsafe { info.assume_init() }.dli_fbase)
}
