//! What was found on a machine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine_vitals_core::contract::VramProvider;
use engine_vitals_core::vram::PciAddress;

/// Where [`detect`](super::detect) looks.
#[derive(Debug, Clone)]
#[must_use]
pub struct DetectOptions {
    root: PathBuf,
    device: Option<PciAddress>,
}

impl Default for DetectOptions {
    fn default() -> Self {
        Self { root: PathBuf::from("/"), device: None }
    }
}

impl DetectOptions {
    /// The machine's own files, and the device by what wgpu says of its adapter.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the kernel's and drivers' files below this folder instead of `/`: a tree kept from another machine.
    pub fn root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = root.into();
        self
    }

    /// The place of the device on the PCI bus, instead of what wgpu says: OpenGL and Metal do not tell it.
    pub fn device(mut self, device: PciAddress) -> Self {
        self.device = Some(device);
        self
    }

    #[cfg_attr(not(feature = "telemetry"), expect(dead_code, reason = "the no-op twin looks nowhere"))]
    pub(super) fn parts(&self) -> (&Path, Option<PciAddress>) {
        (&self.root, self.device)
    }
}

/// A source of figures about a device's memory: found or not, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VramSource {
    /// Its name, the value of the label `source`.
    pub name: &'static str,
    /// 1 for the source that knows best what this process uses, and so on; `None` if it is absent.
    pub rank: Option<usize>,
    /// What it knew when it was found.
    pub knows: VramKnowledge,
    /// Why it is absent, or what it lacks.
    pub note: Option<String>,
}

/// Which figures a source has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VramKnowledge {
    /// Bytes that this process uses.
    pub used: bool,
    /// Bytes that this process may use.
    pub budget: bool,
    /// Bytes that the memory holds.
    pub capacity: bool,
    /// Bytes that all processes use.
    pub device_used: bool,
    /// Heaps that it tells apart.
    pub heaps: usize,
    /// How busy the device is, for all processes.
    pub busy: bool,
    /// Engines whose time it tells.
    pub engines: usize,
}

impl VramKnowledge {
    /// What `provider` knows now.
    #[must_use]
    pub fn of(provider: &dyn VramProvider) -> Self {
        Self {
            used: provider.get_vram_usage_bytes().is_some(),
            budget: provider.get_vram_budget_bytes().is_some(),
            capacity: provider.get_vram_capacity_bytes().is_some(),
            device_used: provider.get_vram_device_usage_bytes().is_some(),
            busy: provider.get_device_busy_ratio().is_some(),
            heaps: provider.get_vram_heaps().len(),
            engines: provider.get_engines_busy().len(),
        }
    }
}

impl fmt::Display for VramKnowledge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            (self.used, "used"),
            (self.budget, "budget"),
            (self.capacity, "capacity"),
            (self.device_used, "used by all processes"),
            (self.busy, "how busy it is"),
        ];
        let mut words: Vec<_> = flags.iter().filter(|(known, _)| *known).map(|(_, word)| (*word).to_owned()).collect();
        for (count, what) in [(self.heaps, "heaps"), (self.engines, "engines")] {
            if count > 0 {
                words.push(format!("{what}: {count}"));
            }
        }
        formatter.pad(&if words.is_empty() { "nothing".to_owned() } else { words.join(", ") })
    }
}

impl fmt::Display for VramSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rank {
            Some(rank) => write!(formatter, "{rank:>2} {:<14} knows {}", self.name, self.knows)?,
            None => write!(formatter, " - {:<14} absent", self.name)?,
        }
        self.note.as_ref().map_or(Ok(()), |note| write!(formatter, ": {note}"))
    }
}

/// What [`detect`](super::detect) has found. Dropping it drops the providers, unless they were taken: monitors hold them weakly.
///
/// It writes itself as a table, a line for each source.
#[derive(Debug, Clone, Default)]
pub struct Detected {
    sources: Vec<VramSource>,
    /// As many as have a rank, in its order.
    providers: Vec<Arc<dyn VramProvider>>,
}

/// A source that was looked for: the provider with what it lacks, if anything, or why there is none.
#[cfg(feature = "telemetry")]
pub(super) type Outcome = Result<(Arc<dyn VramProvider>, Option<String>), String>;

impl Detected {
    /// Ranks what was looked for, in order of preference. Those that do not know what this process uses come behind those that do.
    #[cfg(feature = "telemetry")]
    pub(super) fn rank(looked_for: impl IntoIterator<Item = (&'static str, Outcome)>) -> Self {
        let (mut found, mut absent) = (Vec::new(), Vec::new());
        for (name, outcome) in looked_for {
            match outcome {
                Ok((provider, note)) => found.push((name, VramKnowledge::of(&*provider), note, provider)),
                Err(why) => {
                    absent.push(VramSource { name, rank: None, knows: VramKnowledge::default(), note: Some(why) });
                }
            }
        }
        found.sort_by_key(|(_, knows, ..)| !knows.used);
        let mut detected = Self::default();
        for (index, (name, knows, note, provider)) in found.into_iter().enumerate() {
            detected.sources.push(VramSource { name, rank: Some(index + 1), knows, note });
            detected.providers.push(provider);
        }
        detected.sources.extend(absent);
        detected
    }

    /// All sources that there could be: those that were found, by rank, then those that are absent.
    #[must_use]
    pub fn sources(&self) -> &[VramSource] {
        &self.sources
    }

    /// The providers that were found, by rank. Keep them for as long as monitors are to read them.
    #[must_use]
    pub fn providers(&self) -> &[Arc<dyn VramProvider>] {
        &self.providers
    }

    /// The one that knows best what this process uses; `None` if none knows.
    #[must_use]
    pub fn best(&self) -> Option<&Arc<dyn VramProvider>> {
        self.providers.first().filter(|_| self.sources.first().is_some_and(|source| source.knows.used))
    }

    /// The provider of this name, if it was found.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn VramProvider>> {
        self.providers.iter().find(|provider| provider.source() == name)
    }
}

impl fmt::Display for Detected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sources.iter().try_for_each(|source| writeln!(formatter, "{source}"))
    }
}
