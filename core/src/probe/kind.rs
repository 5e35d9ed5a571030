//! What a resource is, who owns it, and which API made it. Names that the program adds are interned for the whole
//! process, so that a kind can be named without its tracker; how many of them one tracker admits is its own limit.

use std::fmt;
use std::sync::OnceLock;

/// Longest name that is kept, in bytes; the rest is cut off at a character boundary.
pub(crate) const MAX_NAME: usize = 64;

/// Resource kinds in all, the built-in and the program's own.
pub(crate) const RESOURCE_KINDS: usize = 64;
/// Resource kinds that a program can add.
pub const MAX_USER_RESOURCE_KINDS: usize = 28;
const FIRST_USER_KIND: usize = RESOURCE_KINDS - MAX_USER_RESOURCE_KINDS;

/// Owner kinds in all.
pub(crate) const OWNER_KINDS: usize = 16;
/// Owner kinds that a program can add.
pub const MAX_USER_OWNER_KINDS: usize = 10;
const FIRST_USER_OWNER: usize = OWNER_KINDS - MAX_USER_OWNER_KINDS;

static USER_KINDS: [OnceLock<&'static str>; MAX_USER_RESOURCE_KINDS] =
    [const { OnceLock::new() }; MAX_USER_RESOURCE_KINDS];
static USER_OWNERS: [OnceLock<&'static str>; MAX_USER_OWNER_KINDS] = [const { OnceLock::new() }; MAX_USER_OWNER_KINDS];

/// Rows of counters: for each resource kind and owner kind the device's own, and suballocations.
#[cfg(feature = "telemetry")]
pub(crate) const ROWS: usize = 2 * (RESOURCE_KINDS + OWNER_KINDS);

/// The row of a resource kind.
#[inline]
pub(crate) fn kind_row(kind: ResourceKind, within: bool) -> usize {
    2 * kind.index() + usize::from(within)
}

/// The row of an owner kind.
#[inline]
pub(crate) fn owner_row(kind: OwnerKind, within: bool) -> usize {
    2 * (RESOURCE_KINDS + kind.index()) + usize::from(within)
}

macro_rules! kinds {
    ($type:ident, $names:ident, $limit:expr; $($(#[$doc:meta])* $constant:ident = $index:literal, $name:literal;)*) => {
        const $names: &[&str] = &[$($name),*];
        // The index of each constant is its place in the list, and the list ends before the program's own kinds.
        const _: () = {
            let mut next = 0;
            $(assert!(next == $index); next += 1;)*
            assert!(next <= $limit);
        };
        impl $type {
            $($(#[$doc])* pub const $constant: Self = Self($index);)*
        }
    };
}

/// What a resource is: one of the constants, or a kind of the program's own ([`Probe::kind`](super::Probe::kind)).
/// At most 64 in all, since each is a label value of several metrics.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKind(u16);

kinds! { ResourceKind, KIND_NAMES, FIRST_USER_KIND;
    /// Kinds beyond the limit.
    OTHER = 0, "other";
    /// A command queue of the native API.
    COMMAND_QUEUE = 1, "command_queue";
    /// A recorded command buffer.
    COMMAND_BUFFER = 2, "command_buffer";
    /// A render target that belongs to a window or layer of the platform.
    NATIVE_TARGET = 3, "native_target";
    /// A render target in a texture.
    TEXTURE_TARGET = 4, "texture_target";
    /// A texture.
    TEXTURE = 5, "texture";
    /// A pipeline state object of the native API.
    PIPELINE_STATE = 6, "pipeline_state";
    /// A visual of a compositor's tree.
    VISUAL = 7, "visual";
    /// A buffer.
    BUFFER = 8, "buffer";
    /// A view of a texture.
    TEXTURE_VIEW = 9, "texture_view";
    /// A sampler.
    SAMPLER = 10, "sampler";
    /// A bind group.
    BIND_GROUP = 11, "bind_group";
    /// A bind group layout.
    BIND_GROUP_LAYOUT = 12, "bind_group_layout";
    /// A pipeline layout.
    PIPELINE_LAYOUT = 13, "pipeline_layout";
    /// A render pipeline.
    RENDER_PIPELINE = 14, "render_pipeline";
    /// A compute pipeline.
    COMPUTE_PIPELINE = 15, "compute_pipeline";
    /// A mesh pipeline or ray-tracing pipeline, or another that is neither render nor compute.
    OTHER_PIPELINE = 16, "other_pipeline";
    /// A shader module.
    SHADER_MODULE = 17, "shader_module";
    /// A set of queries.
    QUERY_SET = 18, "query_set";
    /// A recorded bundle of render commands.
    RENDER_BUNDLE = 19, "render_bundle";
    /// A command encoder.
    COMMAND_ENCODER = 20, "command_encoder";
    /// A surface of a window.
    SURFACE = 21, "surface";
    /// A texture acquired from a surface.
    SURFACE_TEXTURE = 22, "surface_texture";
    /// A device.
    DEVICE = 23, "device";
    /// wgpu's queue.
    QUEUE = 24, "queue";
    /// A pipeline cache.
    PIPELINE_CACHE = 25, "pipeline_cache";
    /// A bottom-level acceleration structure.
    BLAS = 26, "blas";
    /// A top-level acceleration structure.
    TLAS = 27, "tlas";
    /// A buffer through which uploads or readbacks pass.
    STAGING_BUFFER = 28, "staging_buffer";
    /// A texture of several planes from outside.
    EXTERNAL_TEXTURE = 29, "external_texture";
    /// A block of memory that others are placed in.
    MEMORY_BLOCK = 30, "memory_block";
    /// A block of memory in system memory, for CPU-side caches.
    CPU_MEMORY = 31, "cpu_memory";
}

impl ResourceKind {
    /// The kind's name: the value of the label `resource`, in snake case for the built-in ones.
    #[must_use]
    pub fn name(self) -> &'static str {
        name(KIND_NAMES, &USER_KINDS, FIRST_USER_KIND, self.index())
    }

    /// The kind of that name if it is built in or was interned before.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        find(KIND_NAMES, &USER_KINDS, FIRST_USER_KIND, name).map(Self::at)
    }

    /// A place in tables by kind, below 64.
    #[must_use]
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0) % RESOURCE_KINDS
    }

    #[inline]
    pub(crate) fn at(index: usize) -> Self {
        Self((index % RESOURCE_KINDS) as u16)
    }

    /// The kinds as a set, a bit each.
    #[cfg(feature = "telemetry")]
    pub(crate) fn set_of(kinds: &[Self]) -> u64 {
        kinds.iter().fold(0, |set, kind| set | 1 << kind.index())
    }

    /// The kinds of a set.
    #[cfg(feature = "telemetry")]
    pub(crate) fn all_in(set: u64) -> impl Iterator<Item = Self> {
        (0..RESOURCE_KINDS).map(Self::at).filter(move |kind| kind.is_in(set))
    }

    /// Whether the kind is in a set.
    #[cfg(feature = "telemetry")]
    #[inline]
    pub(crate) fn is_in(self, set: u64) -> bool {
        set >> self.index() & 1 != 0
    }

    /// The kind of that name, interned if need be; `None` if there is no room.
    #[cfg(feature = "telemetry")]
    pub(crate) fn intern(name: &str) -> Option<Self> {
        intern(KIND_NAMES, &USER_KINDS, FIRST_USER_KIND, name).map(Self::at)
    }

    #[cfg(feature = "telemetry")]
    pub(crate) fn is_built_in(self) -> bool {
        self.index() < KIND_NAMES.len()
    }
}

impl fmt::Debug for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What kind of thing in the engine owns a resource: one of the constants, or a kind of the program's own
/// ([`Probe::owner_kind`](super::Probe::owner_kind)). At most 16 in all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerKind(u8);

kinds! { OwnerKind, OWNER_NAMES, FIRST_USER_OWNER;
    /// Made outside any owner's context.
    UNOWNED = 0, "unowned";
    /// Kinds beyond the limit.
    OTHER = 1, "other";
    /// The root visual of a tree.
    ROOT_VISUAL = 2, "root_visual";
    /// A visual below the root.
    CHILD_VISUAL = 3, "child_visual";
    /// A pipeline of effects.
    EFFECT_PIPELINE = 4, "effect_pipeline";
    /// Scratch that lives for a frame or less.
    TRANSIENT = 5, "transient";
}

impl OwnerKind {
    /// The kind's name: the value of the label `owner_kind`.
    #[must_use]
    pub fn name(self) -> &'static str {
        name(OWNER_NAMES, &USER_OWNERS, FIRST_USER_OWNER, self.index())
    }

    /// The kind of that name if it is built in or was interned before.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        find(OWNER_NAMES, &USER_OWNERS, FIRST_USER_OWNER, name).map(Self::at)
    }

    /// A place in tables by kind, below 16.
    #[must_use]
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0) % OWNER_KINDS
    }

    #[inline]
    pub(crate) fn at(index: usize) -> Self {
        Self((index % OWNER_KINDS) as u8)
    }

    /// The kind of that name, interned if need be; `None` if there is no room.
    #[cfg(feature = "telemetry")]
    pub(crate) fn intern(name: &str) -> Option<Self> {
        intern(OWNER_NAMES, &USER_OWNERS, FIRST_USER_OWNER, name).map(Self::at)
    }

    #[cfg(feature = "telemetry")]
    pub(crate) fn is_built_in(self) -> bool {
        self.index() < OWNER_NAMES.len()
    }
}

