//! What the book has written down: owners, packets, submissions, lives, bursts, misuses.

use super::Tracker;
use super::records::{
    Burst, LifeRecord, Lives, Misuse, MisuseKind, Misuses, OwnerTotals, PacketRecord, PoolCandidate, SubmissionRecord,
    Unsubmitted,
};
use crate::contract::StagedBytes;
use crate::probe::alike::Sort;
use crate::probe::chronicle::{Life, Misused};
use crate::probe::lifetimes::BURST_NANOS;
use crate::probe::packets::Entry;
use crate::probe::submissions::{Origin, Submission, Waiting};
use crate::probe::tally::Pass;
use crate::probe::{Counts, OwnerId, PacketId, ResourceId, Timestamp};

impl Tracker {
    /// What each owner has made and released, in the order of their introduction; fills in `owners`. Costs 20 to 100 ns per
    /// owner and thread that has reported.
    pub fn owner_totals(&self, owners: &mut Vec<OwnerTotals>) {
        let book = self.book;
        owners.clear();
        owners.extend(book.owners.all().map(|owner| OwnerTotals {
            owner,
            counts: Counts::default(),
            remade: 0,
            kind: None,
            site: None,
        }));
        // Some owners at a time, whose rows stay in the processor's cache from pass to pass.
        for (chunk, owners) in owners.chunks_mut(OWNERS_AT_A_TIME).enumerate() {
            let first = chunk * OWNERS_AT_A_TIME + 1;
            for pass in Pass::ORDER {
                // The list is read anew for each pass: see `tally.rs`.
                book.with_shards(|shards| {
                    for shard in shards {
                        for (index, owner) in (first..).zip(owners.iter_mut()) {
                            shard.owners.sum_into(index, pass, &mut owner.counts);
                        }
                    }
                });
            }
            book.with_shards(|shards| {
                for (index, owner) in (first..).zip(owners) {
                    owner.remade = shards.iter().map(|shard| shard.owners.remade(index)).sum();
                    let last = shards.iter().filter_map(|shard| shard.owners.last(index));
                    if let Some((kind, site, _)) = last.max_by_key(|(_, _, released)| *released) {
                        owner.kind = Some(kind);
                        owner.site = book.sites.get(site);
                    }
                }
            });
        }
        owners.retain(|owner| owner.counts != Counts::default());
    }

    /// The newest `n` packets of all lanes together, by the time of their queueing. As many as
    /// [`TrackerBuilder::packet_capacity`](super::TrackerBuilder::packet_capacity) are kept of each lane.
    #[must_use]
    pub fn packets(&self, n: usize) -> Vec<PacketRecord> {
        let entries: Vec<_> = self.book.lanes.iter().flat_map(|packets| packets.newest(n)).collect();
        // After the packets: none of them began with more than there is now.
        let now = self.book.lives();
        let mut packets: Vec<_> = entries.iter().map(|entry| packet(entry, now)).collect();
        packets.sort_by_key(|packet| packet.queued);
        packets.split_off(packets.len().saturating_sub(n))
    }

    /// The newest `n` submissions of all queues. 256 are kept.
    #[must_use]
    pub fn submissions(&self, n: usize) -> Vec<SubmissionRecord> {
        self.book.submissions.newest(n).into_iter().map(submission).collect()
    }

    /// The oldest submission that is neither completed nor abandoned, as far as they are kept.
    #[must_use]
    pub fn oldest_in_flight(&self) -> Option<SubmissionRecord> {
        self.book.submissions.oldest_in_flight().map(submission)
    }

    /// The staged bytes that wait for a submission, those of the queues or those of a staging ring, whichever have waited longer; `None` if none
    /// do. A ring knows its own submissions: another's takes nothing from it.
    #[must_use]
    pub fn unsubmitted(&self) -> Option<Unsubmitted> {
        let staged = self.book.submissions.waiting().map(|(bytes, waiting)| {
            let Waiting { since, by: Origin { owner, site, .. }, resource, .. } = waiting;
            Unsubmitted { bytes, since, first: resource, owner: known(owner), site }
        });
        let in_ring = self.book.stores.unsubmitted().map(|StagedBytes { bytes, since_unix_nanos, site }| {
            let since = Timestamp::from_unix_nanos(since_unix_nanos);
            Unsubmitted { bytes, since, first: None, owner: None, site: Some(site) }
        });
        staged.into_iter().chain(in_ring).min_by_key(|unsubmitted| unsubmitted.since)
    }

