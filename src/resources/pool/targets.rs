//! Render targets that are used again by whoever asks for the same descriptor.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use engine_vitals_core::contract::{Store, StoreReport, TargetPoolReport};
use engine_vitals_core::probe::{Extent, New, Probe, Ticket};
use parking_lot::Mutex;

use super::slab::{Maker, NoBuffer};
use crate::gpu::texture_bytes;
use crate::instrument;

/// What a pool of render targets is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetPoolConfig {
    /// Its name in reports; "target pool" by default.
    pub name: String,
    /// Frames ([`TargetPool::maintain`]) that a target is kept without use; 8 by default.
    pub keep_idle_frames: u64,
    /// Bytes of all targets kept without use: beyond them the ones that were idle for longest are given up; no limit by default.
    pub idle_bytes: Option<u64>,
}

impl Default for TargetPoolConfig {
    fn default() -> Self {
        Self { name: "target pool".to_owned(), keep_idle_frames: 8, idle_bytes: None }
    }
}

/// Render targets: whoever asks for a descriptor gets a texture that was made for the same one (but for its label) and is not used, or a new one.
/// Cheap to clone; clones share everything. May be used from any thread.
///
/// A target that is dropped is given out again from the next frame on ([`maintain`](Self::maintain)): the frame's commands may be submitted in any
/// order. [`PooledTarget::recycle`] gives it out at once.
///
/// On an [instrumented](crate::instrument) device the textures are reported by that; on any other, to the probe that was given.
#[derive(Clone)]
pub struct TargetPool {
    shared: Arc<Shared>,
}

/// A texture of a [`TargetPool`]. Dropped, it goes back there.
pub struct PooledTarget {
    pool: Arc<Shared>,
    /// `Some` until it goes back.
    target: Option<Target>,
}

/// A render target that cannot be had. Nothing has changed then.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TargetError {
    /// The device has no memory for it.
    OutOfMemory {
        /// Bytes of the target's texels; `None` for a format whose size is not known.
        bytes: Option<u64>,
        /// The pool at that moment; what was idle was given up.
        report: Box<TargetPoolReport>,
    },
    /// wgpu does not make such a texture.
    Texture {
        /// What wgpu says.
        message: String,
    },
}

struct Shared {
    name: Arc<str>,
    maker: Maker,
    config: TargetPoolConfig,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    frame: u64,
    /// Those that may be given out, by what they were made for; the last were used last.
    idle: HashMap<Arc<Key>, Vec<Idle>>,
    /// Those that were dropped in this frame.
    dropped: Vec<Target>,
    idle_count: u64,
    idle_bytes: u64,
    used: u64,
    used_bytes: u64,
    reused: u64,
    created: u64,
    released: u64,
}

struct Idle {
    target: Target,
    since: u64,
}

struct Target {
    key: Arc<Key>,
    texture: wgpu::Texture,
    view: wgpu::TextureView,
    bytes: u64,
    /// Its life, where the device does not report that.
    ticket: Ticket,
}

/// What two targets have in common that one could be used for the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    size: wgpu::Extent3d,
    mip_level_count: u32,
    sample_count: u32,
    dimension: wgpu::TextureDimension,
    format: wgpu::TextureFormat,
    usage: wgpu::TextureUsages,
    view_formats: Vec<wgpu::TextureFormat>,
}

impl TargetPool {
    /// An empty pool with the default configuration, which reports where its device does, if that is instrumented.
    #[must_use]
    pub fn new(device: &wgpu::Device) -> Self {
        Self::with_config(device, Probe::OFF, TargetPoolConfig::default())
    }

    /// An empty pool. An instrumented device has a probe of its own, which then stands for `probe`.
    #[must_use]
    pub fn with_config(device: &wgpu::Device, probe: Probe, config: TargetPoolConfig) -> Self {
        static POOLS: AtomicU64 = AtomicU64::new(1);
        let id = POOLS.fetch_add(1, Ordering::Relaxed);
        let maker = Maker::new(device, probe, "target pool", id, &config.name);
        let probe = maker.probe;
        let shared = Arc::new(Shared { name: config.name.as_str().into(), maker, config, state: Mutex::default() });
        let listed: Weak<dyn Store> = Arc::downgrade(&shared) as Weak<dyn Store>;
        probe.list(listed);
        Self { shared }
    }

