//! Surfaces: lanes, and the frames on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine_vitals_core::probe::{
    Activity, Context, Extent, Lane, New, Packet, PacketId, PacketResult, Probe, ResourceKind, Ticket,
};
use parking_lot::Mutex;
use wgpu::custom::{
    DispatchAdapter, DispatchDevice, DispatchSurface, DispatchSurfaceOutputDetail, DispatchTexture, SurfaceInterface,
    SurfaceOutputDetailInterface,
};

use super::adapter::Adapter;
use super::device::Device;
use super::handles::Tracked;
use super::record::Held;
use super::state::{DeviceState, World};

/// A surface around another one.
#[derive(Debug)]
pub(super) struct Surface {
    real: wgpu::Surface<'static>,
    world: Arc<World>,
    record: Held,
    configured: Mutex<Option<Configured>>,
    frames: Arc<Frames>,
}

/// The swapchain and its device.
#[derive(Debug)]
struct Configured {
    device: Arc<DeviceState>,
    target: Ticket,
    format: wgpu::TextureFormat,
    usage: wgpu::TextureUsages,
    extent: Extent,
}

impl Configured {
    /// What its textures are made of.
    fn parts(&self) -> (Arc<DeviceState>, wgpu::TextureFormat, wgpu::TextureUsages, Extent) {
        (Arc::clone(&self.device), self.format, self.usage, self.extent)
    }
}

impl Surface {
    pub(super) fn new(real: wgpu::Surface<'static>, world: Arc<World>) -> Self {
        let record = world.track(New::of(ResourceKind::SURFACE, 0), Vec::new(), None);
        let frames = Frames::new(Arc::clone(&world));
        Self { real, world, record, configured: Mutex::default(), frames }
    }

    /// The real surface behind a public handle.
    ///
    /// # Panics
    /// If it is not one of this instance's. wgpu panics too: no device is there to report an error to.
    pub(super) fn real<'a, 'w>(surface: &'a wgpu::Surface<'w>, world: &Arc<World>) -> &'a wgpu::Surface<'static> {
        Self::checked(surface.as_custom::<Self>(), world)
    }

    /// [`real`](Self::real) for what wgpu's interface passes.
    pub(super) fn real_of<'a>(surface: &'a DispatchSurface, world: &Arc<World>) -> &'a wgpu::Surface<'static> {
        Self::checked(surface.as_custom::<Self>(), world)
    }

    #[expect(clippy::panic, reason = "wgpu panics here too, with a worse message")]
    fn checked<'a>(surface: Option<&'a Self>, world: &Arc<World>) -> &'a wgpu::Surface<'static> {
        match surface {
            Some(surface) if Arc::ptr_eq(&surface.world, world) => &surface.real,
            _ => panic!(
                "engine-vitals: the surface was not made by this instrumented instance: create it from the instance that \
                 Vitals::wrap returned, as the adapter and the device"
            ),
        }
    }

    /// The real adapter.
    #[expect(clippy::panic, reason = "wgpu panics here too, with a worse message")]
    fn adapter(adapter: &DispatchAdapter) -> &wgpu::Adapter {
        match adapter.as_custom::<Adapter>() {
            Some(adapter) => &adapter.real,
            None => panic!("engine-vitals: the adapter given to a surface was not made by this instrumented instance"),
        }
    }

    /// The real texture and status, with what stands for the texture.
    fn acquired(&self, real: wgpu::SurfaceTexture) -> (Option<DispatchTexture>, DispatchSurfaceOutputDetail) {
        // Tracking may call the program, which may configure the surface anew: no lock is held.
        let configured = self.configured.lock().as_ref().map(Configured::parts);
        let Some((device, format, usage, extent)) = configured else {
            return (None, self.nothing());
        };
        self.frames.enter();
        let descriptor = wgpu::TextureDescriptor {
            label: None,
            size: wgpu::Extent3d { width: extent.width, height: extent.height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage,
            view_formats: &[],
        };
        let bytes = crate::gpu::texture_bytes(&descriptor).unwrap_or_default();
        let new = New::of(ResourceKind::SURFACE_TEXTURE, bytes).extent(extent).backend(device.backend);
        let record = self.world.track(new, Vec::new(), None);
        let texture = Tracked { real: real.texture.clone(), record, device: Arc::clone(&device) };
        let acquired = Arc::new(Mutex::new(Some(real)));
        #[cfg(feature = "fault")]
        device.acquired(&acquired);
        let detail = Detail { acquired, open: AtomicBool::new(true), frames: Arc::clone(&self.frames) };
        (Some(DispatchTexture::custom(texture)), DispatchSurfaceOutputDetail::custom(detail))
    }

    #[cfg(feature = "fault")]
    fn configured_device(&self) -> Option<Arc<DeviceState>> {
        self.configured.lock().as_ref().map(|configured| Arc::clone(&configured.device))
    }

    fn nothing(&self) -> DispatchSurfaceOutputDetail {
        let (acquired, open, frames) = (Arc::default(), AtomicBool::new(false), Arc::clone(&self.frames));
        DispatchSurfaceOutputDetail::custom(Detail { acquired, open, frames })
    }
}

