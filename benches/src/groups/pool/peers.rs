//! Peers: allocators of offsets or of memory, each made to replace a block by another one.

use std::alloc;
use std::error::Error;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr::NonNull;

use ash::vk;
use engine_vitals::resources::pool::layout::{BlockId, Layout, LayoutConfig};
use gpu_allocator::MemoryLocation;
use gpu_allocator::vulkan::{Allocation, AllocationCreateDesc, AllocationScheme, Allocator, AllocatorCreateDesc};
use range_alloc::RangeAllocator;

use super::OURS;

/// Bytes that all offsets are a multiple of.
const ALIGN: u64 = 16;

/// An allocator with its blocks.
pub(super) trait Peer {
    fn name(&self) -> &'static str;
    /// Frees the block of that number, and gives out another one in its place.
    fn replace(&mut self, block: usize, bytes: u64);
    /// So many times fewer pairs are measured: it is not constant in what lives.
    fn slower(&self, _live: usize) -> u64 {
        1
    }
}

/// Those whose steps do not grow with what lives, and what memory allows.
pub(super) fn constant(blocks: &[u64]) -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(Ours::new(blocks)),
        Box::new(Offset::new(blocks)),
        Box::new(Tlsf::new(blocks)),
        Box::new(Limit::new(blocks)),
    ]
}

/// All of them with such blocks. gpu-allocator only where there is a Vulkan device.
pub(super) fn all(blocks: &[u64], device: Option<&wgpu::Device>) -> Vec<Box<dyn Peer>> {
    let mut peers = constant(blocks);
    // Its time grows with the free ranges: beyond this a round takes minutes.
    if blocks.len() <= 100_000 {
        peers.push(Box::new(Ranges::new(blocks)));
    }
    match device.and_then(|device| GpuAllocator::new(device, blocks)) {
        Some(peer) => peers.push(Box::new(peer)),
        None => eprintln!("SKIPPED: gpu-allocator, {} blocks: no Vulkan device", blocks.len()),
    }
    peers
}

/// A device of an adapter, or none: then a named skip is printed.
pub(super) fn adapter_device() -> Result<(Option<wgpu::Device>, Option<wgpu::Queue>), Box<dyn Error>> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN;
    let instance = wgpu::Instance::new(descriptor);
    let Ok(adapter) = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())) else {
        eprintln!("SKIPPED: pools on a real device, gpu-allocator: no Vulkan adapter (install mesa-vulkan-drivers)");
        return Ok((None, None));
    };
    let descriptor =
        wgpu::DeviceDescriptor { required_limits: wgpu::Limits::downlevel_defaults(), ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))?;
    Ok((Some(device), Some(queue)))
}

struct Ours {
    layout: Layout,
    blocks: Vec<BlockId>,
}

impl Ours {
    fn new(blocks: &[u64]) -> Self {
        let mut layout = Layout::new(LayoutConfig::default());
        let blocks = blocks.iter().filter_map(|&bytes| Some(layout.allocate(bytes, ALIGN).ok()?.block)).collect();
        Self { layout, blocks }
    }
}

impl Peer for Ours {
    fn name(&self) -> &'static str {
        OURS
    }

    fn replace(&mut self, block: usize, bytes: u64) {
        self.layout.free(self.blocks[block], 0);
        if let Ok(allocated) = self.layout.allocate(bytes, ALIGN) {
            self.blocks[block] = allocated.block;
        }
    }
}

/// Half as much again as the blocks have.
fn arena(blocks: &[u64]) -> u64 {
    blocks.iter().sum::<u64>() * 3 / 2 + (64 << 10)
}

/// In units of the alignment, since it knows none.
struct Offset {
    allocator: offset_allocator::Allocator<u32>,
    blocks: Vec<Option<offset_allocator::Allocation<u32>>>,
}

impl Offset {
    fn new(blocks: &[u64]) -> Self {
        let units = (arena(blocks) / ALIGN) as u32;
        let mut allocator = offset_allocator::Allocator::with_max_allocs(units, 2 * blocks.len() as u32 + 64);
        let blocks = blocks.iter().map(|&bytes| allocator.allocate(bytes.div_ceil(ALIGN) as u32)).collect();
        Self { allocator, blocks }
    }
}

impl Peer for Offset {
    fn name(&self) -> &'static str {
        "offset-allocator"
    }

    fn replace(&mut self, block: usize, bytes: u64) {
        if let Some(old) = self.blocks[block].take() {
            self.allocator.free(old);
        }
        self.blocks[block] = self.allocator.allocate(bytes.div_ceil(ALIGN) as u32);
    }
}

struct Ranges {
    allocator: RangeAllocator<u64>,
    blocks: Vec<Option<Range<u64>>>,
}

impl Ranges {
    fn new(blocks: &[u64]) -> Self {
        let mut allocator = RangeAllocator::new(0..arena(blocks));
        let blocks = blocks.iter().map(|bytes| allocator.allocate_range(bytes.next_multiple_of(ALIGN)).ok()).collect();
        Self { allocator, blocks }
    }
}

impl Peer for Ranges {
    fn name(&self) -> &'static str {
        "range-alloc"
    }

    fn replace(&mut self, block: usize, bytes: u64) {
        if let Some(old) = self.blocks[block].take() {
            self.allocator.free_range(old);
        }
        self.blocks[block] = self.allocator.allocate_range(bytes.next_multiple_of(ALIGN)).ok();
    }

    fn slower(&self, live: usize) -> u64 {
        (live as u64 / 100).max(1)
    }
}