    /// A texture that was made for such a descriptor. Its contents are those of whoever had it before.
    ///
    /// # Errors
    /// [`TargetError`]: the device has no memory for another, even after all idle ones were given up, or wgpu refuses the descriptor.
    pub fn acquire(&self, descriptor: &wgpu::TextureDescriptor<'_>) -> Result<PooledTarget, TargetError> {
        let shared = &self.shared;
        let key = Key::of(descriptor);
        let idle = shared.state.lock().reuse(&key);
        if let Some(target) = idle {
            target.ticket.reused();
            instrument::texture_reused(&target.texture);
            return Ok(PooledTarget { pool: Arc::clone(shared), target: Some(target) });
        }
        let key = Arc::new(key);
        let mut made = shared.make(&key, descriptor);
        if matches!(made, Err(NoBuffer::OutOfMemory)) && self.trim() > 0 {
            made = shared.make(&key, descriptor);
        }
        let target = made.map_err(|error| match error {
            NoBuffer::OutOfMemory => {
                TargetError::OutOfMemory { bytes: texture_bytes(descriptor), report: Box::new(self.stats()) }
            }
            NoBuffer::Refused(message) => TargetError::Texture { message },
        })?;
        let mut state = shared.state.lock();
        state.created += 1;
        state.used += 1;
        state.used_bytes += target.bytes;
        drop(state);
        Ok(PooledTarget { pool: Arc::clone(shared), target: Some(target) })
    }

    /// A frame has ended, and all of its commands have been submitted: targets dropped in it may be given out again, and those that were idle for
    /// [long enough](TargetPoolConfig::keep_idle_frames) are given up.
    pub fn maintain(&self) {
        let mut state = self.shared.state.lock();
        state.frame += 1;
        let now = state.frame;
        for target in std::mem::take(&mut state.dropped) {
            state.keep(target);
        }
        let keep = self.shared.config.keep_idle_frames;
        let mut gone = state.give_up(|since, _| since.saturating_add(keep) <= now);
        let most = self.shared.config.idle_bytes.unwrap_or(u64::MAX);
        while state.idle_bytes > most {
            let Some(oldest) = state.idle.values().flatten().map(|idle| idle.since).min() else { break };
            gone.extend(state.give_up(|since, left| since == oldest && left > most));
        }
        drop(state);
        // Outside the lock: wgpu may have other work to do when a texture goes.
        drop(gone);
    }

    /// Gives all idle targets up now. Returns their bytes.
    #[expect(clippy::must_use_candidate, reason = "giving up is what it is for")]
    pub fn trim(&self) -> u64 {
        let gone = self.shared.state.lock().give_up(|_, _| true);
        gone.iter().map(|target| target.bytes).sum()
    }

    /// The figures as they are now.
    #[must_use]
    pub fn stats(&self) -> TargetPoolReport {
        self.shared.stats()
    }
}

impl PooledTarget {
    /// The texture.
    #[must_use]
    pub fn texture(&self) -> &wgpu::Texture {
        &self.target().texture
    }

    /// Its default view, which is used again with it.
    #[must_use]
    pub fn view(&self) -> &wgpu::TextureView {
        &self.target().view
    }

    /// Bytes of its texels; 0 for a format whose size is not known.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.target().bytes
    }

    /// Gives it back such that the next one to ask gets it, in this frame too: for programs that submit the commands of both in this order.
    pub fn recycle(mut self) {
        if let Some(target) = self.target.take() {
            let mut state = self.pool.state.lock();
            state.back(&target);
            state.keep(target);
        }
    }

    #[expect(clippy::expect_used, reason = "only the calls that end it take the target out")]
    fn target(&self) -> &Target {
        self.target.as_ref().expect("a target that was not given back")
    }
}