impl fmt::Debug for OwnerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The graphics API that a resource was made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// No API in particular.
    #[default]
    Common,
    /// Metal.
    Metal,
    /// Direct3D 12.
    D3D12,
    /// Vulkan.
    Vulkan,
    /// OpenGL or OpenGL ES.
    Gl,
    /// WebGPU of a browser.
    WebGpu,
    /// wgpu's backend that does nothing.
    Noop,
}

impl Backend {
    /// All of them, in the order of their indices.
    pub const ALL: [Self; 7] =
        [Self::Common, Self::Metal, Self::D3D12, Self::Vulkan, Self::Gl, Self::WebGpu, Self::Noop];

    /// The name in the event schema.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Common => "Common",
            Self::Metal => "Metal",
            Self::D3D12 => "D3D12",
            Self::Vulkan => "Vulkan",
            Self::Gl => "Gl",
            Self::WebGpu => "WebGpu",
            Self::Noop => "Noop",
        }
    }
}

/// `name`, no longer than names are kept.
pub(crate) fn cut(name: &str, limit: usize) -> &str {
    &name[..name.floor_char_boundary(limit)]
}

/// `name` as it is kept: cut to 64 bytes, and never empty, since an empty label value is no label.
pub(crate) fn as_kept(name: &str) -> &str {
    if name.is_empty() { "unnamed" } else { cut(name, MAX_NAME) }
}

