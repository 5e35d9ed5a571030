//! Appends packets to the text: tracks, and events on them with categories and arguments by number.

use super::schema::{
    CHILD_ORDERING_EXPLICIT, CLOCK_REALTIME, Clock, ClockSnapshot, CounterDescriptor, Data, DebugAnnotation, EventType,
    Interned, InternedData, ProcessDescriptor, SEQ_INCREMENTAL_STATE_CLEARED, SEQ_NEEDS_INCREMENTAL_STATE, Trace,
    TraceDefaults, TracePacket, TrackDescriptor, TrackEvent, Unit, Value,
};
use engine_vitals_core::probe::Timestamp;
use prost::Message;
use std::io;

/// All packets of a file are one sequence.
const SEQUENCE: u32 = 1;

/// An enum whose names are told once, at the beginning of the file, and then go by number, from 1.
macro_rules! interned {
    ($(#[$doc:meta])* $type:ident { $($(#[$entry:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $type { $($(#[$entry])* $variant),* }

        impl $type {
            fn all() -> Vec<Interned> {
                let all = [$((Self::$variant, $name)),*];
                all.map(|(one, name)| Interned { iid: Some(one.iid()), name: Some(name.to_owned()) }).into()
            }

            fn iid(self) -> u64 {
                self as u64 + 1
            }
        }
    };
}

interned! {
    /// What an event tells of: queries go by it.
    Category {
        Packet = "packet",
        Submission = "submission",
        Resource = "resource",
        Resize = "resize",
        Present = "present",
        Marker = "marker",
        Hitch = "hitch",
        Store = "store",
        Loss = "loss",
        Trace = "trace",
    }
}

interned! {
    /// What an event's arguments are called.
    Arg {
        Id = "id",
        Kind = "kind",
        Label = "label",
        Backend = "backend",
        Bytes = "bytes",
        Width = "width",
        Height = "height",
        DepthOrLayers = "depth_or_layers",
        Native = "native_handle",
        OwnerKind = "owner_kind",
        OwnerKey = "owner_key",
        Owner = "owner",
        CreatedIn = "created_in",
        ReleasedIn = "released_in",
        TookNanos = "took_ns",
        Suballocation = "suballocation",
        AgeAtStart = "age_at_start_ns",
        BeginNotRecorded = "begin_not_recorded",
        EndNotRecorded = "end_not_recorded",
        Lane = "lane",
        Number = "number",
        Result = "result",
        Command = "command",
        Submissions = "submissions",
        Created = "created",
        Released = "released",
        Packet = "packet",
        Correlation = "correlation",
        StagedBytes = "staged_bytes",
        Outcome = "outcome",
        Count = "count",
        Events = "events",
        EventsLost = "events_lost",
        LeftOut = "left_out",
        Version = "engine_vitals",
        Frame = "frame",
        FrameNanos = "frame_ns",
        TypicalNanos = "typical_ns",
        BudgetNanos = "budget_ns",
        Cause = "cause",
        Explained = "explained",
        PipelinesNanos = "pipelines_ns",
        ShaderModulesNanos = "shader_modules_ns",
        UploadsNanos = "uploads_ns",
        CreationsNanos = "creations_ns",
        DestructionsNanos = "destructions_ns",
        SubmissionsNanos = "submissions_ns",
        StallsNanos = "stalls_ns",
        HeapAllocationsNanos = "heap_allocations_ns",
        GpuPassNanos = "gpu_pass_ns",
        ExternalNanos = "external_ns",
    }
}

/// An argument of an event.
pub(crate) fn arg(name: Arg, value: Value) -> DebugAnnotation {
    DebugAnnotation { name_iid: Some(name.iid()), value: Some(value) }
}

/// A number as an argument.
pub(crate) fn number(name: Arg, value: impl Into<u64>) -> DebugAnnotation {
    arg(name, Value::Uint(value.into()))
}

/// A text as an argument.
pub(crate) fn text(name: Arg, value: impl Into<String>) -> DebugAnnotation {
    arg(name, Value::String(value.into()))
}

/// A remark as an argument.
pub(crate) fn remark(name: Arg) -> DebugAnnotation {
    arg(name, Value::Bool(true))
}

/// What comes first: the clock, and the names that go by number from here on.
pub(crate) fn header(out: &mut Vec<u8>, now: Timestamp) -> io::Result<()> {
    let clock = Clock { clock_id: Some(CLOCK_REALTIME), timestamp: Some(now.unix_nanos()) };
    let clocks = ClockSnapshot { clocks: vec![clock], primary_trace_clock: Some(CLOCK_REALTIME) };
    append(out, packet(SEQ_INCREMENTAL_STATE_CLEARED, Some(Data::ClockSnapshot(clocks))))?;
    append(
        out,
        TracePacket {
            interned_data: Some(InternedData { event_categories: Category::all(), debug_annotation_names: Arg::all() }),
            trace_packet_defaults: Some(TraceDefaults { timestamp_clock_id: Some(CLOCK_REALTIME) }),
            ..packet(SEQ_INCREMENTAL_STATE_CLEARED, None)
        },
    )
}

/// The process, which all tracks lie below.
pub(crate) fn process(out: &mut Vec<u8>, uuid: u64, name: String) -> io::Result<()> {
    let pid = i32::try_from(std::process::id()).ok();
    let process = ProcessDescriptor { pid, process_name: Some(name) };
    let ordering = Some(CHILD_ORDERING_EXPLICIT);
    track(
        out,
        TrackDescriptor { uuid: Some(uuid), process: Some(process), child_ordering: ordering, ..Default::default() },
    )
}

/// A track, or a heading for others, at a place among those below its parent.
pub(crate) fn named_track(out: &mut Vec<u8>, uuid: u64, parent: u64, rank: i32, name: &str) -> io::Result<()> {
    track(out, descriptor(uuid, parent, rank, name))
}

/// A track of figures.
pub(crate) fn counter_track(
    out: &mut Vec<u8>,
    uuid: u64,
    parent: u64,
    rank: i32,
    name: &str,
    unit: Unit,
) -> io::Result<()> {
    let counter = Some(CounterDescriptor { unit: Some(unit.into()) });
    track(out, TrackDescriptor { counter, ..descriptor(uuid, parent, rank, name) })
}

/// A slice begins.
pub(crate) fn begin(
    out: &mut Vec<u8>,
    at: u64,
    track: u64,
    category: Category,
    name: String,
    flow: Option<u64>,
    args: Vec<DebugAnnotation>,
) -> io::Result<()> {
    let event = TrackEvent {
        category_iids: vec![category.iid()],
        debug_annotations: args,
        name: Some(name),
        flow_ids: flow.into_iter().collect(),
        ..on(track, EventType::SliceBegin)
    };
    append_event(out, at, event)
}

/// The track's open slice ends.
pub(crate) fn end(out: &mut Vec<u8>, at: u64, track: u64, args: Vec<DebugAnnotation>) -> io::Result<()> {
    append_event(out, at, TrackEvent { debug_annotations: args, ..on(track, EventType::SliceEnd) })
}

/// Something without a duration.
pub(crate) fn instant(
    out: &mut Vec<u8>,
    at: u64,
    track: u64,
    category: Category,
    name: &str,
    args: Vec<DebugAnnotation>,
) -> io::Result<()> {
    instant_of(out, at, track, category, name.to_owned(), None, args)
}

/// Something without a duration, to which an arrow leads.
pub(crate) fn instant_of(
    out: &mut Vec<u8>,
    at: u64,
    track: u64,
    category: Category,
    name: String,
    flow: Option<u64>,
    args: Vec<DebugAnnotation>,
) -> io::Result<()> {
    let event = TrackEvent {
        category_iids: vec![category.iid()],
        debug_annotations: args,
        name: Some(name),
        flow_ids: flow.into_iter().collect(),
        ..on(track, EventType::Instant)
    };
    append_event(out, at, event)
}

/// A figure's value from now on.
pub(crate) fn counter(out: &mut Vec<u8>, at: u64, track: u64, value: u64) -> io::Result<()> {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    append_event(out, at, TrackEvent { counter_value: Some(value), ..on(track, EventType::Counter) })
}

fn on(track: u64, kind: EventType) -> TrackEvent {
    TrackEvent { track_uuid: Some(track), r#type: Some(kind.into()), ..Default::default() }
}

fn descriptor(uuid: u64, parent: u64, rank: i32, name: &str) -> TrackDescriptor {
    TrackDescriptor {
        uuid: Some(uuid),
        name: Some(name.to_owned()),
        parent_uuid: Some(parent),
        sibling_order_rank: Some(rank),
        ..Default::default()
    }
}

fn track(out: &mut Vec<u8>, descriptor: TrackDescriptor) -> io::Result<()> {
    append(out, packet(SEQ_NEEDS_INCREMENTAL_STATE, Some(Data::TrackDescriptor(descriptor))))
}

fn append_event(out: &mut Vec<u8>, at: u64, event: TrackEvent) -> io::Result<()> {
    let packet = packet(SEQ_NEEDS_INCREMENTAL_STATE, Some(Data::TrackEvent(event)));
    append(out, TracePacket { timestamp: Some(at), ..packet })
}

fn packet(flags: u32, data: Option<Data>) -> TracePacket {
    TracePacket { trusted_packet_sequence_id: Some(SEQUENCE), sequence_flags: Some(flags), data, ..Default::default() }
}

fn append(out: &mut Vec<u8>, packet: TracePacket) -> io::Result<()> {
    Trace { packet: vec![packet] }.encode(out).map_err(io::Error::other)
}
