//! The lines: what each field is, and when it is there. `docs/EVENTS.md` has the same as a table, and a test holds the two
//! together.

use engine_vitals_core::probe::{Event, PacketId, PacketResult, ResourceId, ResourceKind};
use engine_vitals_core::tracker::Tracker;
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;

/// One event as it is written, by [`serde`] or [`write_event`]. What is unknown or does not apply is `None` and has no
/// field in the line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EventLine {
    /// When it happened: milliseconds since the Unix epoch.
    pub ts: u64,
    /// The API that the resource was made with; `Common` for events of no resource.
    pub backend: &'static str,
    /// What happened: the name of an [`EventKind`](engine_vitals_core::probe::EventKind).
    pub event: &'static str,
    /// The resource's kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<&'static str>,
    /// The resource: unique within its tracker, never reused, increasing per thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<u64>,
    /// The resource's name for people, to 64 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<&'static str>,
    /// The API's own handle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_handle: Option<u64>,
    /// The thread that reported it: its [`std::thread::ThreadId`], hashed.
    pub thread_id: u64,
    /// Width in texels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in texels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Pixels per logical pixel. A scale that is no finite number is `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f32>,
    /// Depth in texels, or array layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth_or_layers: Option<u32>,
    /// The resource's bytes, after a resize the new ones; for a submission, the staged bytes that went with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The kind of the resource's owner, or for events of no resource, of the owner in whose context it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_kind: Option<&'static str>,
    /// The program's own number for the owner; `None` for owners beyond the tracker's limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_key: Option<u64>,
    /// The owner's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_name: Option<&'static str>,
    /// The name of the lane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane_id: Option<&'static str>,
    /// The packet's place among its lane's packets, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_id: Option<u64>,
    /// Place among the resource's events, from 0; a gap means events that were lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u32>,
    /// What a submission and its completion have in common.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<u64>,
    /// The marker's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marker: Option<&'static str>,
    /// How the packet ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<&'static str>,
    /// Time that the creation took, in microseconds with the nanoseconds as decimals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_us: Option<f64>,
    /// Time from creation to destruction, in microseconds with the nanoseconds as decimals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_us: Option<f64>,
    /// The resource lies within a block that is tracked itself. Written only where it is so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub suballocation: bool,
}

impl EventLine {
    /// The line of an event. `tracker` is the one that the event came from: it knows the names of owners and lanes.
    #[must_use]
    pub fn new(event: &Event, tracker: &Tracker) -> Self {
        let owner = event.owner.and_then(|owner| tracker.owner(owner));
        Self {
            ts: event.time.unix_millis(),
            backend: event.backend.name(),
            event: event.event.name(),
            resource_type: event.resource_kind.map(ResourceKind::name),
            resource_id: event.resource.map(ResourceId::get),
            label: event.label,
            native_handle: event.native,
            thread_id: event.thread,
            width: event.extent.map(|extent| extent.width),
            height: event.extent.map(|extent| extent.height),
            scale: event.extent.and_then(|extent| extent.scale).filter(|scale| scale.is_finite()),
            depth_or_layers: event.extent.map(|extent| extent.depth_or_layers),
            bytes: event.bytes,
            owner_kind: event.owner.map(|owner| owner.kind().name()),
            owner_key: owner.map(|owner| owner.key),
            owner_name: owner.and_then(|owner| owner.name),
            lane_id: event.lane.and_then(|lane| tracker.lane_name(lane)),
            packet_id: event.packet.map(PacketId::number),
            sequence: event.sequence,
            correlation_id: event.correlation,
            marker: event.marker,
            result: event.result.map(PacketResult::name),
            took_us: event.took.map(micros),
            lifetime_us: event.lifetime.map(micros),
            suballocation: event.suballocation,
        }
    }
}

/// Writes one event as one line, in several small writes: give it a buffer. `tracker` is the one that the event came from.
///
/// # Errors
/// The writer's own.
pub fn write_event<W: Write + ?Sized>(writer: &mut W, event: &Event, tracker: &Tracker) -> io::Result<()> {
    write_line(writer, &EventLine::new(event, tracker))
}

/// Events that were overwritten before they could be read. It has no `event`, by which readers tell it apart.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct LossLine {
    /// When the loss was noticed: milliseconds since the Unix epoch.
    pub(crate) ts: u64,
    /// How many, beyond those that earlier lines told of.
    pub(crate) lost: u64,
}

pub(crate) fn write_line<W: Write + ?Sized>(writer: &mut W, line: &impl Serialize) -> io::Result<()> {
    // JSON escapes every line break within a string.
    serde_json::to_writer(&mut *writer, line)?;
    writer.write_all(b"\n")
}

