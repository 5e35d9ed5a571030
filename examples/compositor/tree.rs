//! The compositor: its tree, and what it does in a frame.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine_vitals::Vitals;
use engine_vitals::probe::{Lane, OwnerKind, Packet};

use super::composer::{Composer, FORMAT, Layer, Look};
use super::device::OpenDevice;
use super::failure::Failure;
use super::options::{Options, Plant};
use super::painter::{Canvas, Gpu, Painter};
use super::screenshot;
use super::script::{FAULTY_CHILD, Fate, Layout, Phase, Script, Step};
use super::size::Size;
use super::target::{NativeTarget, Workshop};
use super::truth::{Because, Truth};
use super::visual::{Owner, Place, Resizing, Role, Visual};

/// How long to wait for the GPU before it counts as hung.
const GPU_TIMEOUT: Duration = Duration::from_secs(60);
/// Frames that the CPU may be ahead of the GPU.
const FRAMES_AHEAD: usize = 2;
/// Radius of the cards' corners, in pixels.
const CORNERS: f32 = 12.0;
/// How far a shadow reaches, in pixels.
const SHADOW: f32 = 22.0;
/// How each child answers another size.
const RESIZING: [Resizing; 4] =
    [Resizing::Backing, Resizing::TargetAndQueue, Resizing::TargetAndQueue, Resizing::Target];
/// The key of the thumbnails that leak.
const THUMBNAILS: u64 = 100;

/// The tree, and all that draws it.
pub(crate) struct Compositor<P> {
    visuals: Vec<Visual>,
    leaked: Vec<NativeTarget>,
    /// What the visuals were laid out by.
    layout: Layout,
    /// Pixels that the faulty child lacks.
    wobble: u32,
    /// The whole picture's size, which has changed since the last layout if `resized`.
    size: Size,
    resized: bool,
    picture: Picture,
    painter: P,
    composer: Composer,
    in_flight: VecDeque<wgpu::SubmissionIndex>,
    open: OpenDevice,
    script: Script,
    frame: u64,
    lane: Lane,
    truth: Truth,
    // Dropped last, so that the end of each resource is still seen.
    vitals: Vitals,
}

/// Where the layers come together.
struct Picture {
    owner: Owner,
    texture: wgpu::Texture,
    view: wgpu::TextureView,
    layer: Layer,
}

impl<P: Painter> Compositor<P> {
    pub(crate) fn new(open: OpenDevice, options: &Options, vitals: Vitals) -> Result<Self, Failure> {
        let largest = open.device.limits().max_texture_dimension_2d;
        if options.size.width > largest || options.size.height > largest {
            let Size { width, height } = options.size;
            return Err(Failure::Running(format!("--size {width}x{height}: this adapter's limit is {largest}")));
        }
        let probe = vitals.probe();
        let gpu = Gpu { device: &open.device, queue: &open.queue };
        let root = Owner::new(probe, OwnerKind::ROOT_VISUAL, 1, "root");
        let effects = Owner::new(probe, OwnerKind::EFFECT_PIPELINE, 1, "shadows");
        let renderer = Owner::new(probe, probe.owner_kind("renderer"), 1, P::RENDERER);
        let composer = effects.working(|| Composer::new(gpu.device));
        Ok(Self {
            visuals: Vec::new(),
            leaked: Vec::new(),
            layout: Layout::FINAL,
            wobble: 0,
            size: options.size,
            resized: false,
            picture: Picture::new(gpu.device, &composer, root, options.size),
            painter: renderer.working(|| P::new(gpu))?,
            composer,
            in_flight: VecDeque::new(),
            open,
            script: Script::new(options.seed, options.plant),
            frame: 0,
            lane: probe.lane("compositor"),
            truth: Truth::new(options.seed, options.plant),
            vitals,
        })
    }

    /// Frames so far.
    pub(crate) fn frames(&self) -> u64 {
        self.frame
    }

    /// Packets so far that were shown.
    pub(crate) fn presented(&self) -> u64 {
        self.truth.presented()
    }

    pub(crate) fn open_device(&self) -> &OpenDevice {
        &self.open
    }

    /// What [`show`](Self::show) draws with onto surfaces of a format.
    pub(crate) fn presenter(&self, format: wgpu::TextureFormat) -> wgpu::RenderPipeline {
        self.picture.owner.working(|| self.composer.presenter(&self.open.device, format))
    }

