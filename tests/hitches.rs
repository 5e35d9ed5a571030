//! Hitches planted into a live engine, through the public interface: each is attributed to what was planted.
//!
//! The machine may be busy: no time is asserted, and each hitch is planted several times. What was planted has to come first at least once, and
//! three times before everything else that the engine did: a machine that takes the processor away for half of the frame truly is its
//! largest cause.
#![cfg(all(feature = "instrument", feature = "serve", feature = "trace"))]
#![expect(clippy::unwrap_used, reason = "a test: helpers may fail it too")]

#[path = "hitches/engine.rs"]
mod engine;
mod support;

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use engine::Engine;
use engine_vitals::TrackingAllocator;
use engine_vitals::analysis::Dump;
use engine_vitals::analysis::hitches::{Evidence, Hitch, HitchCause};
use engine_vitals::registry::Snapshot;

#[global_allocator]
static HEAP: TrackingAllocator = TrackingAllocator::system();

/// So often each hitch is planted at most, and so often it has to come before all else that the engine did.
const PLANTED: usize = 6;
const RIGHT: usize = 3;

/// Frames after a planted one until its hitch is known.
const KNOWN_AFTER: usize = 12;

/// What makes a pass take long.
const HEAVY_ROUNDS: u32 = 1 << 22;

/// Uploaded at once.
const UPLOAD: usize = 200_000_000;

/// What a planted frame needs that was made before, and what it leaves to be dropped after.
#[derive(Default)]
struct Props {
    bytes: Vec<u8>,
    module: Option<wgpu::ShaderModule>,
    buffers: Vec<wgpu::Buffer>,
    #[expect(clippy::vec_box, reason = "each is to be a block of its own")]
    blocks: Vec<Box<[u8; 64]>>,
}

type Prepare = fn(&Engine, &mut Props);
type Plant = fn(&Engine, &mut Props);

#[test]
fn what_was_planted_comes_first() {
    let trace = support::scratch("hitches.perfetto-trace");
    let Some(engine) = Engine::start("what_was_planted_comes_first", &trace) else { return };
    let nothing: Prepare = |_, _| {};
    let plants: [(HitchCause, &str, Prepare, Plant); 9] = [
        (HitchCause::ShaderModules, "a shader module", nothing, |engine, props| {
            props.module = Some(engine.shader_module(&heavy_shader()));
        }),
        (
            HitchCause::Pipelines,
            "a pipeline",
            |engine, props| props.module = Some(engine.shader_module(&heavy_shader())),
            |engine, props| drop(engine.pipeline(props.module.as_ref().unwrap())),
        ),
        (
            HitchCause::Uploads,
            "200 MB by write_buffer",
            |_, props| props.bytes = vec![7; UPLOAD],
            |engine, props| engine.upload(&props.bytes),
        ),
        (HitchCause::Creations, "5,000 buffers", nothing, |engine, props| {
            props.buffers = (0..5_000).map(|_| engine.buffer(4096)).collect();
        }),
        (HitchCause::Stalls, "a wait for copies on the GPU", nothing, Engine::copy_and_wait),
        (HitchCause::Stalls, "a wait that the engine tells of", nothing, |engine, _| {
            let wait = Duration::from_millis(80);
            std::thread::sleep(wait);
            engine.vitals.probe().stalled(wait);
        }),
        (HitchCause::HeapAllocations, "2 million blocks", nothing, |_, props| {
            props.blocks = (0..2_000_000).map(|_| Box::new([1; 64])).collect();
        }),
        (HitchCause::GpuPass, "a pass that grew", nothing, |engine, _| engine.simulate(HEAVY_ROUNDS)),
        (HitchCause::External, "a sleep", nothing, |_, _| std::thread::sleep(Duration::from_millis(80))),
    ];
    engine.frames(60);
    let mut told = String::new();
    for (cause, what, prepare, plant) in plants {
        let (mut first, mut first_of_ours, mut attempts) = (0, 0, 0);
        while attempts < PLANTED && (first == 0 || first_of_ours < RIGHT) {
            attempts += 1;
            let mut props = Props::default();
            prepare(&engine, &mut props);
            engine.frames(KNOWN_AFTER);
            let number = engine.frame(|engine| plant(engine, &mut props));
            engine.frames(KNOWN_AFTER);
            // The GPU's work is waited for a frame later.
            let hitches = engine.vitals.hitches();
            let hitch = (number..=number + 2).find_map(|number| hitches.iter().find(|hitch| hitch.frame == number));
            let planted = |evidence: &Evidence| {
                let pass = evidence.pass.as_ref().map(|pass| (&*pass.name, pass.frame));
                evidence.cause == cause && pass.is_none_or(|pass| pass == ("simulate", number))
            };
            let causes = hitch.map(|hitch| &hitch.causes[..]).unwrap_or_default();
            let of_ours =
                causes.iter().find(|evidence| cause == HitchCause::External || evidence.cause != HitchCause::External);
            first += usize::from(causes.first().is_some_and(planted));
            first_of_ours += usize::from(of_ours.is_some_and(planted));
            let hitch = hitch.map_or_else(|| format!("frame {number} was no hitch"), Hitch::to_string);
            writeln!(told, "{what}: {hitch}").unwrap();
        }
        let seen = format!("{} came first in {first} and before all of ours in {first_of_ours}", cause.name());
        assert!(first > 0 && first_of_ours >= RIGHT, "{what}: {seen} of {attempts}\n{told}");
    }
    println!("{told}");
    // Of quiet frames, of which a busy machine holds some up.
    let planted_or_next = |hitch: &&Hitch| told.contains(&hitch.to_string());
    for hitch in engine.vitals.hitches().iter().filter(|hitch| !planted_or_next(hitch)) {
        println!("not planted: {hitch}");
    }
    seen_everywhere(engine, &trace);
}

