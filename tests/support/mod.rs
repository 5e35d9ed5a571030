//! What the integration tests share.
#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]

mod process;

pub(crate) use process::{Guarded, Xvfb};

use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// How the examples end without an adapter.
pub(crate) const NO_ADAPTER: i32 = 3;

/// Builds the engine and copies it away.
pub(crate) fn build(features: &[&str]) -> PathBuf {
    build_example("engine", features)
}

/// Builds an example and copies it away: a build with other features puts its own in the same place.
pub(crate) fn build_example(name: &str, features: &[&str]) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["build", "--quiet", "--example", name, "--message-format", "json"]).args(features);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the example {name} does not build with {features:?}");
    let executable = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .unwrap();
    // A file of its own each time: one that runs cannot be written.
    static BUILDS: AtomicU32 = AtomicU32::new(0);
    let copy = scratch(&format!("{name}-{}", BUILDS.fetch_add(1, Ordering::Relaxed)));
    std::fs::copy(executable, &copy).unwrap();
    copy
}

/// Names a test for want of an adapter, or panics when `ENGINE_VITALS_REQUIRE_GPU=1`.
pub(crate) fn skipped_without_adapter(test: &str) {
    let required = std::env::var_os("ENGINE_VITALS_REQUIRE_GPU").is_some_and(|value| value == "1");
    assert!(!required, "{test}: no GPU adapter, and ENGINE_VITALS_REQUIRE_GPU=1 (install mesa-vulkan-drivers)");
    skipped(test, "no GPU adapter (install mesa-vulkan-drivers)");
}

/// Names a test that the machine cannot run, and why. Straight to the descriptor: the harness keeps what `eprintln!`
/// writes in a passing test to itself.
pub(crate) fn skipped(test: &str, why: &str) {
    std::io::stderr().write_all(format!("SKIPPED: {test}: {why}\n").as_bytes()).unwrap();
}

/// A file of this test run.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("engine-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// A device with the features for times on the GPU, or a named skip.
pub(crate) fn device(test: &str) -> Option<(wgpu::Device, wgpu::Queue)> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let Ok(adapter) = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())) else {
        skipped_without_adapter(test);
        return None;
    };
    let descriptor = wgpu::DeviceDescriptor {
        required_features: engine_vitals::gpu::wanted_features(&adapter),
        required_limits: wgpu::Limits::downlevel_defaults(),
        ..Default::default()
    };
    Some(pollster::block_on(adapter.request_device(&descriptor)).unwrap())
}

/// Whether a program ended for want of an adapter: a named skip, or a panic when `ENGINE_VITALS_REQUIRE_GPU=1`.
pub(crate) fn without_adapter(test: &str, output: &Output) -> bool {
    if output.status.code() != Some(NO_ADAPTER) {
        return false;
    }
    skipped_without_adapter(test);
    true
}

/// What a program wrote.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Width, height and texels of a picture.
pub(crate) fn read_png(path: &Path) -> (u32, u32, Vec<u8>) {
    let file = BufReader::new(std::fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgba, png::BitDepth::Eight));
    (info.width, info.height, pixels)
}