    /// Puts the picture onto a surface's texture.
    pub(crate) fn show(&self, presenter: &wgpu::RenderPipeline, to: &wgpu::TextureView) {
        let gpu = Gpu { device: &self.open.device, queue: &self.open.queue };
        let look = Look::new(Place::WHOLE.0, self.size, 0.0, 1.0);
        self.picture.owner.working(|| self.composer.show(gpu, presenter, to, (&self.picture.layer, look)));
    }

    /// Gives the picture another size, from the next frame on.
    pub(crate) fn resize(&mut self, size: Size) {
        if size != self.size {
            self.size = size;
            self.resized = true;
        }
    }

    /// A packet for the next frame where no surface makes one.
    pub(crate) fn packet(&self) -> Packet {
        self.vitals.probe().packet(self.lane).with_command(self.frame + 1)
    }

    /// Whether there will be nothing to draw in the next frame.
    pub(crate) fn is_idle(&self) -> bool {
        self.script.step(self.frame + 1).fate == Fate::NoOp
    }

    /// Lets an idle frame pass without a packet.
    pub(crate) fn skip(&mut self) {
        self.frame += 1;
    }

    /// Draws the next frame, as part of the packet that the calling thread's context names. [`ended`](Self::ended) must follow.
    ///
    /// # Errors
    /// When the renderer fails, wgpu reported an error or the GPU hangs.
    pub(crate) fn draw(&mut self) -> Result<Fate, Failure> {
        self.frame += 1;
        let step = self.script.step(self.frame);
        let phase = self.script.phase(self.frame);
        self.truth.packet_begins(phase);
        let resized = self.resized;
        self.arrange(&step);
        if step.fate != Fate::NoOp {
            self.paint()?;
            let drawn = self.compose();
            self.in_flight.push_back(drawn);
        }
        if step.writes {
            self.write();
        }
        if step.destroy_in_use {
            self.destroy_in_use();
        }
        // While sizes change, nothing that the GPU still draws with is made anew: the frame waits for it.
        self.wait_until_at_most(if phase == Phase::Startup || resized { 0 } else { FRAMES_AHEAD })?;
        Ok(step.fate)
    }

    /// The frame that was drawn has come to its end.
    pub(crate) fn ended(&mut self, fate: Fate) {
        self.truth.packet_ends(fate);
        self.vitals.registry().update();
    }

    /// Writes the picture to a file.
    ///
    /// # Errors
    /// When it cannot be read back or written.
    pub(crate) fn screenshot(&self, path: &Path) -> Result<(), Failure> {
        screenshot::write(&self.open.device, &self.open.queue, &self.picture.texture, path)
    }

    /// The teardown: releases everything, children before their parents, and gives back what tells of it.
    ///
    /// # Errors
    /// When the GPU does not finish what it has begun.
    pub(crate) fn close(mut self) -> Result<(Vitals, Truth), Failure> {
        self.wait_until_at_most(0)?;
        self.truth.teardown_begins();
        self.vitals.begin_shutdown();
        // The planted leak: nobody has them any more, and nobody released them.
        std::mem::forget(std::mem::take(&mut self.leaked));
        let (mut workshop, visuals) = self.workshop();
        while let Some(visual) = visuals.pop() {
            visual.target.destroy(&mut workshop, Because::Teardown);
        }
        let Self { truth, vitals, .. } = self;
        Ok((vitals, truth))
    }

    /// Makes the tree what the step wants it to be.
    fn arrange(&mut self, step: &Step) {
        if self.visuals.is_empty() {
            self.layout = step.layout.unwrap_or(self.layout);
            self.wobble = step.wobble;
            return self.build();
        }
        for key in &step.vanish {
            let (mut workshop, visuals) = self.workshop();
            let gone = |visual: &mut Visual| visual.role == Role::Transient && visual.owner.key() == *key;
            for visual in visuals.extract_if(.., gone) {
                visual.target.destroy(&mut workshop, Because::Vanished);
            }
        }
        if self.resized {
            let root = self.picture.owner.clone();
            self.picture = Picture::new(&self.open.device, &self.composer, root, self.size);
        }
        if step.layout.is_some() || step.wobble != self.wobble || self.resized {
            self.layout = step.layout.unwrap_or(self.layout);
            self.wobble = step.wobble;
            self.resized = false;
            self.lay_out();
        }
        for key in &step.appear {
            let name = format!("drag image {key}");
            self.add(Role::Transient, *key, &name, Resizing::TargetAndQueue, Because::Appeared);
        }
        if let Some(number) = step.leak {
            self.leak(number);
        }
        let mut children = self.visuals.iter_mut().filter(|visual| visual.role == Role::Child);
        if let Some(child) = step.repaint.and_then(|place| children.nth(place)) {
            child.stale = true;
        }
    }

