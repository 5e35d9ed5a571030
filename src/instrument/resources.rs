//! Buffers and their mapped ranges, textures, query sets.

use std::ops::Range;
use std::sync::Arc;

use engine_vitals_core::probe::{New, ResourceKind};
use wgpu::custom::{
    BufferInterface, BufferMapCallback, BufferMappedRangeInterface, DispatchBufferMappedRange, DispatchTextureView,
    ExternalTextureInterface, QuerySetInterface, TextureInterface,
};

use super::handles::Tracked;
use super::queue::End;
use super::record::Holds;

impl BufferInterface for Tracked<wgpu::Buffer> {
    fn map_async(&self, mode: wgpu::MapMode, range: Range<u64>, callback: BufferMapCallback) {
        // wgpu keeps the buffer until the mapping is resolved.
        let held = self.record.record().cloned();
        let record = held.clone();
        let callback = move |result| {
            drop(held);
            callback(result);
        };
        #[cfg(feature = "fault")]
        let Some(callback) = self.device.mapping(&self.real, Box::new(callback)) else { return };
        // What was written is submitted first, if the buffer was written, and done with the mapping.
        let written = |record: &Arc<_>| self.device.writes.lock().records().iter().any(|one| Arc::ptr_eq(one, record));
        let end = record.as_ref().filter(|record| written(record)).map(|_| End::of_writes(&self.device));
        drop(record);
        self.real.map_async(mode, range, move |result| {
            if let Some(end) = end {
                end.completed();
            }
            callback(result);
        });
    }

    fn get_mapped_range(&self, range: Range<u64>) -> Result<DispatchBufferMappedRange, wgpu::MapRangeError> {
        let view = match self.real.get_mapped_range(range.clone()) {
            Ok(view) => View::Read(view),
            // The real buffer knows of the same ranges as the public one does, which checks them next and gives this error in
            // its own words; only it knows whether the new range is to be read or written.
            Err(error) if error.to_string().contains(RANGES_CLASH) => View::Refused,
            Err(error) => return Err(error),
        };
        let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        Ok(DispatchBufferMappedRange::custom(MappedRange { buffer: self.real.clone(), range, len, view }))
    }

    fn unmap(&self) {
        self.real.unmap();
        #[cfg(feature = "fault")]
        self.device.unmapped(&self.real);
        if let Some(bytes) = self.record.take_unwritten() {
            self.device.staged(&self.record, bytes);
        }
    }

    fn destroy(&self) {
        self.real.destroy();
        #[cfg(feature = "fault")]
        self.device.unmapped(&self.real);
        // wgpu writes nothing to what is destroyed.
        self.record.take_unwritten();
        self.device.destroy(&self.record);
    }
}

/// In the text of wgpu's errors about overlapping ranges.
const RANGES_CLASH: &str = "tried to call get_mapped_range(_mut)";

/// A mapped range. wgpu does not say whether it is to be read or written: it is opened for reading, and again for writing at
/// the first write.
#[derive(Debug)]
struct MappedRange {
    buffer: wgpu::Buffer,
    range: Range<u64>,
    len: usize,
    view: View,
}

#[derive(Debug)]
enum View {
    Read(wgpu::BufferView),
    Write(wgpu::BufferViewMut),
    /// The buffer was destroyed or its device lost since: what is written goes nowhere.
    Nowhere(Vec<u8>),
    /// The range clashes with another; the public buffer refuses it too.
    Refused,
}

impl BufferMappedRangeInterface for MappedRange {
    fn len(&self) -> usize {
        self.len
    }

    unsafe fn read_slice(&self) -> &[u8] {
        match &self.view {
            View::Read(view) => view,
            View::Nowhere(bytes) => bytes,
            // The caller reads no range that is written.
            View::Write(_) | View::Refused => &[],
        }
    }

    unsafe fn write_slice(&mut self) -> wgpu::WriteOnly<'_, [u8]> {
        if let View::Read(_) | View::Refused = self.view {
            // The view for reading ends before the one for writing begins.
            self.view = View::Refused;
            self.view = match self.buffer.get_mapped_range_mut(self.range.clone()) {
                Ok(view) => View::Write(view),
                Err(_) => View::Nowhere(vec![0; self.len]),
            };
        }
        match &mut self.view {
            View::Write(view) => view.slice(..),
            View::Nowhere(bytes) => wgpu::WriteOnly::from_mut(bytes.as_mut_slice()),
            View::Read(_) | View::Refused => wgpu::WriteOnly::from_mut(&mut []),
        }
    }

    #[cfg(target_arch = "wasm32")]
    #[expect(clippy::panic, reason = "only a range that is read has one, and those are open for reading")]
    fn as_uint8array(&self) -> &js_sys::Uint8Array {
        match &self.view {
            View::Read(view) => view.as_uint8array(),
            _ => panic!("engine-vitals: a mapped range that is written has no Uint8Array to read"),
        }
    }
}

impl TextureInterface for Tracked<wgpu::Texture> {
    fn create_view(&self, descriptor: &wgpu::TextureViewDescriptor<'_>) -> DispatchTextureView {
        let new = New::of(ResourceKind::TEXTURE_VIEW, 0).label_opt(descriptor.label);
        #[cfg(feature = "fault")]
        if let Some(failed) = self.device.failed_view(new, |real| super::invalid::view(real, &self.real)) {
            return DispatchTextureView::custom(failed);
        }
        let real = self.real.create_view(descriptor);
        let mut holds = Holds::default();
        holds.add(&self.record);
        DispatchTextureView::custom(self.device.tracked(real, new, holds))
    }

    fn destroy(&self) {
        self.real.destroy();
        self.device.destroy(&self.record);
    }
}

impl ExternalTextureInterface for Tracked<wgpu::ExternalTexture> {
    fn destroy(&self) {
        self.real.destroy();
        self.device.destroy(&self.record);
    }
}

impl QuerySetInterface for Tracked<wgpu::QuerySet> {
    fn destroy(&self) {
        self.real.destroy();
        self.device.destroy(&self.record);
    }
}
