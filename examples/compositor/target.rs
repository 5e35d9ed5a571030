//! Native targets and their command queues: what wgpu does not know and the compositor therefore reports by hand.
//!
//! Both are modelled on renderers over native APIs, where each window or layer has a target that brings its own queue. A ticket stands
//! for each; the texture behind a target is wgpu's, and the instrumentation counts its bytes.

use engine_vitals::probe::{Extent, New, Probe};
use engine_vitals::{Context, ResourceKind, Ticket};

use super::composer::{Composer, Layer};
use super::size::Size;
use super::truth::{Because, Serial, Truth, What};
use super::visual::Owner;

/// What targets are made with.
pub(crate) struct Workshop<'a> {
    pub(crate) probe: Probe,
    pub(crate) device: &'a wgpu::Device,
    pub(crate) composer: &'a Composer,
    /// What the painter needs of a target.
    pub(crate) usage: wgpu::TextureUsages,
    pub(crate) truth: &'a mut Truth,
}

/// Takes the commands that draw into one target to the device.
#[derive(Debug)]
pub(crate) struct CommandQueue {
    ticket: Ticket,
    serial: Serial,
}

/// Something to draw into, and its queue.
#[derive(Debug)]
pub(crate) struct NativeTarget {
    ticket: Ticket,
    serial: Serial,
    backing: Backing,
    queue: CommandQueue,
}

/// The texture behind a target, and how it is shown.
#[derive(Debug)]
struct Backing {
    size: Size,
    view: wgpu::TextureView,
    layer: Layer,
}

// A creation's site is where the visual's code asked for it.
impl CommandQueue {
    #[track_caller]
    fn new(workshop: &mut Workshop<'_>, owner: &Owner, because: Because) -> Self {
        let _working = owner.enter();
        Self {
            ticket: workshop.probe.create(New::of(ResourceKind::COMMAND_QUEUE, 0).label(owner.name())),
            serial: workshop.truth.created(What::CommandQueue, owner, because),
        }
    }

    /// Runs what submits commands, as part of the packet under way.
    pub(crate) fn execute<R>(&self, commands: impl FnOnce() -> R) -> R {
        self.ticket.touch(Context::current().packet());
        commands()
    }

    fn destroy(self, workshop: &mut Workshop<'_>, because: Because) {
        drop(self.ticket);
        workshop.truth.destroyed(self.serial, because);
    }
}

impl NativeTarget {
    /// A target with a queue of its own.
    #[track_caller]
    pub(crate) fn new(workshop: &mut Workshop<'_>, owner: &Owner, size: Size, because: Because) -> Self {
        let queue = CommandQueue::new(workshop, owner, because);
        Self::around(workshop, owner, queue, size, because)
    }

    /// A target for a queue that is there.
    #[track_caller]
    fn around(workshop: &mut Workshop<'_>, owner: &Owner, queue: CommandQueue, size: Size, because: Because) -> Self {
        let _working = owner.enter();
        let queue_id = queue.ticket.id();
        let new = New::native_target(0).label(owner.name()).extent(Extent::new(size.width, size.height));
        let new = new.links(queue_id.as_slice());
        Self {
            ticket: workshop.probe.create(new),
            serial: workshop.truth.created(What::NativeTarget, owner, because),
            backing: Backing::new(workshop, owner, size),
            queue,
        }
    }

    /// Notes that a size was asked for, whether it is another one or not.
    pub(crate) fn asked(&self, workshop: &mut Workshop<'_>, owner: &Owner) {
        owner.working(|| self.ticket.resize_requested());
        workshop.truth.asked(self.serial);
    }

    /// Keeps the target and makes the texture behind it anew.
    pub(crate) fn rebuild(&mut self, workshop: &mut Workshop<'_>, owner: &Owner, size: Size) {
        let _working = owner.enter();
        self.backing = Backing::new(workshop, owner, size);
        self.ticket.resize_to(0, Extent::new(size.width, size.height));
        workshop.truth.rebuilt(self.serial);
    }

    /// Destroys the target and its queue.
    pub(crate) fn destroy(self, workshop: &mut Workshop<'_>, because: Because) {
        self.dismantle(workshop, because).destroy(workshop, because);
    }

    /// Destroys the target alone.
    fn dismantle(self, workshop: &mut Workshop<'_>, because: Because) -> CommandQueue {
        drop(self.backing);
        drop(self.ticket);
        workshop.truth.destroyed(self.serial, because);
        self.queue
    }

    /// Destroys the target and takes its queue for another one.
    #[track_caller]
    pub(crate) fn replaced(self, workshop: &mut Workshop<'_>, owner: &Owner, size: Size, because: Because) -> Self {
        let queue = self.dismantle(workshop, because);
        owner.working(|| queue.ticket.reused());
        workshop.truth.reused(queue.serial);
        Self::around(workshop, owner, queue, size, because)
    }

    /// Draws into the target through its queue.
    pub(crate) fn draw<R>(&self, commands: impl FnOnce(&wgpu::TextureView) -> R) -> R {
        self.ticket.touch(Context::current().packet());
        self.queue.execute(|| commands(&self.backing.view))
    }

    /// What is drawn, as a layer of the picture.
    pub(crate) fn layer(&self) -> &Layer {
        self.ticket.touch(Context::current().packet());
        &self.backing.layer
    }

    pub(crate) fn size(&self) -> Size {
        self.backing.size
    }
}

impl Backing {
    fn new(workshop: &Workshop<'_>, owner: &Owner, size: Size) -> Self {
        let texture = workshop.device.create_texture(&wgpu::TextureDescriptor {
            label: Some(owner.name()),
            size: wgpu::Extent3d { width: size.width, height: size.height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: super::composer::FORMAT,
            usage: workshop.usage | wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::TEXTURE_BINDING,
            view_formats: &[],
        });
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        let layer = workshop.composer.layer(workshop.device, &view, owner.name());
        Self { size, view, layer }
    }
}
