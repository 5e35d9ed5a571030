//! `cargo xtask test`: every check, one step after the other. `.ci/run` calls it.

use crate::packages::{self, Purpose};
use crate::shell::{Shell, has_program};
use crate::steps::{self, Step};
use crate::{licences, metrics_doc, perfetto, soak, tidy};
use anyhow::{Context, Result, bail};
use cargo_metadata::{MetadataCommand, Package};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these steps (all of them without a name)
    steps: Vec<String>,
    /// List the steps
    #[arg(long)]
    list: bool,
}

const STEPS: &[Step] = &[
    Step { name: "needs", about: "what the tests need beside Rust", run: needs },
    Step { name: "format", about: "rustfmt", run: format },
    Step { name: "tidy", about: "arrows between rooms, metric names, words", run: tidy::run },
    Step { name: "metrics-doc", about: "docs/METRICS.md is what the code says", run: metrics_doc::check },
    Step { name: "licences", about: "licences, bans and sources of dependencies", run: licences::run },
    Step { name: "grafana", about: "Prometheus configuration and rules", run: grafana },
    Step { name: "clippy", about: "lints, all targets and all features", run: clippy },
    Step { name: "features", about: "lints, each feature alone and none", run: features },
    Step { name: "docs", about: "documentation without warnings", run: docs },
    Step { name: "tests", about: "unit, property and integration tests", run: tests },
    Step { name: "tests-off", about: "tests of the no-op twins", run: tests_off },
    Step { name: "loom", about: "models of what is lock-free", run: loom },
    Step { name: "soaks", about: "the long campaigns of the core, short, in release", run: soak::short },
    Step { name: "package", about: "what would be published", run: package },
];

/// True where a skipped test is a failure.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

pub(crate) fn run(shell: &Shell, options: &Options) -> Result<()> {
    if options.list {
        for step in STEPS {
            println!("{:<12} {}", step.name, step.about);
        }
        return Ok(());
    }
    for name in &options.steps {
        if !STEPS.iter().any(|step| step.name == name) {
            bail!("no step is called `{name}`; `cargo xtask test --list` names them");
        }
    }
    let wanted = |step: &&Step| options.steps.is_empty() || options.steps.iter().any(|name| name == step.name);
    steps::run(shell, STEPS.iter().filter(wanted))
}

fn needs(shell: &Shell) -> Result<()> {
    for component in ["rustfmt", "clippy"] {
        if !has_program(&format!("cargo-{}", component.trim_start_matches("rust"))) {
            shell.program("rustup", ["component", "add", component]).watch()?;
        }
    }
    // Without make nothing is built with all features, so its lack is not passed over.
    packages::ensure(shell, &[Purpose::Make])?;
    let found = packages::ensure(shell, &[Purpose::Vulkan, Purpose::OpenGl, Purpose::Prometheus, Purpose::Window]);
    let reader = perfetto::ensure(shell);
    for found in [found, reader] {
        match found {
            Err(error) if !in_ci() => shell.skip("needs", &format!("{error:#}")),
            found => found?,
        }
    }
    Ok(())
}

fn format(shell: &Shell) -> Result<()> {
    shell.cargo(["fmt", "--all", "--check"]).watch()
}

fn grafana(shell: &Shell) -> Result<()> {
    if !has_program("promtool") {
        if in_ci() {
            bail!("promtool is not installed");
        }
        shell.skip("grafana", "promtool is not installed");
        return Ok(());
    }
    shell.program("promtool", ["check", "config", "grafana/prometheus.yml"]).watch()?;
    shell.program("promtool", ["check", "rules", "grafana/rules/engine-vitals.yml"]).watch()?;
    shell.program("promtool", ["test", "rules", "grafana/rules/engine-vitals.test.yml"]).watch()
}

fn clippy(shell: &Shell) -> Result<()> {
    shell.cargo(["clippy", "--workspace", "--all-targets", "--all-features"]).args(DENY_WARNINGS).watch()
}

