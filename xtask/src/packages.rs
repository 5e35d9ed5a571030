//! What the machine must have besides Rust: what a purpose needs, how to see that it is there, how to install it.
//!
//! Silent when all is there. Nothing is installed without a line that says what and why, and only through apt-get, as
//! root or by a sudo that asks for no password; on any other machine the answer is an error that names the packages.

use crate::shell::{Shell, has_program};
use anyhow::{Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// What a machine can be needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A Vulkan loader and at least one driver.
    Vulkan,
    /// Mesa's OpenGL through EGL.
    OpenGl,
    /// A Prometheus server and promtool.
    Prometheus,
    /// An X server without a screen and what winit loads to speak to it.
    Window,
    /// Python that can make environments of its own.
    Python,
    /// What C libraries are built with that Cargo builds, beside the compiler.
    Make,
}

/// How a need shows that it is met.
enum Sign {
    Program(&'static str),
    Library(&'static str),
    /// Python can import it.
    PythonModule(&'static str),
    /// A manifest of a Vulkan driver whose file name begins so.
    VulkanDriver(&'static str),
}

struct Need {
    sign: Sign,
    /// Debian's package.
    package: &'static str,
}

const fn need(sign: Sign, package: &'static str) -> Need {
    Need { sign, package }
}

const VULKAN: &[Need] =
    &[need(Sign::Library("libvulkan.so.1"), "libvulkan1"), need(Sign::VulkanDriver(""), "mesa-vulkan-drivers")];
const OPENGL: &[Need] = &[
    need(Sign::Library("libEGL.so.1"), "libegl1"),
    need(Sign::Library("libEGL_mesa.so.0"), "libegl-mesa0"),
    need(Sign::Library("dri/swrast_dri.so"), "libgl1-mesa-dri"),
];
const PROMETHEUS: &[Need] =
    &[need(Sign::Program("prometheus"), "prometheus"), need(Sign::Program("promtool"), "prometheus")];
const WINDOW: &[Need] = &[
    need(Sign::Program("Xvfb"), "xvfb"),
    need(Sign::Library("libX11.so.6"), "libx11-6"),
    need(Sign::Library("libX11-xcb.so.1"), "libx11-xcb1"),
    need(Sign::Library("libXcursor.so.1"), "libxcursor1"),
    need(Sign::Library("libXi.so.6"), "libxi6"),
    need(Sign::Library("libxkbcommon-x11.so.0"), "libxkbcommon-x11-0"),
];
const PYTHON: &[Need] =
    &[need(Sign::Program("python3"), "python3"), need(Sign::PythonModule("ensurepip"), "python3-venv")];

const MAKE: &[Need] = &[need(Sign::Program("make"), "make")];

impl Purpose {
    fn needs(self) -> &'static [Need] {
        match self {
            Self::Vulkan => VULKAN,
            Self::OpenGl => OPENGL,
            Self::Prometheus => PROMETHEUS,
            Self::Window => WINDOW,
            Self::Python => PYTHON,
            Self::Make => MAKE,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Vulkan => "a Vulkan driver to render with",
            Self::OpenGl => "an OpenGL driver for the comparison on another backend",
            Self::Prometheus => "a Prometheus server and promtool for the end-to-end tests",
            Self::Window => "an X server for the windowed test",
            Self::Python => "Python for Perfetto's reader of traces",
            Self::Make => "make, to build jemalloc for its tests",
        }
    }
}

/// Installs what is missing for these purposes; does nothing and says nothing when nothing is.
///
/// # Errors
/// When something is missing and cannot be installed; the message holds the command to run.
pub(crate) fn ensure(shell: &Shell, purposes: &[Purpose]) -> Result<()> {
    let lacking: Vec<_> = purposes.iter().filter(|purpose| !missing(**purpose).is_empty()).collect();
    let mut packages: Vec<_> = lacking.iter().flat_map(|purpose| missing(**purpose)).collect();
    packages.sort_unstable();
    packages.dedup();
    let reasons: Vec<_> = lacking.iter().map(|purpose| purpose.reason()).collect();
    install(shell, &packages, &reasons.join(", "))
}

/// Installs Mesa's software Vulkan driver unless it is there: for a machine whose drivers find no device.
///
/// # Errors
/// As [`ensure`]; also when it is there already, since then another install would not help.
pub(crate) fn ensure_software_vulkan(shell: &Shell) -> Result<()> {
    if present(&Sign::VulkanDriver("lvp_icd")) {
        bail!("Mesa's software Vulkan driver is installed and still offers no adapter: see `vulkaninfo --summary`");
    }
    install(shell, &["libvulkan1", "mesa-vulkan-drivers"], Purpose::Vulkan.reason())
}

/// Debian's packages that this purpose lacks here.
fn missing(purpose: Purpose) -> Vec<&'static str> {
    if cfg!(not(target_os = "linux")) {
        return Vec::new();
    }
    purpose.needs().iter().filter(|need| !present(&need.sign)).map(|need| need.package).collect()
}

fn present(sign: &Sign) -> bool {
    match sign {
        Sign::Program(name) => has_program(name),
        Sign::Library(name) => library_folders().iter().any(|folder| Path::new(folder).join(name).exists()),
        Sign::PythonModule(name) => python_has(name),
        Sign::VulkanDriver(begins) => {
            std::env::var_os("VK_DRIVER_FILES").or_else(|| std::env::var_os("VK_ICD_FILENAMES")).is_some()
                || ["/usr/share", "/etc", "/usr/local/share", "/usr/local/etc"]
                    .iter()
                    .any(|share| holds_manifest(&Path::new(share).join("vulkan/icd.d"), begins))
        }
    }
}

fn python_has(module: &str) -> bool {
    let mut python = Command::new("python3");
    let import = python.args(["-c", &format!("import {module}")]).stdin(Stdio::null());
    import.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn library_folders() -> Vec<String> {
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    let mut folders: Vec<String> =
        ["/usr/lib", "/lib", "/usr/lib64", "/lib64", "/usr/local/lib"].map(String::from).into();
    folders.extend(["/usr/lib", "/lib", "/usr/local/lib"].map(|base| format!("{base}/{triple}")));
    let listed = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    folders.extend(listed.split(':').filter(|folder| !folder.is_empty()).map(String::from));
    folders
}

fn holds_manifest(folder: &Path, begins: &str) -> bool {
    let Ok(entries) = folder.read_dir() else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with(begins) && name.ends_with(".json")
    })
}

fn install(shell: &Shell, packages: &[&str], reason: &str) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !has_program("apt-get") {
        bail!("missing {reason}: install what Debian calls {list}");
    }
    let Some(prefix) = privilege(shell) else {
        bail!("missing {reason}: run `sudo apt-get install --no-install-recommends {list}` (no right to do it here)");
    };
    println!("installing {list}: {reason}");
    apt(shell, prefix, &["update", "-qq"])?;
    apt(shell, prefix, &[&["install", "-qq", "-y", "--no-install-recommends"], packages].concat())
}

