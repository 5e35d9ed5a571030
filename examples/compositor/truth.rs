//! The compositor's own account of what it made, destroyed and showed, kept in plain lists where it does so. engine-vitals has no part
//! in it: its reports are tested against this.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::failure::Failure;
use super::options::Plant;
use super::script::{Fate, Phase};
use super::visual::Owner;

/// Everything that happened so far.
#[derive(Debug, Serialize)]
pub(crate) struct Truth {
    program: &'static str,
    seed: u64,
    plant: String,
    /// Whose fault the planted one is.
    planted: Option<OwnerName>,
    /// In the order of their numbers, from 1.
    packets: Vec<Packet>,
    /// In the order of their creation.
    objects: Vec<Object>,
    #[serde(skip)]
    phase: Option<Phase>,
    #[serde(skip)]
    open: Option<u64>,
}

/// What the account is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    CommandQueue,
    NativeTarget,
}

/// Why something was made or destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Because {
    /// The tree was built.
    Start,
    /// Its visual has another size.
    Resize,
    /// A transient came.
    Appeared,
    /// A transient went.
    Vanished,
    /// A planted fault.
    Planted,
    /// Everything ends.
    Teardown,
}

/// Place of an object in the account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Serial(usize);

#[derive(Debug, Serialize)]
struct Packet {
    number: u64,
    phase: Phase,
    result: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct OwnerName {
    kind: &'static str,
    key: u64,
    name: String,
}

#[derive(Debug, Serialize)]
struct Object {
    what: What,
    owner: OwnerName,
    created: Step,
    /// `None` for what was never destroyed.
    destroyed: Option<Step>,
    /// Times that it was asked to have a size.
    asked: u32,
    /// Times that it was kept and only its storage rebuilt.
    rebuilt: u32,
    /// Times that it was taken again where another could have been made.
    reused: u32,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Step {
    /// The packet under way, by its number; `None` between packets.
    packet: Option<u64>,
    phase: Phase,
    because: Because,
}

impl Serialize for Phase {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Startup => "startup",
            Self::Steady => "steady",
            Self::Shutdown => "shutdown",
        })
    }
}

impl Truth {
    pub(crate) fn new(seed: u64, plant: Plant) -> Self {
        Self {
            program: env!("CARGO_BIN_NAME"),
            seed,
            plant: plant.name(),
            planted: None,
            packets: Vec::new(),
            objects: Vec::new(),
            phase: None,
            open: None,
        }
    }

    /// The planted fault is in what belongs to `owner`.
    pub(crate) fn planted(&mut self, owner: &Owner) {
        self.planted = Some(OwnerName::of(owner));
    }

    /// A packet begins: the next number.
    pub(crate) fn packet_begins(&mut self, phase: Phase) {
        self.phase = Some(phase);
        self.open = Some(self.packets.len() as u64 + 1);
    }

    /// The packet under way ends.
    pub(crate) fn packet_ends(&mut self, fate: Fate) {
        if let (Some(number), Some(phase)) = (self.open.take(), self.phase) {
            let result = match fate {
                Fate::Presented => "Presented",
                Fate::Dropped => "Dropped",
                Fate::NoOp => "NoOp",
            };
            self.packets.push(Packet { number, phase, result });
        }
    }

    /// The teardown begins.
    pub(crate) fn teardown_begins(&mut self) {
        self.phase = Some(Phase::Shutdown);
    }

    /// Something was made for `owner`.
    pub(crate) fn created(&mut self, what: What, owner: &Owner, because: Because) -> Serial {
        let created = self.step(because);
        let owner = OwnerName::of(owner);
        self.objects.push(Object { what, owner, created, destroyed: None, asked: 0, rebuilt: 0, reused: 0 });
        Serial(self.objects.len() - 1)
    }

    /// It was asked to have a size, the one that it has or another.
    pub(crate) fn asked(&mut self, serial: Serial) {
        self.objects[serial.0].asked += 1;
    }

    /// It was taken again where another could have been made.
    pub(crate) fn reused(&mut self, serial: Serial) {
        self.objects[serial.0].reused += 1;
    }

    /// Its storage was rebuilt.
    pub(crate) fn rebuilt(&mut self, serial: Serial) {
        self.objects[serial.0].rebuilt += 1;
    }

    /// It was destroyed.
    pub(crate) fn destroyed(&mut self, serial: Serial, because: Because) {
        self.objects[serial.0].destroyed = Some(self.step(because));
    }

    /// Packets so far that were shown.
    pub(crate) fn presented(&self) -> u64 {
        self.packets.iter().filter(|packet| packet.result == "Presented").count() as u64
    }

    /// The account in a few lines.
    pub(crate) fn summary(&self) -> String {
        let mut lines = format!("presented {} of {} packets", self.presented(), self.packets.len());
        for what in [What::CommandQueue, What::NativeTarget] {
            let mut counts: BTreeMap<Phase, [u64; 2]> = BTreeMap::new();
            for object in self.objects.iter().filter(|object| object.what == what) {
                counts.entry(object.created.phase).or_default()[0] += 1;
                if let Some(destroyed) = object.destroyed {
                    counts.entry(destroyed.phase).or_default()[1] += 1;
                }
            }
            for (phase, [created, destroyed]) in counts {
                lines.push_str(&format!("\n{phase:?}: {what:?}: {created} created, {destroyed} destroyed"));
            }
        }
        lines
    }

    /// Writes the account as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let failed =
            |what: &dyn std::fmt::Display| Failure::Running(format!("--ground-truth {}: {what}", path.display()));
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(&error))?;
        std::fs::write(path, text).map_err(|error| failed(&error))
    }

    fn step(&self, because: Because) -> Step {
        Step { packet: self.open, phase: self.phase.unwrap_or(Phase::Startup), because }
    }
}

impl OwnerName {
    fn of(owner: &Owner) -> Self {
        Self { kind: owner.kind().name(), key: owner.key(), name: owner.name().to_owned() }
    }
}
