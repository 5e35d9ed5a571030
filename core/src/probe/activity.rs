//! What programs spend time on in calls that make, fill, submit or wait.

use super::ResourceKind;

/// What a program spends time on that is of interest by the frame: how often, for how many bytes, how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Activity {
    /// Compiling pipelines.
    Pipelines,
    /// Compiling shader modules.
    ShaderModules,
    /// Creating any other resource, without the kinds that every frame makes
    /// ([`TrackerBuilder::passing_kinds`](crate::tracker::TrackerBuilder::passing_kinds)).
    Creations,
    /// Uploading: handing bytes to a queue.
    Uploads,
    /// Submitting work to a queue.
    Submissions,
    /// Presenting: a queue that is full waits here for the display.
    Presents,
    /// Waiting: for the GPU, a surface texture, room in a staging ring.
    Stalls,
}

impl Activity {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Pipelines,
        Self::ShaderModules,
        Self::Creations,
        Self::Uploads,
        Self::Submissions,
        Self::Presents,
        Self::Stalls,
    ];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pipelines => "pipelines",
            Self::ShaderModules => "shader_modules",
            Self::Creations => "creations",
            Self::Uploads => "uploads",
            Self::Submissions => "submissions",
            Self::Presents => "presents",
            Self::Stalls => "stalls",
        }
    }

    /// What making a resource of that kind is.
    #[cfg_attr(not(feature = "telemetry"), expect(dead_code, reason = "nothing is made"))]
    #[inline]
    pub(crate) fn of_creating(kind: ResourceKind) -> Self {
        match kind {
            ResourceKind::RENDER_PIPELINE | ResourceKind::COMPUTE_PIPELINE | ResourceKind::OTHER_PIPELINE => {
                Self::Pipelines
            }
            ResourceKind::SHADER_MODULE => Self::ShaderModules,
            _ => Self::Creations,
        }
    }
}