/// Microseconds, exact to the nanosecond below 2^52 ns (52 days).
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hitch_line::HitchLine;
    use engine_vitals_core::probe::{Backend, EventKind};
    use serde_json::{Map, Value};
    use std::collections::BTreeMap;

    /// Every field there is: one that is added does not compile until it is here, and then must be in the table.
    const FULL: EventLine = EventLine {
        ts: 1,
        backend: "Vulkan",
        event: "Create",
        resource_type: Some("texture"),
        resource_id: Some(2),
        label: Some("shadow"),
        native_handle: Some(3),
        thread_id: 4,
        width: Some(5),
        height: Some(6),
        scale: Some(1.5),
        depth_or_layers: Some(7),
        bytes: Some(8),
        owner_kind: Some("transient"),
        owner_key: Some(9),
        owner_name: Some("blur"),
        lane_id: Some("main"),
        packet_id: Some(10),
        sequence: Some(11),
        correlation_id: Some(12),
        marker: Some("here"),
        result: Some("presented"),
        took_us: Some(0.5),
        lifetime_us: Some(0.25),
        suballocation: true,
    };

    /// Fields and JSON types, as the lines have them.
    fn written() -> BTreeMap<String, &'static str> {
        let mut fields = Map::new();
        for line in [serde_json::to_value(FULL).unwrap(), serde_json::to_value(LossLine { ts: 1, lost: 2 }).unwrap()] {
            fields.extend(line.as_object().unwrap().clone());
        }
        types(&fields)
    }

    /// The JSON type of each field.
    fn types(fields: &Map<String, Value>) -> BTreeMap<String, &'static str> {
        let kind = |value: &Value| match value {
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_u64() => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Null | Value::Object(_) => "no field is this",
        };
        fields.iter().map(|(name, value)| (name.clone(), kind(value))).collect()
    }

    /// Rows of the page's tables under a heading: the first two cells, without the code marks.
    fn rows(page: &str, heading: &str) -> Vec<(String, String)> {
        let section = page.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
        let cell = |cell: Option<&str>| cell.unwrap_or_default().trim().trim_matches('`').to_owned();
        let rows = section.lines().filter(|line| line.starts_with("| `")).map(|line| {
            let mut cells = line.split('|').skip(1);
            (cell(cells.next()), cell(cells.next()))
        });
        rows.collect()
    }

    #[test]
    fn the_page_has_exactly_the_fields_names_and_types_that_are_written() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/EVENTS.md")).unwrap();
        let table = rows(&page, "Fields");
        let documented: BTreeMap<_, _> = table.iter().map(|(name, kind)| (name.clone(), kind.as_str())).collect();
        assert_eq!(documented.len(), table.len(), "a field has two rows");
        assert_eq!(documented, written());

        let hitch = serde_json::to_value(HitchLine::full()).unwrap();
        for (heading, fields) in [("Hitches", &hitch), ("Causes", &hitch["causes"][0])] {
            let table = rows(&page, heading);
            let documented: BTreeMap<_, _> = table.iter().map(|(name, kind)| (name.clone(), kind.as_str())).collect();
            assert_eq!(documented, types(fields.as_object().unwrap()), "{heading}");
        }

        let names = |heading| rows(&page, heading).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names("Events"), EventKind::ALL.map(EventKind::name));
        assert_eq!(names("Backends"), Backend::ALL.map(Backend::name));
    }

    #[test]
    fn a_line_of_nothing_but_the_needed_has_no_other_field() {
        let bare = EventLine {
            resource_type: None,
            resource_id: None,
            label: None,
            native_handle: None,
            width: None,
            height: None,
            scale: None,
            depth_or_layers: None,
            bytes: None,
            owner_kind: None,
            owner_key: None,
            owner_name: None,
            lane_id: None,
            packet_id: None,
            sequence: None,
            correlation_id: None,
            marker: None,
            result: None,
            took_us: None,
            lifetime_us: None,
            suballocation: false,
            ..FULL
        };
        let text = serde_json::to_string(&bare).unwrap();
        assert_eq!(text, r#"{"ts":1,"backend":"Vulkan","event":"Create","threadId":4}"#);
    }

    #[test]
    fn times_keep_their_nanoseconds() {
        for nanos in [0, 1, 999, 1_000, 12_345, 86_400_000_000_001, (1 << 52) - 1] {
            let micros = micros(Duration::from_nanos(nanos));
            assert_eq!((micros * 1e3).round() as u64, nanos, "{micros}");
        }
    }
}
