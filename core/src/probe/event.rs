//! What happened, when, to what: the event schema, and the marks by which a program reports what has no ticket.

use super::{Backend, Extent, Lane, OwnerId, PacketId, PacketResult, ResourceId, ResourceKind, Ticket, Timestamp};
use std::time::Duration;

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A resource was created.
    Create,
    /// A resource was released: its last reference is gone. Once per resource.
    Destroy,
    /// Work was submitted to a queue.
    Submit,
    /// Submitted work was completed.
    Complete,
    /// A frame was shown.
    Present,
    /// A resource's storage was rebuilt in another size.
    ResizeRebuild,
    /// A resource was bound or touched by a packet, or taken by a submission.
    Bind,
    /// A resource was unbound.
    Unbind,
    /// A point that the program, or a packet's beginning or end without a present, marks by a name.
    Marker,
}

impl EventKind {
    /// All of them, in the order of their indices.
    pub const ALL: [Self; 9] = [
        Self::Create,
        Self::Destroy,
        Self::Submit,
        Self::Complete,
        Self::Present,
        Self::ResizeRebuild,
        Self::Bind,
        Self::Unbind,
        Self::Marker,
    ];

    /// The name in the event schema.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Destroy => "Destroy",
            Self::Submit => "Submit",
            Self::Complete => "Complete",
            Self::Present => "Present",
            Self::ResizeRebuild => "ResizeRebuild",
            Self::Bind => "Bind",
            Self::Unbind => "Unbind",
            Self::Marker => "Marker",
        }
    }
}

/// One event. What is unknown or does not apply is `None`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// When it happened; [`Timestamp::unix_millis`] is the schema's `ts`.
    pub time: Timestamp,
    /// What happened.
    pub event: EventKind,
    /// The API that the resource was made with.
    pub backend: Backend,
    /// The resource's kind.
    pub resource_kind: Option<ResourceKind>,
    /// The resource.
    pub resource: Option<ResourceId>,
    /// The API's own handle.
    pub native: Option<u64>,
    /// The thread that reported it: its [`std::thread::ThreadId`], hashed.
    pub thread: u64,
    /// The resource's owner, or for events of no resource, the owner in whose context it happened.
    pub owner: Option<OwnerId>,
    /// The packet in whose context it happened, or for a touch, the packet that touched.
    pub packet: Option<PacketId>,
    /// The packet's lane, or the lane in whose context it happened.
    pub lane: Option<Lane>,
    /// The resource's size as an image.
    pub extent: Option<Extent>,
    /// The resource's bytes (after a resize, the new ones); for a submission, the staged bytes that went with it.
    pub bytes: Option<u64>,
    /// Place among the resource's events: 0 for its creation, always; a gap means events that were lost. Steps at a level
    /// below [`Events`](super::Level::Events) take no place.
    pub sequence: Option<u32>,
    /// What a submission, its command buffers and its completion have in common.
    pub correlation: Option<u64>,
    /// For a creation, the resource's label, to 64 bytes; `None` beyond 4,096 different ones.
    pub label: Option<&'static str>,
    /// The marker's name.
    pub marker: Option<&'static str>,
    /// How the packet ended.
    pub result: Option<PacketResult>,
    /// For a creation, the time that it took, if that was reported.
    pub took: Option<Duration>,
    /// For a destruction, the time since the creation.
    pub lifetime: Option<Duration>,
    /// The resource lies within a block that is tracked itself.
    pub suballocation: bool,
}

/// What a program reports beside the lives of its resources. Packet, lane and owner come from the current
/// [`Context`](super::Context).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Mark<'a> {
    /// Work was submitted. Counted; takes with it all bytes that were [staged](super::Probe::staged) so far.
    Submit {
        /// The program's own number for the submission.
        correlation: u64,
        /// The queue.
        queue: Option<&'a Ticket>,
        /// The command buffers in it: each has a [`Bind`](EventKind::Bind) event with the correlation.
        command_buffers: &'a [&'a Ticket],
    },
    /// Submitted work was completed. Counted, also while the level is [`Off`](super::Level::Off).
    Complete {
        /// The submission's number.
        correlation: u64,
        /// The queue.
        queue: Option<&'a Ticket>,
    },
    /// Submitted work will never be known to complete: its device was lost. Counted, also while the level is
    /// [`Off`](super::Level::Off); an event [`Marker`](EventKind::Marker) named `submission abandoned`.
    Abandoned {
        /// The submission's number.
        correlation: u64,
    },
    /// A frame was shown. For engines without packets: the end of a packet as presented is the same event.
    Present {
        /// The surface.
        surface: Option<&'a Ticket>,
    },
    /// A target was rebuilt in another size, through other means than [`Ticket::resize`]. Counted for the target's kind.
    ResizeRebuild {
        /// The target.
        target: &'a Ticket,
        /// Its new size.
        extent: Option<Extent>,
    },
    /// A resource was bound.
    Bind {
        /// The resource.
        resource: &'a Ticket,
    },
    /// A resource was unbound.
    Unbind {
        /// The resource.
        resource: &'a Ticket,
    },
    /// A point worth seeing among the events. Names are kept for good, to 64 bytes each and 1,024 of them; later ones are
    /// counted and come without a name.
    Marker(&'a str),
}

impl<'a> Mark<'a> {
    /// A submission on no queue in particular.
    #[must_use]
    pub const fn submit(correlation: u64) -> Self {
        Self::Submit { correlation, queue: None, command_buffers: &[] }
    }

    /// A completion on no queue in particular.
    #[must_use]
    pub const fn complete(correlation: u64) -> Self {
        Self::Complete { correlation, queue: None }
    }

    /// A marker.
    #[must_use]
    pub const fn marker(name: &'a str) -> Self {
        Self::Marker(name)
    }
}
