//! Makes the report of the spans between steps: who, what, why, in names.

use std::collections::HashMap;
use std::panic::Location;
use std::time::Duration;

use super::churn::ratio;
use super::lanes::lanes;
use super::readiness::{readiness, working_set};
use super::reasons::replacements;
use super::report::{
    Contributor, DestroyBurst, DestroyReason, DestroyedResource, KindFigures, LifecycleTelemetry, LifetimeBucket,
    Others, OwnerKindFigures, OwnerName, PacketFigures, PacketRef, ReasonFigures, RecreateLoop, StartupReport,
    WindowReport,
};
use super::windows::{Analyzer, Detail, Span, StartupEnd, Window};
use crate::contract::StoreReport;
use crate::probe::{Counts, Lane, OwnerId, OwnerKind, PacketId, ResourceId, ResourceKind, Timestamp};
use crate::tracker::{LaneTotals, LifeRecord, Owner, OwnerTotals, PacketRecord, PoolCandidate, ResourceRecord};

/// What a report is made of beside an [`Analyzer`]: the tracker's answers at about one moment.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Answers {
    /// All counters and records.
    pub detail: Detail,
    /// Every live or pending resource.
    pub resources: Vec<ResourceRecord>,
    /// The newest packets.
    pub packets: Vec<PacketRecord>,
    /// Each lane's totals and name.
    pub lanes: Vec<LaneTotals>,
    /// Sorts of resources that a pool could keep, those of most bytes first.
    pub candidates: Vec<PoolCandidate>,
    /// Kinds that every frame makes by its nature.
    pub passing: Vec<ResourceKind>,
    /// What hands out memory from resources of its own.
    pub stores: Vec<StoreReport>,
}

impl Analyzer {
    /// The report: of the windows that have ended as they ended, of the one under way by these answers.
    #[must_use]
    pub fn report(&self, answers: &Answers, owner: impl Fn(OwnerId) -> Option<Owner>) -> LifecycleTelemetry {
        let startup = self.startup_span(&answers.detail);
        let steady_state = self.span(Window::SteadyState, &answers.detail);
        let shutdown = self.span(Window::Shutdown, &answers.detail);
        let ended = [Some(&startup), steady_state.as_ref(), shutdown.as_ref()].into_iter().flatten();
        let ended = ended.flat_map(|span| &span.lives);
        let replaced = replacements(ended.clone(), answers.resources.iter());
        let writer = Writer { analyzer: self, answers, owner: &owner, replaced: &replaced };
        let recreated =
            |kind| ended.clone().filter(|life| life.kind == kind && replaced.contains_key(&life.id)).count() as u64;
        let now = &answers.detail.edge;
        let rules = self.rules();
        let (staging_rings, memory_pools, target_pools) = StoreReport::by_kind(answers.stores.iter().cloned());
        LifecycleTelemetry {
            started_unix_millis: self.began().unix_millis(),
            age: writer.since_start(now.observation.time),
            passing_kinds: answers.passing.iter().map(|kind| kind.name()).collect(),
            startup: writer.startup(writer.window(&startup)),
            steady_state: steady_state.as_ref().map(|span| writer.window(span)),
            shutdown: shutdown.as_ref().map(|span| writer.window(span)),
            lanes: lanes(&answers.packets, |lane| writer.lane(lane)),
            working_set: working_set(&answers.resources, rules.working_set_packets, |lane| {
                answers.lanes.iter().find(|totals| totals.lane == lane).map_or(0, |totals| totals.packets.queued)
            }),
            readiness: readiness(&now.kinds, recreated, &answers.candidates, rules.top),
            staging_rings,
            memory_pools,
            target_pools,
        }
    }
}

/// Writes windows with names.
struct Writer<'a, F> {
    analyzer: &'a Analyzer,
    answers: &'a Answers,
    owner: &'a F,
    replaced: &'a HashMap<ResourceId, ResourceId>,
}