    /// The tree at the start.
    fn build(&mut self) {
        self.add(Role::Root, 1, "root", Resizing::Backing, Because::Start);
        self.add(Role::Effect, 1, "shadows", Resizing::Target, Because::Start);
        for ((key, name), resizing) in (1..).zip(P::CHILDREN).zip(RESIZING) {
            self.add(Role::Child, key, name, resizing, Because::Start);
        }
        let of_role = |role| self.visuals.iter().filter(move |visual| visual.role == role);
        let faulty = match self.script.plant() {
            // Thumbnails come later.
            Plant::None | Plant::Leak => None,
            Plant::RecreateLoop | Plant::DestroyInUse => of_role(Role::Child).nth(FAULTY_CHILD),
            Plant::UnsubmittedWrites => of_role(Role::Effect).next(),
        };
        if let Some(faulty) = faulty {
            self.truth.planted(&faulty.owner);
        }
    }

    /// A visual with a new target.
    #[track_caller]
    fn add(&mut self, role: Role, key: u64, name: &str, resizing: Resizing, because: Because) {
        let owner = Owner::new(self.vitals.probe(), role.owner_kind(), key, name);
        let place = role.place(key);
        let size = self.wanted(role, key, place);
        let (mut workshop, visuals) = self.workshop();
        let target = NativeTarget::new(&mut workshop, &owner, size, because);
        visuals.push(Visual { role, owner, place, resizing, target, stale: true });
    }

    /// A pass of the layout: every visual is asked to have a size.
    fn lay_out(&mut self) {
        for place in 0..self.visuals.len() {
            let visual = &self.visuals[place];
            let wanted = self.wanted(visual.role, visual.owner.key(), visual.place);
            let (mut workshop, visuals) = self.workshop();
            let visual = visuals.swap_remove(place);
            visuals.push(visual.resized(&mut workshop, wanted));
            let last = visuals.len() - 1;
            visuals.swap(place, last);
        }
    }

    /// The size that a visual is to have now.
    fn wanted(&self, role: Role, key: u64, place: Place) -> Size {
        let child = key.saturating_sub(1) as usize;
        let percent = match role {
            Role::Root | Role::Effect => self.layout.picture,
            Role::Child => self.layout.children.get(child).copied().unwrap_or(self.layout.picture),
            Role::Transient => Layout::FINAL.picture,
        };
        let size = place.size(self.size, percent);
        match role {
            // Shadows are soft: half the picture's size is enough.
            Role::Effect => Size { width: size.width.div_ceil(2), height: size.height.div_ceil(2) },
            Role::Child if child == FAULTY_CHILD => Size { width: size.width - self.wobble, ..size },
            Role::Root | Role::Child | Role::Transient => size,
        }
    }

    /// Paints what is stale, each visual through its own queue.
    fn paint(&mut self) -> Result<(), Failure> {
        let gpu = Gpu { device: &self.open.device, queue: &self.open.queue };
        for visual in self.visuals.iter_mut().filter(|visual| visual.stale && visual.role != Role::Effect) {
            let (index, size) = (visual.owner.key() as usize, visual.target.size());
            let painter = &mut self.painter;
            visual.owner.working(|| {
                visual
                    .target
                    .draw(|view| painter.paint(gpu, Canvas { role: visual.role, index, frame: self.frame, size, view }))
            })?;
            visual.stale = false;
        }
        Ok(())
    }

