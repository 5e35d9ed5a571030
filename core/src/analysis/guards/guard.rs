//! Which guards there are.

/// A guard. Its name is the value of the label `guard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Guard {
    /// A resource was destroyed while the packet that uses it was open, or used after it was destroyed.
    DestroyedInUse,
    /// Staged writes wait for a submission that does not come.
    UnsubmittedWrites,
    /// Nothing that was submitted is ever found completed.
    NeverPolled,
    /// One owner makes and releases the like again and again.
    RecreateLoop,
    /// Far more is destroyed than frames are presented.
    DestroyStorm,
    /// What one owner, or one kind, keeps live grows without end.
    Growth,
    /// Names, labels or sites found no room any more.
    LabelOverflow,
}

impl Guard {
    /// All of them, in the order of their indices: what is certain comes before what is inferred.
    pub const ALL: [Self; 7] = [
        Self::DestroyedInUse,
        Self::UnsubmittedWrites,
        Self::NeverPolled,
        Self::RecreateLoop,
        Self::DestroyStorm,
        Self::Growth,
        Self::LabelOverflow,
    ];

    /// The name: the value of the label `guard`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DestroyedInUse => "destroyed_in_use",
            Self::UnsubmittedWrites => "unsubmitted_writes",
            Self::NeverPolled => "never_polled",
            Self::RecreateLoop => "recreate_loop",
            Self::DestroyStorm => "destroy_storm",
            Self::Growth => "growth",
            Self::LabelOverflow => "label_overflow",
        }
    }

    /// A place in tables by guard, below 7.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}
