//! Copies into mapped memory: through the caches, or past them where what is written is more than they hold.
//!
//! An ordinary copy reads each line of the destination before it writes it, and keeps it in the caches, though the program never looks at it
//! again. As long as a frame writes little that is fast: the lines of the frame before are still there. When it writes much, each line is a read from
//! memory, and one of somebody else's that is lost. Non-temporal stores write whole lines instead and read none.

/// What a flush takes beyond so many bytes goes past the caches: most have no room for more.
const THROUGH_CACHES: u64 = 16 << 20;

/// Bytes written since the last flush, with those of slices that were given back.
#[derive(Debug, Default)]
pub(super) struct Filled(u64);

impl Filled {
    /// So many more are about to be written. Says how.
    #[inline]
    pub(super) fn more(&mut self, bytes: u64) -> Way {
        self.0 = self.0.saturating_add(bytes);
        if self.0 > THROUGH_CACHES { Way::PastCaches } else { Way::ThroughCaches }
    }

    /// All of it was flushed.
    pub(super) fn flushed(&mut self) {
        self.0 = 0;
    }
}

/// How bytes are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ThroughCaches,
    /// Where the machine has a way to, and the bytes are not few.
    PastCaches,
}

impl Way {
    /// Copies `data` to where it goes, which is as long.
    #[inline]
    pub(super) fn copy(self, mut to: wgpu::WriteOnly<'_, [u8]>, data: &[u8]) {
        #[cfg(target_arch = "x86_64")]
        if self == Self::PastCaches && to.len() == data.len() && data.len() >= past_caches::LEAST {
            past_caches::copy(to, data);
            return;
        }
        to.copy_from_slice(data);
    }
}

#[cfg(target_arch = "x86_64")]
mod past_caches {
    use std::arch::asm;

    const LINE: usize = 64;
    const PAGE: usize = 4096;
    /// Four pages are copied at once, a line of each in turn: memory answers faster where requests go to several of its banks.
    const BLOCK: usize = 4 * PAGE;
    /// A shorter copy has no whole block.
    pub(super) const LEAST: usize = BLOCK;

    /// Copies whole blocks past the caches, and what lies before the first line and behind the last block as ever. Both are as long.
    pub(super) fn copy(mut to: wgpu::WriteOnly<'_, [u8]>, data: &[u8]) {
        let head = to.as_raw_element_ptr().align_offset(LINE).min(data.len());
        let blocks = (data.len() - head) / BLOCK;
        let tail = head + blocks * BLOCK;
        to.slice(..head).copy_from_slice(&data[..head]);
        to.slice(tail..).copy_from_slice(&data[tail..]);
        let (mut to, from) = (to.slice(head..tail), &data[head..tail]);
        if blocks > 0 {
            // SAFETY: `from` and `to` are `blocks` blocks long, which is not 0, and `to` is at the beginning of a line.
            unsafe { copy_blocks(to.as_raw_element_ptr().as_ptr(), from.as_ptr(), blocks) };
        }
    }

    macro_rules! copy_line {
        ($page:literal) => {
            concat!(
                "movdqu xmm0, [{from} + 4096 * ",
                $page,
                "]\n",
                "movdqu xmm1, [{from} + 4096 * ",
                $page,
                " + 16]\n",
                "movdqu xmm2, [{from} + 4096 * ",
                $page,
                " + 32]\n",
                "movdqu xmm3, [{from} + 4096 * ",
                $page,
                " + 48]\n",
                "movntdq [{to} + 4096 * ",
                $page,
                "], xmm0\n",
                "movntdq [{to} + 4096 * ",
                $page,
                " + 16], xmm1\n",
                "movntdq [{to} + 4096 * ",
                $page,
                " + 32], xmm2\n",
                "movntdq [{to} + 4096 * ",
                $page,
                " + 48], xmm3\n",
            )
        };
    }

    /// Written out, so that a program that is not optimised uploads as fast.
    ///
    /// # Safety
    /// From `from` on so many blocks can be read, from `to` on so many can be written, they do not overlap, `to` is a multiple of 16, and
    /// `blocks` is not 0.
    unsafe fn copy_blocks(to: *mut u8, from: *const u8, blocks: usize) {
        // SAFETY: it reads and writes as many bytes as the caller vouches for: per turn of the outer loop four pages, of which the inner one has 64
        // lines each. The fence orders the stores before whatever this thread does next, which hands the memory to others.
        unsafe {
            asm!(
                "2:",
                "mov {lines:e}, 64",
                "3:",
                copy_line!(0),
                copy_line!(1),
                copy_line!(2),
                copy_line!(3),
                "add {from}, 64",
                "add {to}, 64",
                "dec {lines:e}",
                "jnz 3b",
                "add {from}, 3 * 4096",
                "add {to}, 3 * 4096",
                "dec {blocks}",
                "jnz 2b",
                "sfence",
                from = inout(reg) from => _,
                to = inout(reg) to => _,
                blocks = inout(reg) blocks => _,
                lines = out(reg) _,
                out("xmm0") _,
                out("xmm1") _,
                out("xmm2") _,
                out("xmm3") _,
                options(nostack),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_arrives_and_no_other_is_touched() {
        let data: Vec<u8> = (0..200_000_u32).map(|byte| (byte * 7 + byte / 251) as u8).collect();
        let lengths = [0, 1, 63, 4_096, 16_383, 16_384, 16_447, 16_448, 16_449, 32_768, 65_536 + 17, 150_001];
        for length in lengths {
            for (to, from) in [(0, 0), (1, 0), (0, 1), (15, 3), (16, 16), (63, 64), (64, 33)] {
                let mut memory = vec![0xee; to + length + 100];
                let source = &data[from..from + length];
                Way::PastCaches.copy(wgpu::WriteOnly::from_mut(&mut memory[to..to + length]), source);
                assert!(memory[to..to + length] == *source, "{length} bytes to {to} from {from}");
                let around = memory[..to].iter().chain(&memory[to + length..]);
                assert!(around.copied().all(|byte| byte == 0xee), "{length} bytes to {to} from {from}");
            }
        }
    }

    #[test]
    fn what_a_flush_takes_goes_past_the_caches_beyond_what_they_hold() {
        let mut filled = Filled::default();
        assert_eq!(filled.more(THROUGH_CACHES), Way::ThroughCaches);
        assert_eq!(filled.more(1), Way::PastCaches);
        filled.flushed();
        assert_eq!(filled.more(u64::MAX), Way::PastCaches);
        assert_eq!(filled.more(u64::MAX), Way::PastCaches, "no sum wraps around");
    }
}
