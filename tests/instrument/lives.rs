//! Random programs on the noop backend, against a naive model of who holds what.

use crate::books::Books;
use crate::scene::{self, Gpu};
use engine_vitals::instrument::Instrumentation;
use engine_vitals::probe::{Counts, Level, ResourceKind};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A step of a program. Numbers choose among what is there.
#[derive(Clone, Copy, Debug)]
enum Step {
    Buffer(u64),
    Texture(u32),
    View(usize),
    /// Binds two buffers.
    BindBuffers(usize, usize),
    BindView(usize),
    Clone(usize),
    Drop(usize),
    Destroy(usize),
    Write(usize, usize),
    /// Commands that use two things.
    Record(usize, usize),
    DropCommands(usize),
    /// Submits some of the commands.
    Submit(usize),
    /// Asks for the end of what was submitted, for which wgpu submits what was written.
    Callback,
    Poll,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = || 0..64usize;
    let step = prop_oneof![
        (1..64u64).prop_map(|words| Step::Buffer(words * 16)),
        (1..16u32).prop_map(Step::Texture),
        index().prop_map(Step::View),
        (index(), index()).prop_map(|(a, b)| Step::BindBuffers(a, b)),
        index().prop_map(Step::BindView),
        index().prop_map(Step::Clone),
        index().prop_map(Step::Drop),
        index().prop_map(Step::Drop),
        index().prop_map(Step::Destroy),
        (index(), 1..4usize).prop_map(|(at, words)| Step::Write(at, words)),
        (index(), index()).prop_map(|(a, b)| Step::Record(a, b)),
        index().prop_map(Step::DropCommands),
        (0..4usize).prop_map(Step::Submit),
        Just(Step::Callback),
        Just(Step::Poll),
    ];
    vec(step, 1..80)
}

/// A public handle.
#[derive(Clone)]
enum Handle {
    Buffer(wgpu::Buffer),
    Texture(wgpu::Texture),
    View(wgpu::TextureView),
    Group(wgpu::BindGroup),
}

/// What the model knows of an object.
struct Thing {
    kind: ResourceKind,
    bytes: u64,
    /// The other things that it keeps.
    keeps: Vec<usize>,
    /// One public handle each.
    handles: Vec<Handle>,
    destroyed: bool,
    /// Its memory is gone: it was destroyed, and has had its last use.
    freed: bool,
}

/// Commands that are recorded and not submitted.
struct Commands {
    real: wgpu::CommandBuffer,
    uses: Vec<usize>,
}

struct Program {
    gpu: Gpu,
    books: Books,
    layouts: [wgpu::BindGroupLayout; 2],
    things: Vec<Thing>,
    commands: Vec<Commands>,
    commands_made: u64,
    /// Commands that are submitted and not known to be done.
    commands_in_flight: u64,
    in_flight: Vec<usize>,
    written: Vec<usize>,
    submitted: u64,
    completed: u64,
    staged_bytes: u64,
    submitted_bytes: u64,
}

