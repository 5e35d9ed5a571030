//! Which guards there are.

/// A guard. Its name is the value of the label `guard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Guard {
    /// A resource was destroyed while the packet that uses it was open, or used after it was destroyed.
    DestroyedInUse,
    /// GPU memory has crossed a soft budget.
    GpuBudget,
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
    /// The heap has crossed its budget.
    HeapBudget,
    /// What is live under one heap tag grows without end.
    HeapGrowth,
}

impl Guard {
    /// All of them, in the order of their indices: what is certain comes before what is inferred.
    pub const ALL: [Self; 10] = [
        Self::DestroyedInUse,
        Self::GpuBudget,
        Self::UnsubmittedWrites,
        Self::NeverPolled,
        Self::RecreateLoop,
        Self::DestroyStorm,
        Self::Growth,
        Self::LabelOverflow,
        Self::HeapBudget,
        Self::HeapGrowth,
    ];

    /// The name: the value of the label `guard`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DestroyedInUse => "destroyed_in_use",
            Self::GpuBudget => "gpu_budget",
            Self::UnsubmittedWrites => "unsubmitted_writes",
            Self::NeverPolled => "never_polled",
            Self::RecreateLoop => "recreate_loop",
            Self::DestroyStorm => "destroy_storm",
            Self::Growth => "growth",
            Self::LabelOverflow => "label_overflow",
            Self::HeapBudget => "heap_budget",
            Self::HeapGrowth => "heap_growth",
        }
    }

    /// Whether it guards the heap; the others guard what a tracker counts.
    #[must_use]
    pub fn is_of_heap(self) -> bool {
        matches!(self, Self::HeapBudget | Self::HeapGrowth)
    }

    /// A place in tables by guard, below 10.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}