/// The hitches are on the page, in the dump and in the trace.
fn seen_everywhere(engine: Engine, trace: &std::path::Path) {
    let hitches = engine.vitals.hitches();
    let newest = hitches.last().unwrap().clone();
    let mut dump = Vec::new();
    engine.vitals.dump().write_json(&mut dump).unwrap();
    let dump = Dump::read_json(&dump[..], 1 << 30).unwrap();
    assert_eq!(dump.hitches.len(), hitches.len());
    let (of_dump, cause) = (dump.hitches.last().unwrap(), newest.cause().name());
    assert_eq!((of_dump.frame, &*of_dump.causes[0].cause, &of_dump.text), (newest.frame, cause, &newest.to_string()));
    assert!(dump.to_string().contains(&newest.to_string()));

    let url = engine.vitals.url().unwrap();
    let get = |path| ureq::get(format!("{url}{path}")).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(get("dump.json").contains(&format!("\"text\":{:?}", newest.to_string())), "the newest is on the page");
    let metrics = get("metrics");
    engine.vitals.registry().update();
    let table = engine.vitals.registry().snapshot();
    let mut sum = 0;
    for cause in HitchCause::ALL {
        let count = counted(&table, cause);
        sum += count;
        let line = format!("vitals_hitches_total{{cause=\"{}\"}} {count}\n", cause.name());
        assert!(metrics.contains(&line), "{line}{metrics}");
        let planted = cause != HitchCause::Submissions && cause != HitchCause::Destructions;
        assert!(!planted || count > 0, "{line}");
    }
    let lane = [("lane", "main")];
    assert_eq!(table.value("vitals_frames_over_budget_total", &lane).and_then(|value| value.as_u64()), Some(sum));

    drop(engine);
    let trace = String::from_utf8_lossy(&std::fs::read(trace).unwrap()).into_owned();
    for cause in ["pipelines", "uploads", "creations", "stalls", "heap_allocations", "external"] {
        assert!(trace.contains(&format!("hitch: {cause}")), "{cause} is in the trace");
    }
    assert!(trace.contains(&newest.to_string()), "with what explains it");
}

fn counted(table: &Snapshot, cause: HitchCause) -> u64 {
    table.value("vitals_hitches_total", &[("cause", cause.name())]).and_then(|value| value.as_u64()).unwrap()
}

/// A shader that takes long to compile, and another one each time: no cache has it.
fn heavy_shader() -> String {
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() % 1_000_000_007;
    let mut body = String::new();
    for line in 0..400_u128 {
        let number = (seed * (line + 1)) % 99_991;
        writeln!(body, "  x = fract(sin(x * {number}.5 + f32(i{})) * {line}.25);", line % 3).unwrap();
        if line % 16 == 0 {
            writeln!(body, "  if (x > 0.{line}) {{ values[u32(x * 63.0)] += x; }}").unwrap();
        }
    }
    format!(
        "@group(0) @binding(0) var<storage, read_write> values: array<f32>;
         @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
           let i0 = id.x; let i1 = id.x * 7u; let i2 = id.x ^ 5u;
           var x = f32(id.x);
           {body}
           values[id.x] = x;
         }}"
    )
}
