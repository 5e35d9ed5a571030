//! Memory that really runs out: below a limit of addresses, in a process of its own.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use engine_vitals::ResourceKind;
use engine_vitals::probe::Pressure;

use crate::Program;

const CHILD: &str = "ENGINE_VITALS_TEST_OUT_OF_MEMORY";
const MIB: u64 = 1 << 20;
const BUDGET: u64 = 96 * MIB;
/// Of each buffer of the hoard.
const PIECE: u64 = 8 * MIB;
const LIMITS: u64 = 20;

/// How the program learns of errors.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Handler,
    Scope,
    Panic,
}

#[test]
fn an_engine_that_ran_out_of_memory_goes_on() {
    let test = "out_of_memory::an_engine_that_ran_out_of_memory_goes_on";
    if let Some(way) = std::env::var_os(CHILD) {
        let way = [Way::Handler, Way::Scope, Way::Panic]
            .into_iter()
            .find(|one| format!("{one:?}") == way.to_string_lossy())
            .unwrap();
        return below_the_limit(test, way);
    }
    if !cfg!(target_os = "linux") {
        crate::support::skipped(test, "limits of addresses are Linux's");
        return;
    }
    // Without one nothing can be tested; with one, each limit must be.
    if crate::support::device(test).is_none() {
        return;
    }
    for step in 0..LIMITS {
        let way = [Way::Handler, Way::Scope, Way::Panic][(step % 3) as usize];
        let limit_kib = (1_600 + 100 * step) * 1024;
        let child = Command::new("sh")
            .args([
                "-c",
                &format!(
                    "ulimit -v {limit_kib} && exec timeout 300 \"$0\" --exact {test} --nocapture --test-threads 1"
                ),
            ])
            .arg(std::env::current_exe().unwrap())
            .env(CHILD, format!("{way:?}"))
            // Without addresses left, the standard library waits for ever for the lock that prints a backtrace.
            .env("RUST_BACKTRACE", "0")
            .env("MALLOC_ARENA_MAX", "1")
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
        assert!(
            child.status.success() && out.contains("1 passed"),
            "{limit_kib} KiB, {way:?}: {:?}\n{out}\n{err}",
            child.status
        );
        assert!(out.contains("ran out after"), "{limit_kib} KiB, {way:?}: skipped\n{out}\n{err}");
    }
}

fn below_the_limit(test: &str, way: Way) {
    let Some(program) = Program::start(test, |builder| builder.gpu_budget(BUDGET)) else { return };
    let calls = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&calls);
    program.vitals.before_over_budget(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let errors = Arc::new(AtomicU64::new(0));
    if way == Way::Handler {
        let count = Arc::clone(&errors);
        program.device.on_uncaptured_error(Arc::new(move |error| {
            assert!(matches!(error, wgpu::Error::OutOfMemory { .. }), "{error}");
            count.fetch_add(1, Ordering::Relaxed);
        }));
    }
    // Made before memory is short, as an engine has its targets.
    let target = crate::texture(&program.device, "target", 64);
    let read_back = program.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("read back"),
        size: 64 * 256,
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    assert_eq!(draw(&program, &target, &read_back), [255, 0, 255, 255]);
    let mut hoard = Vec::new();
    while program.vitals.out_of_memory().is_empty() {
        assert!(hoard.len() < 4_096, "no end to memory");
        let before = program.vitals.tracker().totals().device().live_bytes();
        let made = make(&program, way, &errors);
        let after = program.vitals.tracker().totals().device().live_bytes();
        let ran_out = !program.vitals.out_of_memory().is_empty();
        assert_eq!(after, before + if ran_out { 0 } else { PIECE }, "what failed has no bytes");
        hoard.extend(made);
    }
    println!("{}", program.vitals.out_of_memory()[0]);
    println!("ran out after {} pieces, {way:?}", hoard.len());
    let moments = program.vitals.out_of_memory();
    assert_eq!((moments.len(), errors.load(Ordering::Relaxed)), (1, 1));
    let moment = &moments[0];
    assert_eq!(moment.shortage.label.as_deref(), Some("hoarded"), "{moment}");
    assert_eq!((moment.shortage.kind, moment.shortage.requested_bytes), (Some(ResourceKind::BUFFER), Some(PIECE)));
    assert_eq!(moment.labels[0].name, "hoarded");
    assert_eq!(moment.labels[0].count, hoard.len() as u64 - u64::from(way != Way::Panic), "{moment}");
    assert!(calls.load(Ordering::Relaxed) > 0, "the budget was told of before");
    assert_eq!(moment.budgets[0].crossings, 1);
    assert_eq!(program.vitals.frame().pressure, Pressure::Over);

    // The engine evicts, and goes on.
    hoard.drain(..hoard.len() / 2);
    program.wait();
    for _ in 0..3 {
        let texels = draw(&program, &target, &read_back);
        assert_eq!(texels, [255, 0, 255, 255]);
        program.vitals.frame();
    }
    let again = make(&program, way, &errors).unwrap();
    assert_eq!(program.vitals.out_of_memory().len(), 1, "there is room again");
    drop((again, hoard));
    program.wait();
    assert_eq!(program.vitals.frame().pressure, Pressure::None);
}

/// Another piece of the hoard; an invalid one if there was no room for it, none if that panicked.
fn make(program: &Program, way: Way, errors: &AtomicU64) -> Option<wgpu::Buffer> {
    match way {
        Way::Handler => Some(program.buffer("hoarded", PIECE)),
        Way::Scope => {
            let scope = program.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
            let made = program.buffer("hoarded", PIECE);
            let mut popped = std::pin::pin!(scope.pop());
            let Poll::Ready(error) = popped.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
                panic!("known at once")
            };
            errors.fetch_add(u64::from(error.is_some()), Ordering::Relaxed);
            Some(made)
        }
        Way::Panic => match catch_unwind(AssertUnwindSafe(|| program.buffer("hoarded", PIECE))) {
            Ok(made) => Some(made),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().unwrap();
                assert_eq!(text, "wgpu error: Out of Memory\n");
                errors.fetch_add(1, Ordering::Relaxed);
                None
            }
        },
    }
}

/// Clears the target and reads its first texel.
fn draw(program: &Program, target: &wgpu::Texture, read_back: &wgpu::Buffer) -> [u8; 4] {
    let view = target.create_view(&wgpu::TextureViewDescriptor::default());
    let mut encoder = program.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let clear = wgpu::Color { r: 1.0, g: 0.0, b: 1.0, a: 1.0 };
    drop(encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        color_attachments: &[Some(wgpu::RenderPassColorAttachment {
            view: &view,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations { load: wgpu::LoadOp::Clear(clear), store: wgpu::StoreOp::Store },
        })],
        ..Default::default()
    }));
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(256), rows_per_image: None };
    let to = wgpu::TexelCopyBufferInfo { buffer: read_back, layout };
    encoder.copy_texture_to_buffer(target.as_image_copy(), to, target.size());
    program.queue.submit([encoder.finish()]);
    read_back.map_async(wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
    program.wait();
    let texel = {
        let view = read_back.get_mapped_range(..).unwrap();
        [view[0], view[1], view[2], view[3]]
    };
    read_back.unmap();
    texel
}