impl Program {
    fn new() -> Self {
        let books = Books::with_room(256, Level::Events, false);
        let gpu = Gpu::open(&Instrumentation::new(books.tracker.probe()).wrap(scene::noop_instance())).unwrap();
        let layout = |types: &[wgpu::BindingType]| {
            let entry = |(binding, ty): (u32, &wgpu::BindingType)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: *ty,
                count: None,
            };
            let entries: Vec<_> = (0..).zip(types).map(entry).collect();
            let descriptor = wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries };
            gpu.device.create_bind_group_layout(&descriptor)
        };
        let buffer = wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only: true },
            has_dynamic_offset: false,
            min_binding_size: None,
        };
        let texture = wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Float { filterable: true },
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        };
        let layouts = [layout(&[buffer, buffer]), layout(&[texture])];
        Self {
            gpu,
            books,
            layouts,
            things: Vec::new(),
            commands: Vec::new(),
            commands_made: 0,
            commands_in_flight: 0,
            in_flight: Vec::new(),
            written: Vec::new(),
            submitted: 0,
            completed: 0,
            staged_bytes: 0,
            submitted_bytes: 0,
        }
    }

    /// One of the things that fit and have a handle.
    fn pick(&self, number: usize, fits: impl Fn(&Thing) -> bool) -> Option<usize> {
        let found: Vec<_> = (0..self.things.len())
            .filter(|index| !self.things[*index].handles.is_empty() && fits(&self.things[*index]))
            .collect();
        (!found.is_empty()).then(|| found[number % found.len()])
    }

    fn of_kind(&self, number: usize, kind: ResourceKind) -> Option<usize> {
        self.pick(number, |thing| thing.kind == kind && !thing.destroyed)
    }

    fn handle(&self, index: usize) -> &Handle {
        &self.things[index].handles[0]
    }

    fn buffer(&self, index: usize) -> &wgpu::Buffer {
        let Handle::Buffer(buffer) = self.handle(index) else { panic!("{index} is no buffer") };
        buffer
    }

    fn add(&mut self, kind: ResourceKind, bytes: u64, keeps: Vec<usize>, handle: Handle) {
        self.things.push(Thing { kind, bytes, keeps, handles: vec![handle], destroyed: false, freed: false });
    }

    /// The program has a handle: one of its own, or one in a public view, which has its texture's.
    fn has_handle(&self, index: usize) -> bool {
        let inside = |thing: &Thing| {
            thing.kind == ResourceKind::TEXTURE_VIEW && !thing.handles.is_empty() && thing.keeps.contains(&index)
        };
        !self.things[index].handles.is_empty() || self.things.iter().any(inside)
    }

    fn run(&mut self, step: Step) -> Option<()> {
        let device = self.gpu.device.clone();
        match step {
            Step::Buffer(size) => {
                let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
                let handle = Handle::Buffer(self.gpu.buffer("buffer", size, usage));
                self.add(ResourceKind::BUFFER, size, Vec::new(), handle);
            }
            Step::Texture(width) => {
                let usage = wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST;
                let texture = self.gpu.texture("texture", (width, 2), wgpu::TextureFormat::Rgba8Unorm, usage);
                self.add(ResourceKind::TEXTURE, u64::from(width) * 8, Vec::new(), Handle::Texture(texture));
            }
            Step::View(number) => {
                let of = self.of_kind(number, ResourceKind::TEXTURE)?;
                let Handle::Texture(texture) = self.handle(of) else { panic!("{of} is no texture") };
                let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
                self.add(ResourceKind::TEXTURE_VIEW, 0, vec![of], Handle::View(view));
            }
            Step::BindBuffers(a, b) => {
                let both = [self.of_kind(a, ResourceKind::BUFFER)?, self.of_kind(b, ResourceKind::BUFFER)?];
                let entry = |(binding, index): (u32, usize)| wgpu::BindGroupEntry {
                    binding,
                    resource: self.buffer(index).as_entire_binding(),
                };
                let entries: Vec<_> = (0..).zip(both).map(entry).collect();
                let layout = &self.layouts[0];
                let group =
                    device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries });
                self.add(ResourceKind::BIND_GROUP, 0, both.to_vec(), Handle::Group(group));
            }
            Step::BindView(number) => {
                let index = self.of_kind(number, ResourceKind::TEXTURE_VIEW)?;
                if self.things[self.things[index].keeps[0]].destroyed {
                    return None;
                }
                let Handle::View(view) = self.handle(index) else { panic!("{index} is no view") };
                let entries =
                    &[wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(view) }];
                let layout = &self.layouts[1];
                let group = device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries });
                self.add(ResourceKind::BIND_GROUP, 0, vec![index], Handle::Group(group));
            }
            Step::Clone(number) => {
                let index = self.pick(number, |_| true)?;
                let clone = self.handle(index).clone();
                self.things[index].handles.push(clone);
            }
            Step::Drop(number) => {
                let index = self.pick(number, |_| true)?;
                self.things[index].handles.pop();
            }
            Step::Destroy(number) => {
                let index =
                    self.pick(number, |thing| matches!(thing.handles[0], Handle::Buffer(_) | Handle::Texture(_)))?;
                match self.handle(index) {
                    Handle::Buffer(buffer) => buffer.destroy(),
                    Handle::Texture(texture) => texture.destroy(),
                    Handle::View(_) | Handle::Group(_) => return None,
                }
                self.things[index].destroyed = true;
            }
            Step::Write(number, words) => {
                let index = self.of_kind(number, ResourceKind::BUFFER)?;
                self.gpu.queue.write_buffer(self.buffer(index), 0, &vec![1; 4 * words]);
                self.written.push(index);
                self.staged_bytes += 4 * words as u64;
            }
            Step::Record(a, b) => self.record(a, b)?,
            Step::DropCommands(number) => {
                if !self.commands.is_empty() {
                    let index = number % self.commands.len();
                    drop(self.commands.remove(index));
                }
            }
            Step::Submit(count) => self.submit(count),
            Step::Callback => {
                self.gpu.queue.on_submitted_work_done(|| {});
                if !self.written.is_empty() {
                    self.in_flight.append(&mut self.written);
                    self.submitted += 1;
                    self.submitted_bytes = self.staged_bytes;
                }
            }
            Step::Poll => {
                self.gpu.wait();
                self.all_done();
            }
        }
        Some(())
    }

    fn record(&mut self, a: usize, b: usize) -> Option<()> {
        let usable = |thing: &Thing| match thing.kind {
            ResourceKind::BUFFER => !thing.destroyed,
            kind => kind == ResourceKind::BIND_GROUP,
        };
        let uses = vec![self.pick(a, usable)?, self.pick(b, usable)?];
        let mut encoder = self.gpu.encoder("commands");
        for index in &uses {
            match self.handle(*index) {
                Handle::Buffer(buffer) => encoder.clear_buffer(buffer, 0, None),
                Handle::Group(group) => {
                    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                    pass.set_bind_group(0, group, &[]);
                }
                Handle::Texture(_) | Handle::View(_) => return None,
            }
        }
        self.commands.push(Commands { real: encoder.finish(), uses });
        self.commands_made += 1;
        Some(())
    }

    /// The noop backend is done with each submission at once, and says so at the next submission or poll.
    fn submit(&mut self, count: usize) {
        let mut taken: Vec<_> = self.commands.drain(..count.min(self.commands.len())).collect();
        // wgpu refuses those that use what is destroyed, and then does none of what a submission does.
        taken.retain(|commands| {
            let uses = self.kept(commands.uses.iter().copied());
            !uses.into_iter().any(|index| self.things[index].destroyed)
        });
        self.all_done();
        let mut uses = std::mem::take(&mut self.written);
        uses.extend(taken.iter().flat_map(|commands| commands.uses.iter().copied()));
        self.commands_in_flight = taken.len() as u64;
        self.gpu.queue.submit(taken.into_iter().map(|commands| commands.real));
        self.in_flight = uses;
        self.submitted += 1;
        self.submitted_bytes = self.staged_bytes;
    }

    fn all_done(&mut self) {
        self.in_flight.clear();
        self.commands_in_flight = 0;
        self.completed = self.submitted;
    }

    /// All that these keep, themselves included.
    fn kept(&self, roots: impl Iterator<Item = usize>) -> BTreeSet<usize> {
        let (mut kept, mut ahead) = (BTreeSet::new(), roots.collect::<Vec<_>>());
        while let Some(index) = ahead.pop() {
            if kept.insert(index) {
                ahead.extend(&self.things[index].keeps);
            }
        }
        kept
    }

    /// What the totals of a kind should be.
    fn expected(&self, kind: ResourceKind) -> [u64; 6] {
        let handles = (0..self.things.len()).filter(|index| self.has_handle(*index));
        let recorded = self.commands.iter().flat_map(|commands| commands.uses.iter().copied());
        let used = self.written.iter().chain(&self.in_flight).copied();
        let kept = self.kept(handles.chain(recorded).chain(used));
        let [mut created, mut live, mut pending, mut destroyed, mut live_bytes, mut pending_bytes] = [0; 6];
        for (index, thing) in self.things.iter().enumerate().filter(|(_, thing)| thing.kind == kind) {
            created += 1;
            destroyed += u64::from(thing.destroyed);
            if !thing.destroyed && self.has_handle(index) {
                live += 1;
                live_bytes += thing.bytes;
            } else if kept.contains(&index) {
                pending += 1;
                pending_bytes += if thing.freed { 0 } else { thing.bytes };
            }
        }
        [created, live, pending, destroyed, live_bytes, pending_bytes]
    }

    /// The memory of what is destroyed waits for its last use only.
    fn free(&mut self) {
        let in_use = self.kept(self.written.iter().chain(&self.in_flight).copied());
        for (index, thing) in self.things.iter_mut().enumerate() {
            thing.freed |= thing.destroyed && !in_use.contains(&index);
        }
    }

    fn check(&mut self, step: Step) -> Result<(), TestCaseError> {
        self.books.read();
        let totals = self.books.tracker.totals();
        let found = |kind| {
            let counts: Counts = totals.kind(kind).device;
            let bytes = [counts.live_bytes(), counts.pending_bytes()];
            [counts.created, counts.live(), counts.pending(), counts.destroyed, bytes[0], bytes[1]]
        };
        for kind in [ResourceKind::BUFFER, ResourceKind::TEXTURE, ResourceKind::TEXTURE_VIEW, ResourceKind::BIND_GROUP]
        {
            prop_assert_eq!(found(kind), self.expected(kind), "{:?} after {:?}", kind, step);
        }
        let commands = [self.commands_made, self.commands.len() as u64, self.commands_in_flight];
        prop_assert_eq!(found(ResourceKind::COMMAND_BUFFER)[..3].to_vec(), commands, "commands after {:?}", step);
        let submissions = totals.submissions;
        let found =
            [submissions.submitted, submissions.completed, submissions.staged_bytes, submissions.submitted_bytes];
        let expected = [self.submitted, self.completed, self.staged_bytes, self.submitted_bytes];
        prop_assert_eq!(found, expected, "submissions, and staged bytes, after {:?}", step);
        Ok(())
    }
}

proptest! {
    // A failure is made smaller for half a minute at most.
    #![proptest_config(ProptestConfig { max_shrink_time: 30_000, ..ProptestConfig::default() })]

    #[test]
    fn the_books_follow_a_naive_model_of_lives(steps in steps()) {
        let mut program = Program::new();
        for step in steps {
            if program.run(step).is_some() {
                program.free();
                program.check(step)?;
            }
        }
        let Program { gpu, mut books, layouts, things, commands, .. } = program;
        drop((things, commands, layouts));
        gpu.wait();
        drop(gpu);
        books.assert_closed();
        books.assert_told();
    }
}