/// Two-level segregated fit in memory of this program, where it keeps its headers: not for memory of a GPU.
struct Tlsf {
    allocator: rlsf::Tlsf<'static, u32, u32, 28, 32>,
    blocks: Vec<Option<NonNull<u8>>>,
    memory: *mut [MaybeUninit<u8>],
}

impl Tlsf {
    fn new(blocks: &[u64]) -> Self {
        let bytes = (arena(blocks) + 32 * blocks.len() as u64) as usize;
        let memory = Box::leak(vec![MaybeUninit::uninit(); bytes].into_boxed_slice());
        let kept: *mut [MaybeUninit<u8>] = memory;
        let mut allocator = rlsf::Tlsf::new();
        allocator.insert_free_block(memory);
        let blocks = blocks.iter().map(|&bytes| Self::layout(bytes).and_then(|one| allocator.allocate(one))).collect();
        Self { allocator, blocks, memory: kept }
    }

    fn layout(bytes: u64) -> Option<alloc::Layout> {
        alloc::Layout::from_size_align(bytes as usize, ALIGN as usize).ok()
    }
}

impl Peer for Tlsf {
    fn name(&self) -> &'static str {
        "rlsf"
    }

    fn replace(&mut self, block: usize, bytes: u64) {
        if let Some(old) = self.blocks[block].take() {
            // SAFETY: it was given out by this allocator with that alignment, and is taken out of the list: it is freed once.
            unsafe { self.allocator.deallocate(old, ALIGN as usize) };
        }
        self.blocks[block] = Self::layout(bytes).and_then(|one| self.allocator.allocate(one));
    }
}

impl Drop for Tlsf {
    fn drop(&mut self) {
        self.allocator = rlsf::Tlsf::new();
        // SAFETY: it comes from a box that was leaked in `new`, and the allocator that held it is gone.
        drop(unsafe { Box::from_raw(self.memory) });
    }
}

/// What any allocator does whose blocks have names: it reads the name and what lies behind it, 16 bytes, and writes both. It allocates nothing.
struct Limit {
    names: Vec<u64>,
    entries: Vec<[u64; 2]>,
}

impl Limit {
    fn new(blocks: &[u64]) -> Self {
        let mut names: Vec<u64> = (0..blocks.len() as u64).collect();
        fastrand::Rng::with_seed(5).shuffle(&mut names);
        Self { names, entries: vec![[1; 2]; blocks.len()] }
    }
}

impl Peer for Limit {
    fn name(&self) -> &'static str {
        super::LIMIT
    }

    fn replace(&mut self, block: usize, bytes: u64) {
        let name = &mut self.names[block];
        let entry = &mut self.entries[*name as usize];
        entry[0] += bytes;
        *name += entry[1] >> 63;
    }
}

/// What wgpu suballocates with: best fit over all free ranges.
struct GpuAllocator {
    allocator: Allocator,
    requirements: vk::MemoryRequirements,
    blocks: Vec<Option<Allocation>>,
    /// Lives longer than the allocator.
    _device: wgpu::Device,
}

impl GpuAllocator {
    fn new(device: &wgpu::Device, blocks: &[u64]) -> Option<Self> {
        // SAFETY: the handles are used by the allocator only, which is dropped before the device, and which destroys nothing but its own memory.
        let hal = unsafe { device.as_hal::<wgpu::hal::api::Vulkan>() }?;
        let allocator = Allocator::new(&AllocatorCreateDesc {
            instance: hal.shared_instance().raw_instance().clone(),
            device: hal.raw_device().clone(),
            physical_device: hal.raw_physical_device(),
            debug_settings: gpu_allocator::AllocatorDebugSettings::default(),
            buffer_device_address: false,
            allocation_sizes: gpu_allocator::AllocationSizes::default(),
        });
        drop(hal);
        let requirements = vk::MemoryRequirements { size: 0, alignment: ALIGN, memory_type_bits: u32::MAX };
        let mut this = Self { allocator: allocator.ok()?, requirements, blocks: Vec::new(), _device: device.clone() };
        this.blocks = blocks.iter().map(|&bytes| this.allocate(bytes)).collect();
        Some(this)
    }

    fn allocate(&mut self, bytes: u64) -> Option<Allocation> {
        let requirements = vk::MemoryRequirements { size: bytes, ..self.requirements };
        let what = AllocationCreateDesc {
            name: "block",
            requirements,
            location: MemoryLocation::GpuOnly,
            linear: true,
            allocation_scheme: AllocationScheme::GpuAllocatorManaged,
        };
        self.allocator.allocate(&what).ok()
    }
}

impl Peer for GpuAllocator {
    fn name(&self) -> &'static str {
        "gpu-allocator"
    }

    fn replace(&mut self, block: usize, bytes: u64) {
        if let Some(old) = self.blocks[block].take() {
            // It fails for what it did not give out.
            let _ = self.allocator.free(old);
        }
        self.blocks[block] = self.allocate(bytes);
    }

    fn slower(&self, live: usize) -> u64 {
        (live as u64 / 100).max(1)
    }
}

impl Drop for GpuAllocator {
    fn drop(&mut self) {
        for block in self.blocks.drain(..).flatten() {
            let _ = self.allocator.free(block);
        }
    }
}
