//! Taking a dump: a tracker's answers with names in place of numbers.

use super::DumpOptions;
use super::model::{
    Dump, DumpCause, DumpHitch, DumpOwner, DumpTotals, KindLine, LaneLine, Life, Packet, PacketName, Resource, Slice,
    SubmissionLine, Sum, Timeline, Touch,
};
use super::names::Names;
use crate::analysis::hitches::Hitch;
use crate::contract::StoreReport;
use crate::probe::{Backend, Counts, EventKind, Lane, Level, OwnerId, PacketId, ResourceId};
use crate::tracker::{Burst, Lives, PacketRecord, ResourceRecord, Totals, Tracker};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use web_time::SystemTime;

/// Events of each thread that are looked through for touches.
const MOST_EVENTS: usize = 1 << 16;

impl Dump {
    /// Everything that the tracker knows now. Takes about as long as [`Tracker::snapshot`] and some microseconds for each resource;
    /// producers go on meanwhile.
    #[must_use]
    pub fn take(tracker: &Tracker, options: &DumpOptions) -> Self {
        // The packets' resources are most likely still there when the snapshot comes first.
        let mut snapshot = tracker.snapshot();
        let left_out = keep_biggest(&mut snapshot.resources, options.resources);
        let mut dump = Self::of_resources(tracker, snapshot.resources);
        dump.left_out = left_out;
        dump.taken = snapshot.taken;
        dump.tracked_since = snapshot.tracked_since;
        dump.contended = snapshot.contended;
        dump.level = level_name(snapshot.level).to_owned();
        let mut namer = Namer::new(tracker);
        dump.totals = namer.totals(&tracker.totals());
        dump.packets = namer.packets(options);
        dump.timeline = namer.timeline(options);
        (dump.staging_rings, dump.memory_pools, dump.target_pools) = StoreReport::by_kind(tracker.stores());
        dump
    }

    /// Fills in the creation sites that are not known by `site`, for layers that know them otherwise.
    pub fn locate(&mut self, site: impl FnMut(ResourceId) -> Option<String>) {
        locate(&mut self.resources, site);
    }

    /// Puts in what a monitor of hitches has kept, of which the tracker knows nothing.
    pub fn set_hitches(&mut self, hitches: &[Hitch]) {
        let mut names = Names::<DumpOwner>::default();
        self.hitches = hitches.iter().map(|hitch| dump_hitch(&mut names, hitch)).collect();
    }

    /// A dump of these resources and nothing else.
    pub(crate) fn of_resources(tracker: &Tracker, records: Vec<ResourceRecord>) -> Self {
        let mut namer = Namer::new(tracker);
        let mut resources: Vec<_> = records.into_iter().map(|record| namer.resource(record)).collect();
        resources.sort_unstable_by_key(|resource| resource.id);
        Self { run: run().to_owned(), level: level_name(tracker.level()).to_owned(), resources, ..Self::default() }
    }
}

fn dump_hitch(names: &mut Names<DumpOwner>, hitch: &Hitch) -> DumpHitch {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let causes = hitch.causes.iter().map(|evidence| DumpCause {
        cause: names.get(evidence.cause.name()),
        ns: nanos(evidence.time),
        basis: names.get(evidence.basis.name()),
        count: evidence.work.count,
        bytes: evidence.work.bytes,
        pass: evidence.pass.as_ref().map(|pass| Arc::clone(&pass.name)),
        pass_frame: evidence.pass.as_ref().map(|pass| pass.frame),
    });
    DumpHitch {
        frame: hitch.frame,
        ended: hitch.ended,
        frame_ns: nanos(hitch.time),
        typical_ns: hitch.typical.map(nanos),
        budget_ns: nanos(hitch.budget),
        causes: causes.collect(),
        text: hitch.to_string(),
    }
}

/// Fills in the sites that are not known.
pub(crate) fn locate(resources: &mut [Resource], mut site: impl FnMut(ResourceId) -> Option<String>) {
    let mut names = Names::<DumpOwner>::default();
    for resource in resources.iter_mut().filter(|resource| resource.site.is_none()) {
        resource.site = ResourceId::new(resource.id).and_then(&mut site).map(|site| names.get(&site));
    }
}