impl Drop for PooledTarget {
    fn drop(&mut self) {
        if let Some(target) = self.target.take() {
            let mut state = self.pool.state.lock();
            state.back(&target);
            state.idle_count += 1;
            state.idle_bytes += target.bytes;
            state.dropped.push(target);
        }
    }
}

impl Shared {
    /// Runs user code where a soft budget is exceeded: hold no lock.
    fn make(&self, key: &Arc<Key>, descriptor: &wgpu::TextureDescriptor<'_>) -> Result<Target, NoBuffer> {
        let bytes = texture_bytes(descriptor).unwrap_or(0);
        let size = descriptor.size;
        let extent = Extent::new(size.width, size.height).layers(size.depth_or_array_layers);
        let new = New::texture_target(bytes).label_opt(descriptor.label).extent(extent);
        let ((texture, view), ticket) = self.maker.make(new, || {
            let texture = self.maker.device.create_texture(descriptor);
            let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
            (texture, view)
        })?;
        Ok(Target { key: Arc::clone(key), texture, view, bytes, ticket })
    }

    fn stats(&self) -> TargetPoolReport {
        let state = self.state.lock();
        TargetPoolReport {
            name: Arc::clone(&self.name),
            used: state.used,
            used_bytes: state.used_bytes,
            idle: state.idle_count,
            idle_bytes: state.idle_bytes,
            reused: state.reused,
            created: state.created,
            released: state.released,
        }
    }
}

impl State {
    fn reuse(&mut self, key: &Key) -> Option<Target> {
        let Idle { target, .. } = self.idle.get_mut(key)?.pop()?;
        self.idle_count -= 1;
        self.idle_bytes -= target.bytes;
        self.used += 1;
        self.used_bytes += target.bytes;
        self.reused += 1;
        Some(target)
    }

    /// It is not used any more.
    fn back(&mut self, target: &Target) {
        self.used -= 1;
        self.used_bytes -= target.bytes;
    }

    /// It may be given out.
    fn keep(&mut self, target: Target) {
        let since = self.frame;
        self.idle.entry(Arc::clone(&target.key)).or_default().push(Idle { target, since });
    }

    /// Takes out those that `which` names by the frame since which they are idle, given the bytes that are idle still.
    fn give_up(&mut self, which: impl Fn(u64, u64) -> bool) -> Vec<Target> {
        let mut gone = Vec::new();
        let mut left = self.idle_bytes;
        self.idle.retain(|_, targets| {
            gone.extend(targets.extract_if(.., |idle| {
                let goes = which(idle.since, left);
                left -= if goes { idle.target.bytes } else { 0 };
                goes
            }));
            !targets.is_empty()
        });
        self.idle_bytes = left;
        self.idle_count -= gone.len() as u64;
        self.released += gone.len() as u64;
        gone.into_iter().map(|idle| idle.target).collect()
    }
}

impl Key {
    fn of(descriptor: &wgpu::TextureDescriptor<'_>) -> Self {
        Self {
            size: descriptor.size,
            mip_level_count: descriptor.mip_level_count,
            sample_count: descriptor.sample_count,
            dimension: descriptor.dimension,
            format: descriptor.format,
            usage: descriptor.usage,
            view_formats: descriptor.view_formats.to_vec(),
        }
    }
}

impl Store for Shared {
    fn report(&self) -> StoreReport {
        StoreReport::TargetPool(self.stats())
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory { bytes, report } => {
                let bytes = bytes.map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string());
                write!(
                    out,
                    "the device has no memory for a render target ({bytes} bytes): {} targets of {} bytes are in use; drop some, or make them \
                     smaller",
                    report.used, report.used_bytes
                )
            }
            Self::Texture { message } => write!(out, "wgpu does not make such a render target: {message}"),
        }
    }
}

impl std::error::Error for TargetError {}

impl fmt::Debug for Shared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Shared").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl fmt::Debug for TargetPool {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TargetPool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl fmt::Debug for PooledTarget {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PooledTarget").field("texture", &self.target().texture).finish_non_exhaustive()
    }
}