impl<F: Fn(OwnerId) -> Option<Owner>> Writer<'_, F> {
    fn startup(&self, window: WindowReport) -> StartupReport {
        let rules = self.analyzer.rules();
        let startup = self.analyzer.startup();
        let stable = startup.filter(|startup| startup.end == StartupEnd::Stable);
        StartupReport {
            ended: startup.map(|startup| startup.end),
            stable_packets: rules.stable_packets,
            stable_ratio: rules.stable_ratio,
            stabilization: self.analyzer.stabilization(),
            presented_before_stable: stable.and_then(|startup| startup.presented_before_stable),
            presented_at_stable: stable.map(|_| window.packets.presented),
            destroy_bursts: startup.map(|startup| startup.bursts),
            window,
        }
    }

    fn window(&self, span: &Span) -> WindowReport {
        let (begin, end) = (&span.begin.observation, &span.end.observation);
        let rules = self.analyzer.rules();
        let packets = PacketFigures::between(begin, end);
        let (all, churn) = (end.all.since(begin.all), span.counted());
        let kinds = self.kinds(span);
        let (owner_kinds, owners) = (owner_kinds(span), owners(span));
        let counted = sum(differences(&span.begin.kinds, &span.end.kinds, |kind| !self.passes(kind)));
        let (contributors, other_contributors) = self.contributors(&owners);
        let (recreate_loops, recreate_loops_left_out) = self.loops(span, &owners, packets.presented);
        let lives = &span.lives;
        let listed: Vec<_> = lives.iter().take(rules.listed).map(|life| self.destroyed(span.window, life)).collect();
        WindowReport {
            window: span.window,
            open: span.open,
            from: self.since_start(begin.time),
            until: self.since_start(end.time),
            packets,
            created: all.created,
            destroyed: all.destroyed,
            churn,
            churn_ratio: churn.ratio(packets.presented),
            created_per_packet: ratio(churn.created, packets.queued),
            destroyed_per_packet: ratio(churn.destroyed, packets.queued),
            short_lived: counted.short_lived,
            mean_lifetime: counted.mean_lifetime(),
            lifetimes: lifetimes(span),
            kinds,
            owner_kinds,
            contributors,
            other_contributors,
            recreate_loops,
            recreate_loops_left_out,
            destroy_bursts: self.bursts(span),
            reasons: self.reasons(span),
            destroyed_resources_left_out: (lives.len() - listed.len()) as u64 + span.lives_missed,
            destroyed_resources: listed,
        }
    }

    fn kinds(&self, span: &Span) -> Vec<KindFigures> {
        let live =
            |kind| span.end.kinds.iter().find(|(known, _)| *known == kind).map_or(0, |(_, counts)| counts.live());
        let mut kinds: Vec<_> = differences(&span.begin.kinds, &span.end.kinds, |_| true)
            .filter(|(_, counts)| counts.created + counts.released > 0)
            .collect();
        // Queues and native targets are what most readers look for.
        let first = |kind: ResourceKind| {
            let place = [ResourceKind::COMMAND_QUEUE, ResourceKind::NATIVE_TARGET].iter().position(|one| *one == kind);
            place.unwrap_or(usize::MAX)
        };
        kinds.sort_by_key(|(kind, counts)| (first(*kind), std::cmp::Reverse(counts.created + counts.released)));
        kinds
            .into_iter()
            .map(|(kind, counts)| KindFigures {
                kind: kind.name(),
                passing: self.passes(kind),
                created: counts.created,
                destroyed: counts.released,
                live: live(kind),
                created_bytes: counts.created_bytes,
                mean_lifetime: counts.mean_lifetime(),
                short_lived: counts.short_lived,
            })
            .collect()
    }

    fn contributors(&self, owners: &[OwnerChurn]) -> (Vec<Contributor>, Others) {
        let top = self.analyzer.rules().top;
        let listed = owners.iter().take(top).map(|owner| Contributor {
            owner: self.owner_name(owner.id),
            created: owner.counts.created,
            destroyed: owner.counts.released,
            created_bytes: owner.counts.created_bytes,
            kind: owner.kind.map(ResourceKind::name),
            site: owner.site.map(line),
        });
        let others = owners.iter().skip(top).fold(Others::default(), |sum, owner| Others {
            owners: sum.owners + 1,
            created: sum.created + owner.counts.created,
            destroyed: sum.destroyed + owner.counts.released,
        });
        (listed.collect(), others)
    }

    /// Owners that destroyed and made again so many times, and for each hundred presented packets at least once. Not those whose
    /// nature it is.
    fn loops(&self, span: &Span, owners: &[OwnerChurn], presented: u64) -> (Vec<RecreateLoop>, u64) {
        let rules = self.analyzer.rules();
        let replaced = |owner: OwnerId| {
            let lives = span.lives.iter().filter(|life| life.owner == Some(owner));
            lives.filter(|life| self.replaced.contains_key(&life.id)).count() as u64
        };
        // One that is made before what it replaces goes follows no release yet.
        let remade = |owner: &OwnerChurn| owner.remade.max(replaced(owner.id));
        let suspected = |owner: &&OwnerChurn| {
            let remade = remade(owner);
            remade >= rules.remade.max(1)
                && remade.saturating_mul(100) >= presented
                && owner.id.kind() != OwnerKind::TRANSIENT
        };
        let mut loops: Vec<_> = owners.iter().filter(suspected).collect();
        loops.sort_by_key(|owner| std::cmp::Reverse(remade(owner)));
        let left_out = loops.len().saturating_sub(rules.top) as u64;
        let listed = loops.into_iter().take(rules.top).map(|owner| RecreateLoop {
            owner: self.owner_name(owner.id),
            remade: remade(owner),
            replaced: replaced(owner.id),
            kind: owner.kind.map(ResourceKind::name),
            site: owner.site.map(line),
        });
        (listed.collect(), left_out)
    }

    fn bursts(&self, span: &Span) -> Vec<DestroyBurst> {
        let mut bursts: Vec<_> = span.bursts.iter().filter(|burst| burst.released > 0).collect();
        bursts.sort_by_key(|burst| (std::cmp::Reverse(burst.released), burst.from));
        let burst = |burst: &&crate::tracker::Burst| DestroyBurst {
            from: self.since_start(burst.from),
            destroyed: burst.released,
            created: burst.created,
        };
        bursts.iter().take(self.analyzer.rules().top).map(burst).collect()
    }

    fn reasons(&self, span: &Span) -> Vec<ReasonFigures> {
        let mut counts: HashMap<(ResourceKind, DestroyReason), u64> = HashMap::new();
        for life in &span.lives {
            *counts.entry((life.kind, self.reason(span.window, life))).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable_by_key(|(key, _)| *key);
        counts.into_iter().map(|((kind, reason), count)| ReasonFigures { kind: kind.name(), reason, count }).collect()
    }

    fn reason(&self, window: Window, life: &LifeRecord) -> DestroyReason {
        if self.replaced.contains_key(&life.id) {
            DestroyReason::Replaced
        } else if window == Window::Shutdown {
            DestroyReason::Shutdown
        } else if life.explicit {
            DestroyReason::Explicit
        } else {
            DestroyReason::Released
        }
    }

    fn destroyed(&self, window: Window, life: &LifeRecord) -> DestroyedResource {
        DestroyedResource {
            id: life.id.get(),
            kind: life.kind.name(),
            label: life.label.clone(),
            owner: life.owner.map(|owner| self.owner_name(owner)),
            site: life.site.map(line),
            bytes: life.bytes,
            created_in: life.created_in.map(|packet| self.packet(packet)),
            destroyed_in: life.released_in.map(|packet| self.packet(packet)),
            destroyed_at: self.since_start(life.released),
            lifetime: life.released.since(life.created).unwrap_or_default(),
            window,
            reason: self.reason(window, life),
            replaced_by: self.replaced.get(&life.id).map(|by| by.get()),
            explicit: life.explicit,
        }
    }

    fn owner_name(&self, owner: OwnerId) -> OwnerName {
        let known = (self.owner)(owner);
        OwnerName {
            kind: owner.kind().name(),
            key: known.map(|known| known.key),
            name: known.and_then(|known| known.name).map(str::to_owned),
        }
    }

    fn packet(&self, packet: PacketId) -> PacketRef {
        PacketRef { lane: self.lane(packet.lane()), number: packet.number() }
    }

    fn lane(&self, lane: Lane) -> String {
        let known = self.answers.lanes.iter().find(|totals| totals.lane == lane);
        known.map_or_else(|| lane.get().to_string(), |totals| totals.name.to_owned())
    }

    fn passes(&self, kind: ResourceKind) -> bool {
        self.answers.passing.contains(&kind)
    }

    fn since_start(&self, time: Timestamp) -> Duration {
        time.since(self.analyzer.began()).unwrap_or_default()
    }
}