/// Keeps the biggest, and says what it left out.
fn keep_biggest(records: &mut Vec<ResourceRecord>, most: usize) -> Sum {
    let held = |record: &ResourceRecord| if record.freed { 0 } else { record.bytes };
    let mut left_out = Sum::default();
    if records.len() > most {
        records.select_nth_unstable_by_key(most, |record| (Reverse(held(record)), record.id));
        for record in records.drain(most..) {
            left_out.add(held(&record));
        }
        records.shrink_to_fit();
    }
    left_out
}

/// The process, by its number and the time of the first dump.
fn run() -> &'static str {
    static RUN: OnceLock<String> = OnceLock::new();
    RUN.get_or_init(|| {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // A browser has no numbers of processes.
        let process = if cfg!(target_family = "wasm") { 0 } else { std::process::id() };
        format!("{process}-{}", since_epoch.as_nanos())
    })
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Off => "off",
        Level::Counters => "counters",
        Level::Events => "events",
    }
}

/// Knows the names of what a tracker numbers.
struct Namer<'a> {
    tracker: &'a Tracker,
    names: Names<DumpOwner>,
    owners: HashMap<OwnerId, Arc<DumpOwner>>,
    sites: HashMap<&'static Location<'static>, Arc<str>>,
}

impl<'a> Namer<'a> {
    fn new(tracker: &'a Tracker) -> Self {
        Self { tracker, names: Names::default(), owners: HashMap::new(), sites: HashMap::new() }
    }

    fn resource(&mut self, record: ResourceRecord) -> Resource {
        Resource {
            id: record.id.get(),
            kind: self.names.get(record.kind.name()),
            bytes: record.bytes,
            label: record.label.map(|label| self.names.get(&label)),
            owner: record.owner.map(|owner| self.owner(owner)),
            site: record.site.map(|site| self.site(site)),
            created: record.created,
            created_in: record.created_in.map(|packet| self.packet_name(packet)),
            last_packet: record.last_packet.map(|packet| self.packet_name(packet)),
            handle_dropped: record.handle_dropped,
            destroyed: record.destroyed,
            freed: record.freed,
            within: record.within.map(|block| block.get()),
            links: record.links.iter().map(|link| link.get()).collect(),
            backend: (record.backend != Backend::Common).then(|| self.names.get(record.backend.name())),
            native: record.native,
            extent: record.extent.map(|extent| [extent.width, extent.height, extent.depth_or_layers]),
            scale: record.extent.and_then(|extent| extent.scale).filter(|scale| scale.is_finite()),
        }
    }

    fn owner(&mut self, owner: OwnerId) -> Arc<DumpOwner> {
        let Self { tracker, names, owners, .. } = self;
        let known = owners.entry(owner).or_insert_with(|| {
            let known = tracker.owner(owner);
            let name = known.and_then(|known| known.name).map(|name| names.get(name));
            Arc::new(DumpOwner { kind: names.get(owner.kind().name()), key: known.map(|known| known.key), name })
        });
        Arc::clone(known)
    }

    fn site(&mut self, site: &'static Location<'static>) -> Arc<str> {
        Arc::clone(self.sites.entry(site).or_insert_with(|| site.to_string().into()))
    }

    fn lane(&mut self, lane: Lane) -> Arc<str> {
        self.names.get(self.tracker.lane_name(lane).unwrap_or("other"))
    }

    fn packet_name(&mut self, packet: PacketId) -> PacketName {
        PacketName { lane: self.lane(packet.lane()), number: packet.number() }
    }

    fn totals(&mut self, totals: &Totals) -> DumpTotals {
        let mut kinds = Vec::new();
        for (kind, sums) in totals.kinds() {
            for (counts, suballocations) in [(sums.device, false), (sums.within, true)] {
                if counts.created > 0 {
                    kinds.push(kind_line(self.names.get(kind.name()), suballocations, &counts));
                }
            }
        }
        let lanes = totals.lanes.iter().map(|lane| LaneLine {
            lane: self.names.get(lane.name),
            queued: lane.packets.queued,
            presented: lane.packets.presented,
            dropped: lane.packets.dropped,
            no_op: lane.packets.no_op,
            failed: lane.packets.failed,
        });
        DumpTotals {
            peak_live_bytes: totals.peak_live_bytes(),
            peak_error_bytes: totals.peak_error_bytes(),
            telemetry_bytes: totals.telemetry_bytes,
            lanes: lanes.collect(),
            kinds,
            submissions: SubmissionLine {
                submitted: totals.submissions.submitted,
                completed: totals.submissions.completed,
                abandoned: totals.submissions.abandoned,
                unsubmitted_bytes: totals.submissions.unsubmitted_bytes(),
            },
            events_produced: totals.events.produced,
            events_overwritten: totals.events.overwritten,
            untracked_resources: totals.overflows.resources,
            names_not_kept: totals.overflows.names(),
        }
    }