fn apt(shell: &Shell, prefix: &[&str], arguments: &[&str]) -> Result<()> {
    let mut line = prefix.to_vec();
    line.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    line.extend(arguments);
    shell.program(line[0], &line[1..]).watch()
}

/// What to put before a command that needs root: nothing for root, a sudo that does not ask, else there is no way.
fn privilege(shell: &Shell) -> Option<&'static [&'static str]> {
    let root = shell.program("id", ["-u"]).ask().is_some_and(|id| id.trim() == "0");
    if root {
        return Some(&[]);
    }
    shell.program("sudo", ["-n", "true"]).ask().map(|_| &["sudo", "-n"][..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_seen_by_the_beginning_of_its_manifest() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("engine-vitals-icd-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("radeon_icd.x86_64.json"), "{}")?;
        std::fs::write(folder.join("lvp_icd.txt"), "")?;
        assert!(holds_manifest(&folder, ""));
        assert!(holds_manifest(&folder, "radeon"));
        assert!(!holds_manifest(&folder, "lvp_icd"));
        std::fs::remove_dir_all(&folder)?;
        assert!(!holds_manifest(&folder, ""));
        Ok(())
    }

    #[test]
    fn what_no_machine_has_is_missing() {
        assert!(!present(&Sign::Program("engine-vitals-no-such-program")));
        assert!(!present(&Sign::Library("libengine-vitals-none.so.1")));
        assert!(!present(&Sign::PythonModule("engine_vitals_none")));
        assert!(present(&Sign::Program("cargo")) || std::env::var_os("PATH").is_none());
    }
}
