//! What a block costs in the core, and what planning costs.

use std::hint::black_box;

use cpu_time::ThreadTime;
use engine_vitals::resources::pool::layout::{BlockId, Layout, LayoutConfig};
use fastrand::Rng;

use super::peers::{self, Peer};
use super::{GROUP, OURS};
use crate::harness::{Effort, Subject, alternate, cpu_ns, median, nanoseconds};
use crate::report::Row;

const LIVE: [(usize, &str); 4] = [(1_000, "10^3"), (10_000, "10^4"), (100_000, "10^5"), (1_000_000, "10^6")];
/// Pairs of a round.
const PAIRS: u64 = 100_000;
const BASELINE: &str = "offset-allocator";

pub(super) fn run(effort: Effort, device: Option<&wgpu::Device>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut of_live = Vec::new();
    for (live, name) in LIVE {
        let (mut found, ours) = pairs(effort, live, name, device);
        rows.append(&mut found);
        of_live.push(ours);
    }
    if let (Some(few), Some(many)) = (of_live.first(), of_live.last()) {
        let growth = |which: fn(&(f64, f64)) -> f64| which(many) / which(few);
        let case = "a block with 10^6 live, against 10^3";
        rows.push(Row::new(GROUP, case, OURS, "x", growth(|times| times.0)).at_most(growth(|times| times.1)));
        rows.push(Row::new(GROUP, case, BASELINE, "x", growth(|times| times.1)));
    }
    rows.extend(LIVE.into_iter().flat_map(|(live, name)| plans(effort, live, name)));
    rows
}

/// Nanoseconds of a block that is freed and another one that is given out in its place, of any size; ours and the baseline's apart.
fn pairs(effort: Effort, live: usize, name: &str, device: Option<&wgpu::Device>) -> (Vec<Row>, (f64, f64)) {
    let sizes = Sizes::new(live);
    let mut peers = peers::all(&sizes.of_blocks, device);
    let names: Vec<&'static str> = peers.iter().map(|peer| peer.name()).collect();
    let mut subjects: Vec<Subject<'_>> = peers
        .iter_mut()
        .map(|peer| {
            let pairs = effort.times(PAIRS / peer.slower(live)).max(20);
            let sizes = &sizes;
            let mut turn = 0;
            Subject::new(peer.name(), move || {
                turn += 1;
                round(peer.as_mut(), sizes, pairs as usize, turn)
            })
        })
        .collect();
    let rounds = alternate(effort, &mut subjects);
    let of = |name: &str| names.iter().position(|one| *one == name);
    let (Some(ours), Some(baseline)) = (of(OURS), of(BASELINE)) else { return (Vec::new(), (f64::NAN, f64::NAN)) };
    let mut rows = Vec::new();
    for (index, subject) in names.iter().enumerate() {
        let row = Row::new(
            GROUP,
            format!("a block freed and one given out, {name} live"),
            subject,
            "ns",
            rounds.value(index),
        );
        rows.push(if index == baseline { row } else { row.against(BASELINE, rounds.ratio(index, baseline)) });
    }
    rows[ours] = rows[ours].clone().at_most(1.0);
    (rows, (rounds.value(ours), rounds.value(baseline)))
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

/// 64 B to 1 KiB, each doubling as often as any other, in multiples of 4; and blocks in any order.
struct Sizes {
    of_blocks: Vec<u64>,
    order: Vec<usize>,
}

impl Sizes {
    fn new(live: usize) -> Self {
        let mut random = Rng::with_seed(live as u64);
        let size = |random: &mut Rng| (64.0 * 16_f64.powf(random.f64())) as u64 & !3;
        let of_blocks = (0..live).map(|_| size(&mut random)).collect();
        let order = (0..200_003).map(|_| random.usize(..live)).collect();
        Self { of_blocks, order }
    }
}

/// Microseconds of the plan of a frame, of at most 1 MiB in 64 moves: in a pool of which six in ten blocks were freed by chance, and in one
/// that has nothing to gain.
fn plans(effort: Effort, live: usize, name: &str) -> Vec<Row> {
    let sizes = Sizes::new(live * 5 / 2);
    let mut layout = Layout::new(LayoutConfig::default());
    let allocate = |layout: &mut Layout, bytes| layout.allocate(bytes, 16).map(|allocated| allocated.block).ok();
    let blocks: Vec<BlockId> = sizes.of_blocks.iter().filter_map(|&bytes| allocate(&mut layout, bytes)).collect();
    let mut random = Rng::with_seed(3);
    for block in blocks {
        if random.u8(..) < 154 {
            layout.free(block, 0);
        }
    }
    let plan = |layout: &mut Layout| {
        let start = ThreadTime::now();
        let moves = layout.plan(1 << 20, 64);
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