    /// The last packets. Their touches are the Bind events that the rings still have.
    fn packets(&mut self, options: &DumpOptions) -> Vec<Packet> {
        let records = self.tracker.packets(options.packets);
        let mut touches = self.touches(&records, options.touches);
        let packet = |record: PacketRecord| {
            let (touched, left_out) = match &mut touches {
                Some(touches) => {
                    let (touched, left_out) = touches.remove(&record.id).unwrap_or_default();
                    (Some(touched), left_out)
                }
                None => (None, 0),
            };
            Packet {
                lane: self.lane(record.lane),
                number: record.id.number(),
                command: record.command,
                queued: record.queued,
                submitted: record.submitted,
                completed: record.completed,
                ended: record.ended,
                result: record.result.map(|result| self.names.get(result.name())),
                submissions: record.submissions.into(),
                created: record.created,
                released: record.released,
                touches: touched,
                touches_left_out: left_out,
            }
        };
        records.into_iter().map(packet).collect()
    }

    /// What these packets touched, each resource once, and how many there were beyond `most`; `None` if no touches are recorded.
    fn touches(&mut self, packets: &[PacketRecord], most: usize) -> Option<HashMap<PacketId, (Vec<Touch>, u64)>> {
        let tracker = self.tracker;
        if tracker.level() != Level::Events {
            return None;
        }
        let events = tracker.recent_events(MOST_EVENTS);
        let mut touches: HashMap<_, _> = packets.iter().map(|packet| (packet.id, (Vec::new(), 0))).collect();
        let mut seen = HashSet::new();
        let binds = events.iter().filter(|event| event.event == EventKind::Bind);
        for (packet, resource, kind) in
            binds.filter_map(|event| Some((event.packet?, event.resource?, event.resource_kind?)))
        {
            let Some((touched, left_out)) = touches.get_mut(&packet).filter(|_| seen.insert((packet, resource))) else {
                continue;
            };
            if touched.len() < most {
                touched.push(Touch { resource: resource.get(), kind: self.names.get(kind.name()) });
            } else {
                *left_out += 1;
            }
        }
        (tracker.touch_lists() || !seen.is_empty()).then_some(touches)
    }

    fn timeline(&mut self, options: &DumpOptions) -> Timeline {
        let slices = self.tracker.bursts().into_iter();
        let Lives { mut ended, missed } = self.tracker.lives();
        let before = ended.len().saturating_sub(options.lives);
        let lives = ended.drain(..).skip(before).map(|record| Life {
            id: record.id.get(),
            kind: self.names.get(record.kind.name()),
            label: record.label.map(|label| self.names.get(&label)),
            owner: record.owner.map(|owner| self.owner(owner)),
            site: record.site.map(|site| self.site(site)),
            bytes: record.bytes,
            created: record.created,
            created_in: record.created_in.map(|packet| self.packet_name(packet)),
            released: record.released,
            released_in: record.released_in.map(|packet| self.packet_name(packet)),
            explicit: record.explicit,
        });
        Timeline {
            slice_ns: u64::try_from(Burst::SPAN.as_nanos()).unwrap_or(u64::MAX),
            lives: lives.collect(),
            lives_missed: missed + before as u64,
            slices: slices
                .map(|burst| Slice { from: burst.from, created: burst.created, released: burst.released })
                .collect(),
        }
    }
}

fn kind_line(kind: Arc<str>, suballocations: bool, counts: &Counts) -> KindLine {
    KindLine {
        kind,
        suballocations,
        created: counts.created,
        live: counts.live(),
        live_bytes: counts.live_bytes(),
        pending: counts.pending(),
        pending_bytes: counts.pending_bytes(),
        released: counts.released,
        destroyed: counts.destroyed,
        rebuilds: counts.rebuilds,
    }
}
