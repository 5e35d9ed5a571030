//! What a block costs in the core, and what planning costs.

use std::hint::black_box;

use cpu_time::ThreadTime;
use engine_vitals::resources::pool::MemoryPoolConfig;
use engine_vitals::resources::pool::layout::{BlockId, Layout, LayoutConfig};
use fastrand::Rng;

use super::peers::{self, Peer};
use super::{GROUP, LIMIT, OURS};
use crate::harness::{Effort, Subject, alternate, cpu_ns, median, nanoseconds};
use crate::report::Row;

const LIVE: [(usize, &str); 4] = [(1_000, "10^3"), (10_000, "10^4"), (100_000, "10^5"), (1_000_000, "10^6")];
/// Pairs of a round.
const PAIRS: u64 = 100_000;
const BASELINE: &str = "offset-allocator";

/// Blocks that are young.
const YOUNGEST: usize = 1_000;
/// Flat: so many times slower with 10^6 live blocks than with 10^3 at most.
const FLAT: f64 = 1.25;

pub(super) fn run(effort: Effort, device: Option<&wgpu::Device>) -> Vec<Row> {
    let chance: Vec<Found> = LIVE
        .into_iter()
        .map(|(live, name)| {
            let sizes = Sizes::new(live, live);
            let peers = peers::all(&sizes.of_blocks, device);
            pairs(effort, &sizes, peers, &format!("a block freed and one given out, {name} live"))
        })
        .collect();
    let young: Vec<Found> = LIVE
        .into_iter()
        .map(|(live, name)| {
            let sizes = Sizes::new(live, YOUNGEST);
            let peers = peers::constant(&sizes.of_blocks);
            pairs(effort, &sizes, peers, &format!("the same among the 1,000 youngest, {name} live"))
        })
        .collect();
    let mut rows: Vec<Row> = chance.iter().chain(&young).flat_map(|found| found.rows.clone()).collect();
    for (found, case) in [(&chance, "any of them"), (&young, "among the youngest")] {
        let (Some(few), Some(many)) = (found.first(), found.last()) else { continue };
        for subject in [OURS, BASELINE, LIMIT] {
            let growth = many.of(subject) / few.of(subject);
            let row = Row::new(GROUP, format!("10^6 live against 10^3, {case}"), subject, "x", growth);
            rows.push(if subject == OURS { row.at_most(FLAT) } else { row });
        }
    }
    rows.extend(LIVE.into_iter().map(|(live, name)| frames(effort, live, name)));
    rows.extend(LIVE.into_iter().flat_map(|(live, name)| plans(effort, live, name)));
    rows
}