/// An owner by what it did in a window.
struct OwnerChurn {
    id: OwnerId,
    counts: Counts,
    remade: u64,
    kind: Option<ResourceKind>,
    site: Option<&'static Location<'static>>,
}

/// The owners that created or destroyed: those first that made most again, then those that did most of both, since what is only made (a renderer's pipelines) or only
/// destroyed is no churn to be rid of. Then the busiest, then by bytes, then by age.
fn owners(span: &Span) -> Vec<OwnerChurn> {
    let before: HashMap<_, _> = span.begin.owners.iter().map(|owner| (owner.owner, owner)).collect();
    let since = |owner: &OwnerTotals| {
        let before = before.get(&owner.owner);
        OwnerChurn {
            id: owner.owner,
            counts: before.map_or(owner.counts, |before| owner.counts.since(&before.counts)),
            remade: owner.remade - before.map_or(0, |before| before.remade),
            kind: owner.kind,
            site: owner.site,
        }
    };
    let mut owners: Vec<_> =
        span.end.owners.iter().map(since).filter(|owner| owner.counts.created + owner.counts.released > 0).collect();
    owners.sort_by_key(|OwnerChurn { counts, remade, id, .. }| {
        let Counts { created, released, created_bytes, .. } = *counts;
        (std::cmp::Reverse((*remade, created.min(released), created + released, created_bytes)), *id)
    });
    owners
}