const DENY_WARNINGS: [&str; 3] = ["--", "-D", "warnings"];

/// Without features, and each feature of each library by itself: what an application can ask for must compile alone.
fn features(shell: &Shell) -> Result<()> {
    let mut failed = Vec::new();
    for package in libraries(shell)? {
        let name = package.name.to_string();
        for feature in std::iter::once("").chain(package.features.keys().map(String::as_str)) {
            let arguments = ["clippy", "--package", &name, "--lib", "--no-default-features", "--features", feature];
            if shell.cargo(arguments).args(DENY_WARNINGS).watch().is_err() {
                failed.push(format!("{name} with `{feature}`"));
            }
        }
    }
    if !failed.is_empty() {
        bail!("not clean: {}", failed.join(", "));
    }
    Ok(())
}

/// The packages of the workspace that others can depend on.
fn libraries(shell: &Shell) -> Result<Vec<Package>> {
    let metadata = MetadataCommand::new().current_dir(shell.root()).no_deps().exec().context("cargo metadata")?;
    let published = |package: &Package| package.publish.as_ref().is_none_or(|registries| !registries.is_empty());
    Ok(metadata.packages.into_iter().filter(|one| published(one) && one.targets.iter().any(|t| t.is_lib())).collect())
}

fn docs(shell: &Shell) -> Result<()> {
    let arguments = ["doc", "--workspace", "--no-deps", "--all-features"];
    shell.cargo(arguments).env("RUSTDOCFLAGS", "-D warnings").watch()
}

/// The package of the models, which has a step of its own.
const LOOM: &str = "engine-vitals-loom";

fn tests(shell: &Shell) -> Result<()> {
    let run = |features: &str, targets: &[&str]| {
        let except = ["--workspace", "--exclude", LOOM, "--no-fail-fast", "--features", features];
        let call = shell.cargo(["test"]).args(except);
        with_adapter_rule(call.args(targets))
    };
    let with_heap = "engine-vitals/call-sites,engine-vitals/jemalloc,engine-vitals/mimalloc";
    let with_stores = "engine-vitals/staging-rings,engine-vitals/memory-pools";
    run(&format!("engine-vitals/vulkan,engine-vitals/nvml,engine-vitals/log,{with_heap},{with_stores}"), &[])?;
    // What only the injection of faults adds.
    let with_faults = format!("engine-vitals/vulkan,engine-vitals/fault,{with_stores}");
    run(&with_faults, &["--lib", "--test", "fault", "--test", "instrument", "--test", "pool", "--test", "staging"])?;
    run(&with_faults, &["--doc"])
}

fn tests_off(shell: &Shell) -> Result<()> {
    for package in ["engine-vitals-core", "engine-vitals"] {
        with_adapter_rule(shell.cargo(["test", "--package", package, "--no-default-features", "--no-fail-fast"]))?;
    }
    Ok(())
}

/// In CI a test that finds no adapter, or no reader of traces, fails instead of being skipped.
fn with_adapter_rule(call: crate::shell::Call<'_>) -> Result<()> {
    if !in_ci() {
        return call.watch();
    }
    call.env("ENGINE_VITALS_REQUIRE_GPU", "1").env("ENGINE_VITALS_REQUIRE_READER", "1").watch()
}

fn loom(shell: &Shell) -> Result<()> {
    shell.cargo(["test", "--package", LOOM]).watch()
}

/// Packs every crate that is published, and checks that nothing it names is missing from the archive. Whether the
/// archives build is left to publishing, except for the core, which builds in seconds.
fn package(shell: &Shell) -> Result<()> {
    let mut pack = vec!["package".to_owned(), "--allow-dirty".to_owned(), "--no-verify".to_owned()];
    for package in libraries(shell)? {
        pack.extend(["--package".to_owned(), package.name.to_string()]);
    }
    pack.extend(["--package", "engine-vitals-cli"].map(String::from));
    shell.cargo(pack).watch()?;
    shell.cargo(["package", "--allow-dirty", "--package", "engine-vitals-core"]).watch()
}