impl Drop for Surface {
    fn drop(&mut self) {
        self.record.handle_dropped();
        self.frames.close();
    }
}

impl SurfaceInterface for Surface {
    fn get_capabilities(&self, adapter: &DispatchAdapter) -> wgpu::SurfaceCapabilities {
        self.real.get_capabilities(Self::adapter(adapter))
    }

    fn display_hdr_info(&self, adapter: &DispatchAdapter) -> wgpu::DisplayHdrInfo {
        self.real.display_hdr_info(Self::adapter(adapter))
    }

    #[expect(clippy::panic, reason = "wgpu panics here too, with a worse message")]
    fn configure(&self, device: &DispatchDevice, config: &wgpu::SurfaceConfiguration) {
        let device = match device.as_custom::<Device>() {
            Some(device) if Arc::ptr_eq(&device.state.world, &self.world) => device,
            _ => panic!(
                "engine-vitals: the device given to `Surface::configure` was not made by this instrumented instance"
            ),
        };
        self.real.configure(&device.real, config);
        // wgpu has refused such a size (a minimised window has none) and keeps the swapchain as it was.
        let sizes = 1..=device.real.limits().max_texture_dimension_2d;
        if !sizes.contains(&config.width) || !sizes.contains(&config.height) {
            return;
        }
        let extent = Extent::new(config.width, config.height);
        let mut configured = self.configured.lock();
        let target = match configured.take() {
            Some(Configured { mut target, .. }) => {
                target.resize_requested();
                target.resize_to(0, extent);
                target
            }
            None => {
                self.frames.enter();
                let new = New::native_target(0).extent(extent).backend(device.state.backend).without_site();
                if self.world.rules.admit(new.kind, new.label) { self.world.probe.create(new) } else { Ticket::EMPTY }
            }
        };
        let device = Arc::clone(&device.state);
        *configured = Some(Configured { device, target, format: config.format, usage: config.usage, extent });
    }

    fn get_current_texture(&self) -> (Option<DispatchTexture>, wgpu::SurfaceStatus, DispatchSurfaceOutputDetail) {
        use wgpu::{CurrentSurfaceTexture as Current, SurfaceStatus as Status};

        #[cfg(feature = "fault")]
        if let Some(status) = self.world.no_surface_texture(|| self.configured_device()) {
            return (None, status, self.nothing());
        }
        // A swapchain with no texture free waits here for the display.
        let current = self.world.probe.timed(Activity::Stalls, || self.real.get_current_texture());
        let status = match current {
            Current::Success(texture) => {
                let (texture, detail) = self.acquired(texture);
                return (texture, Status::Good, detail);
            }
            Current::Suboptimal(texture) => {
                let (texture, detail) = self.acquired(texture);
                return (texture, Status::Suboptimal, detail);
            }
            Current::Timeout => Status::Timeout,
            Current::Occluded => Status::Occluded,
            Current::Outdated => Status::Outdated,
            Current::Lost => Status::Lost,
            Current::Validation => Status::Validation,
        };
        (None, status, self.nothing())
    }
}

/// What wgpu keeps of an acquired texture: the real one, until it is presented or discarded.
#[derive(Debug)]
pub(super) struct Detail {
    acquired: Arc<Acquired>,
    /// The frame has not ended.
    open: AtomicBool,
    frames: Arc<Frames>,
}

/// The real texture. The loss of its device can take it away.
pub(super) type Acquired = Mutex<Option<wgpu::SurfaceTexture>>;