    /// Draws the shadows, and all layers over each other.
    fn compose(&self) -> wgpu::SubmissionIndex {
        let gpu = Gpu { device: &self.open.device, queue: &self.open.queue };
        let mut shadows = Vec::new();
        let mut layers = Vec::new();
        for visual in &self.visuals {
            let place = visual.place_at(self.frame).0;
            let look = match visual.role {
                Role::Root | Role::Effect => Look::new(place, self.size, 0.0, 1.0),
                Role::Child => Look::new(place, self.size, CORNERS, 1.0),
                Role::Transient => Look::new(place, self.size, CORNERS, 0.85),
            };
            if matches!(visual.role, Role::Child | Role::Transient) {
                shadows.push(look.shadow(self.size, SHADOW, 0.4));
            }
            layers.push((visual.target.layer(), look));
        }
        let of = |role| self.visuals.iter().find(|visual| visual.role == role);
        if let Some(effects) = of(Role::Effect) {
            effects.owner.working(|| effects.target.draw(|view| self.composer.shade(gpu, view, &shadows)));
        }
        let compose = || self.composer.compose(gpu, &self.picture.view, &layers);
        match of(Role::Root) {
            Some(root) => root.owner.working(|| root.target.draw(|_| compose())),
            None => compose(),
        }
    }

    /// The planted leak: one more thumbnail, which nobody will ever release.
    fn leak(&mut self, number: u64) {
        let owner = Owner::new(self.vitals.probe(), OwnerKind::CHILD_VISUAL, THUMBNAILS, "thumbnails");
        if number == 1 {
            self.truth.planted(&owner);
        }
        let size = Size { width: 48, height: 32 };
        let (mut workshop, _) = self.workshop();
        let leaked = NativeTarget::new(&mut workshop, &owner, size, Because::Planted);
        self.leaked.push(leaked);
    }

    /// The planted writes, in the effects' name: wgpu keeps a copy of each until something is submitted.
    fn write(&self) {
        if let Some(effects) = self.visuals.iter().find(|visual| visual.role == Role::Effect) {
            effects.owner.working(|| self.composer.write(&self.open.queue));
        }
    }

    /// The planted misuse: the faulty child's target goes, though the packet under way has drawn with it.
    fn destroy_in_use(&mut self) {
        let is_faulty = |visual: &Visual| visual.role == Role::Child && visual.owner.key() == FAULTY_CHILD as u64 + 1;
        let (mut workshop, visuals) = self.workshop();
        if let Some(place) = visuals.iter().position(is_faulty) {
            let Visual { owner, target, .. } = &mut visuals[place];
            let new = NativeTarget::new(&mut workshop, owner, target.size(), Because::Planted);
            std::mem::replace(target, new).destroy(&mut workshop, Because::Planted);
            visuals[place].stale = true;
        }
    }

    /// What targets are made with, and the visuals that have them.
    fn workshop(&mut self) -> (Workshop<'_>, &mut Vec<Visual>) {
        let workshop = Workshop {
            probe: self.vitals.probe(),
            device: &self.open.device,
            composer: &self.composer,
            usage: P::USAGE,
            truth: &mut self.truth,
        };
        (workshop, &mut self.visuals)
    }

    /// Waits until no more than `frames` are in flight.
    fn wait_until_at_most(&mut self, frames: usize) -> Result<(), Failure> {
        while self.in_flight.len() > frames {
            let wait =
                wgpu::PollType::Wait { submission_index: self.in_flight.pop_front(), timeout: Some(GPU_TIMEOUT) };
            self.open.device.poll(wait).map_err(|error| Failure::Running(format!("waiting for the GPU: {error}")))?;
        }
        if self.open.failed.load(Ordering::Relaxed) {
            return Err(Failure::Running("the GPU reported an error; see above".to_owned()));
        }
        Ok(())
    }
}

impl Picture {
    fn new(device: &wgpu::Device, composer: &Composer, owner: Owner, size: Size) -> Self {
        let usage = wgpu::TextureUsages::RENDER_ATTACHMENT
            | wgpu::TextureUsages::TEXTURE_BINDING
            | wgpu::TextureUsages::COPY_SRC;
        let texture = owner.working(|| {
            device.create_texture(&wgpu::TextureDescriptor {
                label: Some("picture"),
                size: wgpu::Extent3d { width: size.width, height: size.height, depth_or_array_layers: 1 },
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format: FORMAT,
                usage,
                view_formats: &[],
            })
        });
        let view = owner.working(|| texture.create_view(&wgpu::TextureViewDescriptor::default()));
        let layer = owner.working(|| composer.layer(device, &view, "picture"));
        Self { owner, texture, view, layer }
    }
}
