//! `cargo xtask platforms`: the code of the other platforms, type-checked and linted here; Miri on the unsafe parts; Bevy, which
//! needs a Rust of its own.

use crate::packages::{self, Purpose};
use crate::shell::Shell;
use crate::steps::{self, Step};
use anyhow::Result;

const STEPS: &[Step] = &[
    Step {
        name: "windows",
        about: "x86_64-pc-windows-gnu",
        run: |shell| lint(shell, "x86_64-pc-windows-gnu", WINDOWS),
    },
    Step { name: "macos", about: "aarch64-apple-darwin", run: |shell| lint(shell, "aarch64-apple-darwin", MACOS) },
    Step { name: "wasm", about: "wasm32-unknown-unknown", run: |shell| lint(shell, "wasm32-unknown-unknown", WASM) },
    Step {
        name: "wasm-off",
        about: "the same, measuring nothing",
        run: |shell| lint(shell, "wasm32-unknown-unknown", OFF),
    },
    Step { name: "miri", about: "undefined behaviour in the unsafe parts", run: miri },
    Step { name: "bevy", about: "a scene in Bevy, the same with and without instrumentation", run: bevy },
];

/// The libraries and the tool, as users build them, with the API's own handles and its sources of figures about GPU memory.
const WINDOWS: &[&str] = &[
    "--workspace",
    "--exclude",
    "xtask",
    "--features",
    "engine-vitals/counters,engine-vitals/dx12,engine-vitals/fault,engine-vitals/nvml,engine-vitals/vulkan",
];
/// The same.
const MACOS: &[&str] = &[
    "--workspace",
    "--exclude",
    "xtask",
    "--features",
    "engine-vitals/counters,engine-vitals/fault,engine-vitals/metal",
];
/// No sockets and no processes there: all but the server and the stream of events.
const WASM: &[&str] = &[
    "--package",
    "engine-vitals",
    "--no-default-features",
    "--features",
    "telemetry,instrument,fault,memory-pools,staging-rings",
];
/// The twins that do nothing.
const OFF: &[&str] = &["--package", "engine-vitals", "--no-default-features"];

/// Runs all of it; what rustup cannot fetch is named and skipped.
pub(crate) fn run(shell: &Shell) -> Result<()> {
    steps::run(shell, STEPS)
}

fn lint(shell: &Shell, target: &str, what: &[&str]) -> Result<()> {
    if shell.program("rustup", ["target", "add", target]).ask().is_none() {
        shell.skip(target, "rustup cannot fetch this target");
        return Ok(());
    }
    shell.cargo(["clippy", "--target", target]).args(what).args(["--", "-D", "warnings"]).watch()
}

fn miri(shell: &Shell) -> Result<()> {
    if shell.program("rustup", ["+nightly", "component", "add", "miri", "rust-src"]).ask().is_none() {
        shell.skip("miri", "rustup cannot fetch the nightly components miri and rust-src");
        return Ok(());
    }
    let core = ["run", "nightly", "cargo", "miri", "test", "--package", "engine-vitals-core"];
    let of_the_core = |flags: &str, what: [&str; 2]| {
        shell.program("rustup", core).args(what).env("MIRIFLAGS", &format!("-Zmiri-disable-isolation {flags}")).watch()
    };
    of_the_core("", ["--lib", "memory::"])?;
    // Stacked Borrows, unlike Tree Borrows, knows no allocator that keeps something beside a block: what a `Box` hands back reaches no
    // further than its content, and may be handed on but not widened.
    of_the_core("-Zmiri-tree-borrows", ["--test", "heap_notes"])
}

/// The Rust that Bevy 0.20 needs.
const BEVY_RUST: &str = "1.97.1";
/// Its package, which is outside the workspace.
const BEVY: &str = "examples/bevy/Cargo.toml";

fn bevy(shell: &Shell) -> Result<()> {
    if shell.program("rustup", ["toolchain", "install", BEVY_RUST, "--profile", "minimal"]).ask().is_none() {
        shell.skip("bevy", &format!("rustup cannot fetch toolchain {BEVY_RUST}"));
        return Ok(());
    }
    packages::ensure(shell, &[Purpose::Vulkan])?;
    shell.cargo(["fmt", "--check", "--manifest-path", BEVY]).watch()?;
    let run = ["run", BEVY_RUST, "cargo", "run", "--manifest-path", BEVY, "--", "target/bevy"];
    shell.program("rustup", run).watch()
}