impl Detail {
    /// Presents the texture, and ends the packet.
    pub(super) fn present(&self, queue: &wgpu::Queue) {
        if self.open.swap(false, Ordering::Relaxed) {
            let texture = self.acquired.lock().take();
            match texture {
                Some(texture) => {
                    self.frames.probe().timed(Activity::Presents, || queue.present(texture));
                    self.frames.end(PacketResult::Presented);
                }
                None => self.frames.end(PacketResult::Dropped),
            }
        }
    }

    /// Drops the texture, which discards it, and ends the packet.
    fn discard(&self) {
        if self.open.swap(false, Ordering::Relaxed) {
            let texture = self.acquired.lock().take();
            drop(texture);
            self.frames.end(PacketResult::Dropped);
        }
    }
}

impl SurfaceOutputDetailInterface for Detail {
    fn texture_discard(&self) {
        self.discard();
    }

    fn texture_release(&self) {
        // The real texture sees that the thread panics, and releases.
        self.discard();
    }
}

/// The packets of one surface's lane.
#[derive(Debug)]
struct Frames {
    world: Arc<World>,
    number: u32,
    packet: Mutex<Option<(Lane, Packet)>>,
}

impl Frames {
    /// With the lowest number that is free: a surface that is made in the place of a lost one goes on with its lane.
    fn new(world: Arc<World>) -> Arc<Self> {
        let mut numbers = world.surfaces.lock();
        let number = (1..).find(|number| !numbers.contains(number)).unwrap_or(u32::MAX);
        numbers.insert(number);
        drop(numbers);
        Arc::new(Self { world, number, packet: Mutex::default() })
    }

    /// What the calling thread does from now on belongs to the frame under way.
    fn enter(&self) {
        let mut packet = self.packet.lock();
        let (_, packet) = packet.get_or_insert_with(|| self.begin());
        Self::make_current(packet);
    }

    /// The frame under way has ended; the next one begins.
    fn end(&self, result: PacketResult) {
        let mut packet = self.packet.lock();
        let (lane, ended) = packet.take().unwrap_or_else(|| self.begin());
        ended.finish(result);
        let next = self.probe().packet(lane);
        Self::make_current(&next);
        *packet = Some((lane, next));
        self.world.frames.fetch_add(1, Ordering::Relaxed);
    }

    /// No frame follows.
    fn close(&self) {
        if let Some((_, packet)) = self.packet.lock().take() {
            let context = Context::current();
            if context.packet() == packet.id() {
                context.with_packet(PacketId::NONE).make_current();
            }
            packet.finish(PacketResult::NoOp);
        }
        self.world.surfaces.lock().remove(&self.number);
    }

    fn begin(&self) -> (Lane, Packet) {
        let lane = self.probe().lane(&format!("surface {}", self.number));
        (lane, self.probe().packet(lane))
    }

    fn probe(&self) -> Probe {
        self.world.probe
    }

    fn make_current(packet: &Packet) {
        Context::current().with_packet(packet.id()).make_current();
    }
}

#[cfg(test)]
mod tests {
    use engine_vitals_core::tracker::Tracker;

    use super::*;
    use crate::instrument::Instrumentation;

    #[test]
    fn a_surface_in_the_place_of_one_that_is_gone_goes_on_with_its_lane() {
        let tracker = Tracker::new();
        let world = Instrumentation::new(tracker.probe()).world();
        let other = Frames::new(Arc::clone(&world));
        other.enter();
        for _ in 0..100 {
            let frames = Frames::new(Arc::clone(&world));
            frames.enter();
            frames.end(PacketResult::Presented);
            assert_eq!(tracker.lane_name(Context::current().lane()), Some("surface 2"));
            frames.close();
        }
        other.enter();
        assert_eq!(tracker.lane_name(Context::current().lane()), Some("surface 1"));
        other.close();
    }

    #[test]
    fn what_follows_a_surface_s_last_frame_is_in_none() {
        let world = Instrumentation::new(Tracker::new().probe()).world();
        let [one, other] = [(); 2].map(|()| Frames::new(Arc::clone(&world)));
        one.enter();
        other.enter();
        let of_the_other = Context::current();
        one.close();
        assert_eq!(Context::current(), of_the_other);
        other.close();
        assert_eq!(Context::current(), Context::NONE);
    }
}