/// A copy of `name` that is never freed. Callers keep the number of these bounded.
#[cfg(feature = "telemetry")]
pub(crate) fn keep(name: &str) -> &'static str {
    let _own = crate::memory::HeapTag::OWN.enter();
    Box::leak(Box::from(as_kept(name)))
}

fn name(built_in: &[&'static str], user: &[OnceLock<&'static str>], first_user: usize, index: usize) -> &'static str {
    let user_name = || index.checked_sub(first_user).and_then(|index| user.get(index)?.get().copied());
    built_in.get(index).copied().or_else(user_name).unwrap_or("other")
}

fn find(built_in: &[&str], user: &[OnceLock<&'static str>], first_user: usize, name: &str) -> Option<usize> {
    let name = as_kept(name);
    let user_place = || user.iter().position(|kept| kept.get() == Some(&name)).map(|index| first_user + index);
    built_in.iter().position(|kept| *kept == name).or_else(user_place)
}

#[cfg(feature = "telemetry")]
fn intern(built_in: &[&str], user: &[OnceLock<&'static str>], first_user: usize, name: &str) -> Option<usize> {
    find(built_in, user, first_user, name).or_else(|| {
        let name = as_kept(name);
        // The first cell that is free or holds the name: a rival that takes a cell first only moves us on.
        let index = user.iter().position(|kept| *kept.get_or_init(|| keep(name)) == name)?;
        Some(first_user + index)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_names_are_label_values_and_unique() {
        for names in [KIND_NAMES, OWNER_NAMES] {
            for (index, name) in names.iter().enumerate() {
                assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
                assert_eq!(names.iter().position(|other| other == name), Some(index), "{name} is there twice");
            }
        }
        assert_eq!(ResourceKind::STAGING_BUFFER.name(), "staging_buffer");
        assert_eq!(ResourceKind::by_name("blas"), Some(ResourceKind::BLAS));
        assert_eq!(OwnerKind::by_name("transient"), Some(OwnerKind::TRANSIENT));
    }

    #[test]
    fn names_are_cut_at_a_character() {
        assert_eq!(cut("añb", 2), "a");
        assert_eq!(cut("añb", 3), "añ");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!((as_kept(""), as_kept(&"x".repeat(65)).len()), ("unnamed", 64));
    }

    #[cfg(feature = "telemetry")]
    #[test]
    fn interning_a_name_twice_gives_one_kind_and_built_in_names_their_own() {
        let kind = ResourceKind::intern("terrain_tile");
        assert!(kind.is_some_and(|kind| !kind.is_built_in() && kind.name() == "terrain_tile"));
        assert_eq!(kind, ResourceKind::intern("terrain_tile"));
        assert_eq!(ResourceKind::intern("buffer"), Some(ResourceKind::BUFFER));
        assert_eq!(OwnerKind::intern("root_visual"), Some(OwnerKind::ROOT_VISUAL));
    }
}