fn owner_kinds(span: &Span) -> Vec<OwnerKindFigures> {
    let mut kinds: Vec<_> = differences(&span.begin.owner_kinds, &span.end.owner_kinds, |_| true)
        .filter(|(_, counts)| counts.created + counts.released > 0)
        .map(|(kind, counts)| OwnerKindFigures {
            owner_kind: kind.name(),
            created: counts.created,
            destroyed: counts.released,
            created_bytes: counts.created_bytes,
        })
        .collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.created + kind.destroyed));
    kinds
}

/// What was counted between two readings, by what it was counted of.
fn differences<'a, K: Copy + PartialEq>(
    begin: &'a [(K, Counts)],
    end: &'a [(K, Counts)],
    wanted: impl Fn(K) -> bool + 'a,
) -> impl Iterator<Item = (K, Counts)> + 'a {
    end.iter().filter(move |(key, _)| wanted(*key)).map(|(key, counts)| {
        let before = begin.iter().find(|(known, _)| known == key);
        (*key, before.map_or(*counts, |(_, before)| counts.since(before)))
    })
}

fn sum<K>(counts: impl Iterator<Item = (K, Counts)>) -> Counts {
    counts.fold(Counts::default(), |mut sum, (_, counts)| {
        sum += counts;
        sum
    })
}

fn lifetimes(span: &Span) -> Vec<LifetimeBucket> {
    let (begin, end) = (&span.begin.lifetimes, &span.end.lifetimes);
    let mut below = 0;
    let mut buckets = Vec::new();
    for (place, &(bound, count)) in end.buckets.iter().enumerate() {
        let before = begin.buckets.get(place).map_or(0, |(_, count)| *count);
        let upto = count.saturating_sub(before);
        buckets.push(LifetimeBucket { up_to: Some(bound), count: upto.saturating_sub(below) });
        below = upto;
    }
    let all = end.count.saturating_sub(begin.count);
    buckets.push(LifetimeBucket { up_to: None, count: all.saturating_sub(below) });
    buckets.retain(|bucket| bucket.count > 0);
    buckets
}

fn line(site: &'static Location<'static>) -> String {
    format!("{}:{}:{}", site.file(), site.line(), site.column())
}