/// What was measured in one case.
struct Found {
    rows: Vec<Row>,
    /// By subject.
    values: Vec<(&'static str, f64)>,
}

impl Found {
    fn of(&self, subject: &str) -> f64 {
        self.values.iter().find(|(name, _)| *name == subject).map_or(f64::NAN, |&(_, value)| value)
    }
}

/// Nanoseconds of a block that is freed and another one that is given out in its place, of any size.
fn pairs(effort: Effort, sizes: &Sizes, mut peers: Vec<Box<dyn Peer>>, case: &str) -> Found {
    let live = sizes.of_blocks.len();
    let names: Vec<&'static str> = peers.iter().map(|peer| peer.name()).collect();
    let mut subjects: Vec<Subject<'_>> = peers
        .iter_mut()
        .map(|peer| {
            let pairs = effort.times(PAIRS / peer.slower(live)).max(20);
            let mut turn = 0;
            Subject::new(peer.name(), move || {
                turn += 1;
                round(peer.as_mut(), sizes, pairs as usize, turn)
            })
        })
        .collect();
    let rounds = alternate(effort, &mut subjects);
    let baseline = names.iter().position(|name| *name == BASELINE);
    let values: Vec<(&'static str, f64)> =
        names.iter().enumerate().map(|(index, name)| (*name, rounds.value(index))).collect();
    let rows = values.iter().enumerate().map(|(index, &(subject, value))| {
        let row = Row::new(GROUP, case, subject, "ns", value);
        let row = match baseline.filter(|&baseline| baseline != index) {
            Some(baseline) => row.against(BASELINE, rounds.ratio(index, baseline)),
            None => row,
        };
        if subject == OURS { row.at_most(1.0) } else { row }
    });
    Found { rows: rows.collect(), values }
}

/// Nanoseconds of the same where the GPU is two frames behind, so that what is freed waits: 128 blocks in a frame.
fn frames(effort: Effort, live: usize, name: &str) -> Row {
    const A_FRAME: usize = 128;
    let sizes = Sizes::new(live, live);
    let mut layout = Layout::new(LayoutConfig::default());
    let mut blocks: Vec<Option<BlockId>> =
        sizes.of_blocks.iter().map(|&bytes| Some(layout.allocate(bytes, 16).ok()?.block)).collect();
    let (mut frame, mut next) = (2, 0);
    let rounds: Vec<f64> = (0..effort.times(31))
        .map(|_| {
            cpu_ns(1, || {
                for _ in 0..PAIRS as usize / A_FRAME {
                    for _ in 0..A_FRAME {
                        next += 1;
                        let block = &mut blocks[sizes.order[next % sizes.order.len()]];
                        let bytes = sizes.of_blocks[sizes.order[(7 * next) % sizes.order.len()]];
                        if let Some(old) = *block {
                            layout.free(old, frame);
                        }
                        *block = layout.allocate(black_box(bytes), 16).map(|allocated| allocated.block).ok();
                    }
                    frame += 1;
                    layout.completed(frame - 2);
                    layout.tick(|_| ());
                }
            }) / PAIRS as f64
        })
        .collect();
    Row::new(GROUP, format!("the same in frames, the GPU two behind, {name} live"), OURS, "ns", median(rounds))
}

fn round(peer: &mut dyn Peer, sizes: &Sizes, pairs: usize, turn: usize) -> f64 {
    let mut next = turn * 7_919;
    cpu_ns(1, || {
        for _ in 0..pairs {
            next += 1;
            let block = sizes.order[next % sizes.order.len()];
            let bytes = sizes.of_blocks[sizes.order[(next + 1 + turn) % sizes.order.len()]];
            peer.replace(black_box(block), black_box(bytes));
        }
    }) / pairs as f64
}

/// 64 B to 1 KiB, each doubling as often as any other, in multiples of 4; and blocks among the last so many in any order.
struct Sizes {
    of_blocks: Vec<u64>,
    order: Vec<usize>,
}

impl Sizes {
    fn new(live: usize, youngest: usize) -> Self {
        let mut random = Rng::with_seed(live as u64);
        let size = |random: &mut Rng| (64.0 * 16_f64.powf(random.f64())) as u64 & !3;
        let of_blocks = (0..live).map(|_| size(&mut random)).collect();
        let order = (0..200_003).map(|_| random.usize(live - youngest..live)).collect();
        Self { of_blocks, order }
    }
}

/// Microseconds of the plan of a frame, of at most 1 MiB in 256 moves: in a pool of which six in ten blocks were freed by chance, and in one
/// that has nothing to gain.
fn plans(effort: Effort, live: usize, name: &str) -> Vec<Row> {
    let sizes = Sizes::new(live * 5 / 2, live);
    let mut layout = Layout::new(LayoutConfig::default());
    let allocate = |layout: &mut Layout, bytes| layout.allocate(bytes, 16).map(|allocated| allocated.block).ok();
    let blocks: Vec<BlockId> = sizes.of_blocks.iter().filter_map(|&bytes| allocate(&mut layout, bytes)).collect();
    let mut random = Rng::with_seed(3);
    for block in blocks {
        if random.u8(..) < 154 {
            layout.free(block, 0);
        }
    }
    let MemoryPoolConfig { defrag_bytes: most_bytes, defrag_moves: most_moves, .. } = MemoryPoolConfig::default();
    let plan = |layout: &mut Layout| {
        let start = ThreadTime::now();
        let moves = layout.plan(most_bytes, most_moves);
        let time = nanoseconds(start.elapsed()) / 1e3;
        let planned = moves.len();
        for planned in moves {
            layout.commit(planned, false, 0);
        }
        (time, planned)
    };
    // As many plans as it takes, but not the whole campaign: the pool is to stay sparse.
    let most = effort.times(400).min(live as u64 / 256).max(1);
    let sparse: Vec<f64> =
        (0..most).map(|_| plan(&mut layout)).filter(|&(_, moves)| moves > 0).map(|(time, _)| time).collect();
    while plan(&mut layout).1 > 0 {}
    let compact: Vec<f64> = (0..effort.times(200)).map(|_| plan(&mut layout).0).collect();
    vec![
        Row::new(GROUP, format!("the plan of a frame, {name} live, sparse"), OURS, "us", median(sparse)),
        Row::new(GROUP, format!("the plan of a frame, {name} live, nothing to gain"), OURS, "us", median(compact)),
    ]
}