    /// The ends of followed kinds' lives.
    #[must_use]
    pub fn lives(&self) -> Lives {
        let (lives, total) = self.book.chronicle.lives();
        let missed = total - lives.len() as u64;
        let ended = lives.into_iter().filter_map(|life| {
            let Life { record, label, released, released_in, last_packet, explicit } = life;
            let packet = |packet: PacketId| (!packet.is_none()).then_some(packet);
            Some(LifeRecord {
                id: ResourceId::new(record.id)?,
                kind: record.kind,
                label,
                owner: known(record.owner),
                site: self.book.sites.get(record.site),
                bytes: record.bytes,
                created: record.created,
                created_in: packet(record.packet),
                released,
                released_in: packet(released_in),
                last_packet: packet(last_packet),
                explicit,
            })
        });
        Lives { ended: ended.collect(), missed }
    }

    /// How many resources began and ended in each tenth of a second, in order, those without either left out. The newest
    /// 1,024 are kept.
    #[must_use]
    pub fn bursts(&self) -> Vec<Burst> {
        let book = self.book;
        let buckets = book.with_shards(|shards| book.bursts.read(shards.iter().map(|shard| &shard.burst)));
        let at = |bucket: u32| Timestamp::from_unix_nanos(book.opened + u64::from(bucket) * BURST_NANOS);
        buckets.into_iter().map(|(bucket, created, released)| Burst { from: at(bucket), created, released }).collect()
    }

    /// Uses of resources against their life: the first 256, and how many there were. Packets count as users by
    /// [`Ticket::touch`](crate::probe::Ticket::touch); what wgpu draws with is touched while touch lists are on.
    #[must_use]
    pub fn misuses(&self) -> Misuses {
        let (misuses, total) = self.book.chronicle.misuses();
        let records = misuses.into_iter().filter_map(|misused| {
            let Misused { after_destroy, time, record, label, packet, at } = misused;
            Some(Misuse {
                what: if after_destroy { MisuseKind::UsedAfterDestroy } else { MisuseKind::DestroyedInUse },
                time,
                resource: ResourceId::new(record.id)?,
                kind: record.kind,
                label,
                owner: known(record.owner),
                site: self.book.sites.get(record.site),
                packet,
                at,
            })
        });
        Misuses { records: records.collect(), total }
    }

    /// The bytes of all [`pool_candidates`](Self::pool_candidates) that a pool would not have had to make, without listing them.
    #[must_use]
    pub fn pool_candidate_bytes(&self) -> u64 {
        self.book
            .with_shards(|shards| shards.iter().fold(0, |sum, shard| shard.alike.saved_bytes().saturating_add(sum)))
    }

    /// Sorts of resources of which several had a short life, those first of which a pool would have saved most bytes. An
    /// estimate: each thread keeps at most 64 sorts apart.
    #[must_use]
    pub fn pool_candidates(&self) -> Vec<PoolCandidate> {
        let sorts =
            self.book.with_shards(|shards| shards.iter().flat_map(|shard| shard.alike.read()).collect::<Vec<_>>());
        let mut candidates: Vec<PoolCandidate> = Vec::new();
        for (Sort { kind, bytes, extent, descriptor }, made) in sorts {
            let saved_bytes = (made - 1).saturating_mul(bytes);
            let is_it = |known: &&mut PoolCandidate| {
                (known.kind, known.bytes, known.extent, known.descriptor) == (kind, bytes, extent, descriptor)
            };
            match candidates.iter_mut().find(is_it) {
                Some(known) => {
                    known.made += made;
                    known.saved_bytes = known.saved_bytes.saturating_add(saved_bytes);
                }
                None => candidates.push(PoolCandidate { kind, bytes, extent, descriptor, made, saved_bytes }),
            }
        }
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.saved_bytes));
        candidates
    }
}

/// Owners whose rows are read together.
const OWNERS_AT_A_TIME: usize = 64;

/// The owner, if there is one.
fn known(owner: OwnerId) -> Option<OwnerId> {
    (!owner.is_none()).then_some(owner)
}

/// A packet as readers see it, when so many resources have been created and released in all.
fn packet(entry: &Entry, now: (u64, u64)) -> PacketRecord {
    let (created, released) = entry.after.unwrap_or(now);
    PacketRecord {
        id: entry.id,
        lane: entry.id.lane(),
        command: entry.command,
        queued: entry.queued,
        submitted: entry.submitted,
        completed: entry.completed,
        ended: entry.ended.map(|(time, _)| time),
        result: entry.ended.map(|(_, result)| result),
        submissions: entry.submissions,
        // Sums over threads, read at two moments: each thread's part only grows.
        created: created.wrapping_sub(entry.before.0),
        released: released.wrapping_sub(entry.before.1),
    }
}

/// A submission as readers see it.
fn submission(listed: Submission) -> SubmissionRecord {
    let Submission { correlation, queue, by, submitted, ended, abandoned, staged, command_buffers } = listed;
    SubmissionRecord {
        correlation,
        queue,
        packet: (!by.packet.is_none()).then_some(by.packet),
        owner: known(by.owner),
        site: by.site,
        submitted,
        completed: ended.filter(|_| !abandoned),
        abandoned,
        staged_bytes: staged,
        command_buffers,
    }
}
