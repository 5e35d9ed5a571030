//! Visuals: what the tree is made of, who they are, where they lie and how they answer another size.

use engine_vitals::probe::{ContextGuard, OwnerId, Probe};
use engine_vitals::{Context, OwnerKind};

use super::size::Size;
use super::target::{NativeTarget, Workshop};
use super::truth::Because;

/// What a visual is in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The background, at the bottom.
    Root,
    /// A pipeline of effects: shadows.
    Effect,
    /// A card on the root.
    Child,
    /// What is there for a few frames.
    Transient,
}

/// A visual's name in the telemetry: whatever is made in its context is its own.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    id: OwnerId,
    kind: OwnerKind,
    key: u64,
    name: String,
}

/// A visual, and what it is drawn into.
#[derive(Debug)]
pub(crate) struct Visual {
    pub(crate) role: Role,
    pub(crate) owner: Owner,
    pub(crate) place: Place,
    pub(crate) resizing: Resizing,
    pub(crate) target: NativeTarget,
    /// What is in the target is older than the target or than what it shows.
    pub(crate) stale: bool,
}

/// What is made anew when the size changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resizing {
    /// The texture behind the target.
    Backing,
    /// The target, around its queue.
    Target,
    /// Both: what a recreate storm is made of.
    TargetAndQueue,
}

/// Left, top, width and height, in shares of the picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place(pub(crate) [f32; 4]);

impl Role {
    pub(crate) fn owner_kind(self) -> OwnerKind {
        match self {
            Self::Root => OwnerKind::ROOT_VISUAL,
            Self::Effect => OwnerKind::EFFECT_PIPELINE,
            Self::Child => OwnerKind::CHILD_VISUAL,
            Self::Transient => OwnerKind::TRANSIENT,
        }
    }

    /// Where the visual of that key lies.
    pub(crate) fn place(self, key: u64) -> Place {
        match self {
            Self::Root | Self::Effect => Place::WHOLE,
            Self::Child => Place::CHILDREN[key.saturating_sub(1) as usize % Place::CHILDREN.len()],
            Self::Transient => Place::of_transient(key),
        }
    }
}

impl Visual {
    /// Where it is in a frame: cards float a little.
    pub(crate) fn place_at(&self, frame: u64) -> Place {
        let [left, top, width, height] = self.place.0;
        let floats = match self.role {
            Role::Root | Role::Effect => 0.0,
            Role::Child | Role::Transient => 0.006 * (frame as f32 * 0.07 + self.owner.key() as f32 * 1.7).sin(),
        };
        Place([left, top + floats, width, height])
    }

    /// Itself in the size that it is asked to have. The site of what is made anew is here.
    pub(crate) fn resized(mut self, workshop: &mut Workshop<'_>, size: Size) -> Self {
        self.target.asked(workshop, &self.owner);
        if size == self.target.size() {
            return self;
        }
        self.stale = true;
        let (owner, because) = (&self.owner, Because::Resize);
        match self.resizing {
            Resizing::Backing => self.target.rebuild(workshop, owner, size),
            Resizing::Target => self.target = self.target.replaced(workshop, owner, size, because),
            Resizing::TargetAndQueue => {
                self.target.destroy(workshop, because);
                self.target = NativeTarget::new(workshop, owner, size, because);
            }
        }
        self
    }
}

impl Owner {
    pub(crate) fn new(probe: Probe, kind: OwnerKind, key: u64, name: &str) -> Self {
        Self { id: probe.owner_named(kind, key, name), kind, key, name: name.to_owned() }
    }

    pub(crate) fn kind(&self) -> OwnerKind {
        self.kind
    }

    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` in this owner's name.
    pub(crate) fn working<R>(&self, work: impl FnOnce() -> R) -> R {
        let _working = self.enter();
        work()
    }

    /// What is made until the guard is dropped is this owner's.
    pub(crate) fn enter(&self) -> ContextGuard {
        Context::current().with_owner(self.id).enter()
    }
}

impl Place {
    /// The whole picture.
    pub(crate) const WHOLE: Self = Self([0.0, 0.0, 1.0, 1.0]);

    /// Where the children lie.
    pub(crate) const CHILDREN: [Self; 4] = [
        Self([0.05, 0.08, 0.42, 0.50]),
        Self([0.52, 0.08, 0.43, 0.28]),
        Self([0.52, 0.43, 0.43, 0.49]),
        Self([0.05, 0.65, 0.42, 0.27]),
    ];

    /// Where a transient lies.
    pub(crate) fn of_transient(key: u64) -> Self {
        let step = (key % 8) as f32;
        Self([0.20 + 0.07 * step, 0.30 + 0.06 * step, 0.18, 0.16])
    }

    /// In pixels, of a picture of which `percent` are there.
    pub(crate) fn size(self, picture: Size, percent: u32) -> Size {
        let side = |share: f32, pixels: u32| ((share * (pixels * percent) as f32 / 100.0) as u32).max(8);
        Size { width: side(self.0[2], picture.width), height: side(self.0[3], picture.height) }
    }
}
