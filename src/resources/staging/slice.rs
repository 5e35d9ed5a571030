//! Room in a ring that the program writes itself.

use super::StagingError;
use super::plan::{Destination, Reserved};
use super::ring::{InPlaceUse, StagingRing};

/// Room in a ring, to be written in place. Dropped without being sent anywhere, it is free again.
#[must_use = "what is not sent anywhere is lost"]
#[derive(Debug)]
pub struct StagingSlice<'a> {
    ring: &'a mut StagingRing,
    reserved: Option<Reserved>,
}

/// Bytes that the GPU uses without a copy where that is possible, and from a copy in the same place where it is not.
///
/// They are there for what is submitted together with the encoder of the next [flush](StagingRing::flush), and behind that in it; commands of a
/// later submission must not use them. A ring has few buffers, so bind groups with dynamic offsets can be kept for each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InPlace {
    /// Where the bytes are.
    pub buffer: wgpu::Buffer,
    /// From which byte of it.
    pub offset: u64,
    /// How many.
    pub bytes: u64,
}

impl<'a> StagingSlice<'a> {
    pub(super) fn new(ring: &'a mut StagingRing, reserved: Reserved) -> Self {
        Self { ring, reserved: Some(reserved) }
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.reserved.map_or(0, |reserved| reserved.bytes)
    }

    /// Never: nothing is reserved for no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, to be written and not read: mapped memory may be slow to read. They hold what was there before, so write them all.
    #[inline]
    pub fn bytes(&mut self) -> wgpu::WriteOnly<'_, [u8]> {
        match self.reserved.and_then(|reserved| self.ring.view(reserved)) {
            Some(view) => view,
            None => wgpu::WriteOnly::from_mut(&mut []),
        }
    }

    /// The bytes go into `buffer` from the byte `offset` on, with the next flush.
    ///
    /// # Errors
    /// [`StagingError`]: the offset is no multiple of four, the bytes go beyond the end, or the buffer cannot be copied to (or from, where their
    /// number is no multiple of four).
    #[inline]
    #[track_caller]
    pub fn copy_to_buffer(mut self, buffer: &wgpu::Buffer, offset: u64) -> Result<(), StagingError> {
        let bytes = self.len();
        if !offset.is_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT) {
            return Err(self.ring.failed(StagingError::Misaligned { offset, bytes }));
        }
        self.ring.check(buffer, offset, bytes)?;
        if let Some(reserved) = self.reserved.take() {
            let to = self.ring.destination(buffer, offset);
            self.ring.shared.lock().plan.copy(reserved, to);
            self.told(bytes);
        }
        Ok(())
    }

    /// The GPU uses the bytes where they are; see [`InPlace`] for how long.
    ///
    /// # Errors
    /// [`StagingError::NotInPlace`] with a ring that was made without [`in_place_usage`](super::StagingConfig::in_place_usage),
    /// [`StagingError::NoBuffer`] where there is no memory for the copy.
    #[track_caller]
    pub fn in_place(mut self) -> Result<InPlace, StagingError> {
        let Some(reserved) = self.reserved else { return Err(StagingError::ZeroSize) };
        let buffer = match self.ring.in_place {
            InPlaceUse::Refused => return Err(self.ring.failed(StagingError::NotInPlace)),
            InPlaceUse::Direct => {
                self.ring.shared.lock().plan.in_place(reserved.bytes);
                self.ring.slot(reserved.buffer).map(|slot| slot.buffer.clone())
            }
            InPlaceUse::Twin(usage) => {
                let twin = self.ring.twin(reserved.buffer, usage);
                if let Some(twin) = &twin {
                    let Destination { buffer, .. } = self.ring.destination(twin, 0);
                    let to = Destination { buffer, offset: reserved.offset };
                    self.ring.shared.lock().plan.copy_words(reserved, to);
                }
                twin
            }
        };
        let buffer = buffer.ok_or_else(|| self.ring.failed(StagingError::NoBuffer))?;
        self.reserved = None;
        self.told(reserved.bytes);
        Ok(InPlace { buffer, offset: reserved.offset, bytes: reserved.bytes })
    }

    /// Tells the probe of bytes that the program has written itself, in whatever time.
    #[inline]
    #[track_caller]
    fn told(&self, bytes: u64) {
        self.ring.maker.staged(bytes);
        self.ring.maker.probe.uploading(bytes, || ());
    }
}

impl Drop for StagingSlice<'_> {
    fn drop(&mut self) {
        if let Some(reserved) = self.reserved.take() {
            self.ring.shared.lock().plan.unreserve(reserved);
        }
    }
}
