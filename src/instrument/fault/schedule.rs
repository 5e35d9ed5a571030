//! What fails, and when: calls in, faults out. Knows nothing of wgpu's objects.

use std::fmt;
use std::time::Duration;

macro_rules! calls {
    ($($(#[$doc:meta])* $call:ident = $name:literal,)*) => {
        /// A call that can be made to fail, or to be slow.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Call {
            $($(#[$doc])* $call,)*
        }

        impl Call {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$call,)*];

            /// wgpu's name for it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$call => $name,)*
                }
            }
        }
    };
}

calls! {
    /// `Adapter::request_device`.
    RequestDevice = "Adapter::request_device",
    /// `Device::create_buffer`.
    CreateBuffer = "Device::create_buffer",
    /// `Device::create_texture`.
    CreateTexture = "Device::create_texture",
    /// `Texture::create_view`.
    CreateView = "Texture::create_view",
    /// `Device::create_sampler`.
    CreateSampler = "Device::create_sampler",
    /// `Device::create_query_set`.
    CreateQuerySet = "Device::create_query_set",
    /// `Device::create_shader_module` and its variants.
    CreateShaderModule = "Device::create_shader_module",
    /// `Device::create_bind_group_layout`.
    CreateBindGroupLayout = "Device::create_bind_group_layout",
    /// `Device::create_bind_group`.
    CreateBindGroup = "Device::create_bind_group",
    /// `Device::create_pipeline_layout`.
    CreatePipelineLayout = "Device::create_pipeline_layout",
    /// `Device::create_render_pipeline` and `create_mesh_pipeline`.
    CreateRenderPipeline = "Device::create_render_pipeline",
    /// `Device::create_compute_pipeline`.
    CreateComputePipeline = "Device::create_compute_pipeline",
    /// `Device::create_command_encoder`.
    CreateCommandEncoder = "Device::create_command_encoder",
    /// `CommandEncoder::finish`: where wgpu tells of errors in what was recorded.
    Finish = "CommandEncoder::finish",
    /// `Queue::write_buffer` and `write_buffer_with`.
    WriteBuffer = "Queue::write_buffer",
    /// `Queue::write_texture`.
    WriteTexture = "Queue::write_texture",
    /// `Queue::submit`.
    Submit = "Queue::submit",
    /// `Buffer::map_async`, of a slice too.
    MapAsync = "Buffer::map_async",
    /// `Surface::get_current_texture`.
    GetCurrentTexture = "Surface::get_current_texture",
    /// `Queue::present`.
    Present = "Queue::present",
    /// `Device::poll`.
    Poll = "Device::poll",
}

impl Call {
    /// It makes one of a device's objects.
    fn creates(self) -> bool {
        match self {
            Self::CreateBuffer
            | Self::CreateTexture
            | Self::CreateView
            | Self::CreateSampler
            | Self::CreateQuerySet
            | Self::CreateShaderModule
            | Self::CreateBindGroupLayout
            | Self::CreateBindGroup
            | Self::CreatePipelineLayout
            | Self::CreateRenderPipeline
            | Self::CreateComputePipeline => true,
            Self::RequestDevice
            | Self::CreateCommandEncoder
            | Self::Finish
            | Self::WriteBuffer
            | Self::WriteTexture
            | Self::Submit
            | Self::MapAsync
            | Self::GetCurrentTexture
            | Self::Present
            | Self::Poll => false,
        }
    }

    fn writes(self) -> bool {
        matches!(self, Self::WriteBuffer | Self::WriteTexture)
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Call {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// `wgpu::Error::OutOfMemory`, through error scopes and the handler. A creation gives an invalid object, a write has no
    /// effect.
    OutOfMemory,
    /// `wgpu::Error::Validation`, the same way. A command buffer is invalid, and a failed submission an empty one.
    Validation,
    /// The device is lost: the real one is destroyed, and the device-lost callback is called with the reason `Unknown`.
    DeviceLost,
    /// The callback of a mapping gets an error, before `map_async` returns.
    MapFailure,
    /// A submission whose end is not told until [`FaultPlan::release`](super::FaultPlan::release).
    Stall,
    /// `get_current_texture` gives `Lost`.
    SurfaceLost,
    /// `get_current_texture` gives `Outdated`.
    SurfaceOutdated,
    /// `get_current_texture` gives `Timeout`.
    SurfaceTimeout,
    /// `get_current_texture` gives `Occluded`.
    SurfaceOccluded,
    /// No device is to be had.
    NoDevice,
    /// The call takes so much longer (not on the web). It may fail by another rule too.
    Slow(Duration),
}

impl Fault {
    /// Whether the fault can befall that call.
    #[must_use]
    pub fn befalls(self, call: Call) -> bool {
        match self {
            Self::OutOfMemory => call.creates() || call.writes() || call == Call::CreateCommandEncoder,
            Self::Validation => {
                call.creates() || call.writes() || matches!(call, Call::Finish | Call::Submit | Call::GetCurrentTexture)
            }
            Self::DeviceLost | Self::Stall => call == Call::Submit,
            Self::MapFailure => call == Call::MapAsync,
            Self::SurfaceLost | Self::SurfaceOutdated | Self::SurfaceTimeout | Self::SurfaceOccluded => {
                call == Call::GetCurrentTexture
            }
            Self::NoDevice => call == Call::RequestDevice,
            Self::Slow(_) => true,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory => out.write_str("out of memory"),
            Self::Validation => out.write_str("validation error"),
            Self::DeviceLost => out.write_str("device lost"),
            Self::MapFailure => out.write_str("mapping failed"),
            Self::Stall => out.write_str("submission that does not complete"),
            Self::SurfaceLost => out.write_str("surface lost"),
            Self::SurfaceOutdated => out.write_str("surface outdated"),
            Self::SurfaceTimeout => out.write_str("surface timeout"),
            Self::SurfaceOccluded => out.write_str("surface occluded"),
            Self::NoDevice => out.write_str("no device"),
            Self::Slow(by) => write!(out, "slow by {by:?}"),
        }
    }
}

/// Which of the calls that a rule sees fail. Calls are numbered from 1, for each rule.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum When {
    /// Every so-manieth: for 3 the calls 3, 6, 9, …; for 0 none.
    Every(u64),
    /// These.
    Calls(Vec<u64>),
    /// All after so many.
    After(u64),
    /// Each with that probability, between 0 and 1, by the plan's seed: call n fails or not whatever other calls do.
    Probability(f64),
}

/// One fault, when it comes, and which calls it comes to.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "give it to `FaultPlan::fail`"]
pub struct Rule {
    fault: Fault,
    when: When,
    /// A bit for each; 0 for all.
    calls: u32,
    labels: Option<String>,
    persistent: bool,
}

impl Rule {
    /// Befalls all calls that it can, each time anew.
    pub fn new(fault: Fault, when: When) -> Self {
        Self { fault, when, calls: 0, labels: None, persistent: false }
    }

    /// Only that call, and those of other such calls. One that the fault cannot [befall](Fault::befalls) is never seen.
    pub fn on(mut self, call: Call) -> Self {
        self.calls |= call.bit();
        self
    }

    /// Only what is made with a label that begins like this.
    pub fn labels_starting(mut self, prefix: impl Into<String>) -> Self {
        self.labels = Some(prefix.into());
        self
    }

    /// From the first call that fails on, all that the rule sees fail, until the plan is disarmed.
    pub fn persistent(mut self) -> Self {
        self.persistent = true;
        self
    }

    /// Only the calls that [`When`] names fail. The default.
    pub fn transient(mut self) -> Self {
        self.persistent = false;
        self
    }

    fn sees(&self, call: Call, label: Option<&str>) -> bool {
        self.fault.befalls(call)
            && (self.calls == 0 || self.calls & call.bit() != 0)
            && self.labels.as_deref().is_none_or(|prefix| label.is_some_and(|label| label.starts_with(prefix)))
    }
}

/// What has become of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultCount {
    /// Its fault.
    pub fault: Fault,
    /// Calls that it saw. A call that an earlier rule has failed is not among them.
    pub seen: u64,
    /// Of these, the calls that it failed, or made slow.
    pub failed: u64,
}

/// What is to be done to a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) delay: Duration,
    pub(super) fault: Option<Fault>,
}

/// The rules, and how far each has come. The same seed and rules and the same calls give the same faults.
#[derive(Debug)]
pub(super) struct Schedule {
    seed: u64,
    rules: Vec<State>,
}

#[derive(Debug)]
struct State {
    rule: Rule,
    seen: u64,
    failed: u64,
    /// Persistent, and has begun to fail.
    failing: bool,
}

impl Schedule {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, rules: Vec::new() }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn add(&mut self, rule: Rule) {
        self.rules.push(State { rule, seen: 0, failed: 0, failing: false });
    }

    /// Ends what fails from some call on.
    pub(super) fn calm(&mut self) {
        self.rules.iter_mut().for_each(|state| state.failing = false);
    }

    pub(super) fn counts(&self) -> Vec<FaultCount> {
        self.rules.iter().map(|s| FaultCount { fault: s.rule.fault, seen: s.seen, failed: s.failed }).collect()
    }

    /// Delays by all rules that say so; a fault by the first.
    pub(super) fn decide(&mut self, call: Call, label: Option<&str>) -> Verdict {
        let mut verdict = Verdict::default();
        for (index, state) in (0u64..).zip(&mut self.rules) {
            if !state.rule.sees(call, label) || !state.next(self.seed ^ mix(index)) {
                continue;
            }
            match state.rule.fault {
                Fault::Slow(by) => verdict.delay = verdict.delay.saturating_add(by),
                fault => {
                    verdict.fault = Some(fault);
                    break;
                }
            }
        }
        verdict
    }
}

impl State {
    /// Whether the next call fails.
    fn next(&mut self, seed: u64) -> bool {
        self.seen += 1;
        let number = self.seen;
        let fails = self.failing
            || match &self.rule.when {
                When::Every(every) => number.is_multiple_of(*every) && *every > 0,
                When::Calls(calls) => calls.contains(&number),
                When::After(after) => number > *after,
                When::Probability(probability) => unit(seed, number) < *probability,
            };
        self.failing = fails && self.rule.persistent;
        self.failed += u64::from(fails);
        fails
    }
}

/// A number below 1 for each call of a seed.
fn unit(seed: u64, number: u64) -> f64 {
    // 53 bits are what a float holds exactly.
    (mix(seed ^ mix(number)) >> 11) as f64 / (1u64 << 53) as f64
}

/// The finaliser of SplitMix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(seed: u64, rules: impl IntoIterator<Item = Rule>) -> Schedule {
        let mut schedule = Schedule::new(seed);
        rules.into_iter().for_each(|rule| schedule.add(rule));
        schedule
    }

    /// The numbers of the failed ones of so many submissions.
    fn failed(schedule: &mut Schedule, calls: u64) -> Vec<u64> {
        (1..=calls).filter(|_| schedule.decide(Call::Submit, None).fault.is_some()).collect()
    }

    #[test]
    fn calls_fail_when_the_rule_says() {
        let lost = |when| schedule(1, [Rule::new(Fault::DeviceLost, when)]);
        assert_eq!(failed(&mut lost(When::Every(3)), 10), [3, 6, 9]);
        assert_eq!(failed(&mut lost(When::Every(0)), 10), [0; 0]);
        assert_eq!(failed(&mut lost(When::Calls(vec![2, 7, 0])), 10), [2, 7]);
        assert_eq!(failed(&mut lost(When::After(8)), 10), [9, 10]);
        assert_eq!(failed(&mut lost(When::Probability(0.0)), 1000), [0; 0]);
        assert_eq!(failed(&mut lost(When::Probability(f64::NAN)), 1000), [0; 0]);
        assert_eq!(failed(&mut lost(When::Probability(1.0)), 100).len(), 100);
        let half = failed(&mut lost(When::Probability(0.5)), 10_000).len();
        assert!((4_700..5_300).contains(&half), "{half}");
    }

    #[test]
    fn a_persistent_fault_stays_until_it_is_calmed() {
        let mut schedule = schedule(1, [Rule::new(Fault::Stall, When::Calls(vec![3, 7])).persistent()]);
        assert_eq!(failed(&mut schedule, 5), [3, 4, 5]);
        schedule.calm();
        assert_eq!(failed(&mut schedule, 3), [2, 3]);
        assert_eq!(schedule.counts(), [FaultCount { fault: Fault::Stall, seen: 8, failed: 5 }]);
    }

    #[test]
    fn a_rule_sees_its_calls_and_labels_only() {
        let rule = Rule::new(Fault::OutOfMemory, When::Every(1)).on(Call::CreateBuffer).on(Call::Submit);
        let mut schedule = schedule(1, [rule.labels_starting("mesh")]);
        let mut fails = |call, label| schedule.decide(call, label).fault.is_some();
        assert!(fails(Call::CreateBuffer, Some("mesh 1")));
        assert!(!fails(Call::CreateBuffer, Some("me")));
        assert!(!fails(Call::CreateBuffer, None));
        assert!(!fails(Call::CreateTexture, Some("mesh")));
        assert!(!fails(Call::Submit, Some("mesh")), "no submission is out of memory");
    }

    #[test]
    fn the_first_rule_decides_and_slow_ones_add_up() {
        let ms = Duration::from_millis;
        let rules = [
            Rule::new(Fault::Slow(ms(2)), When::Every(1)),
            Rule::new(Fault::Slow(ms(3)), When::Every(2)),
            Rule::new(Fault::Validation, When::Every(2)),
            Rule::new(Fault::Stall, When::Every(2)),
        ];
        let mut schedule = schedule(1, rules);
        let verdicts: Vec<_> = (0..4).map(|_| schedule.decide(Call::Submit, None)).collect();
        let verdict = |delay, fault| Verdict { delay: ms(delay), fault };
        let invalid = Some(Fault::Validation);
        let expected = [verdict(2, None), verdict(5, invalid), verdict(2, Some(Fault::Stall)), verdict(5, invalid)];
        assert_eq!(verdicts, expected);
        let counts: Vec<_> = schedule.counts().iter().map(|count| (count.seen, count.failed)).collect();
        assert_eq!(counts, [(4, 4), (4, 2), (4, 2), (2, 1)]);
    }

    #[test]
    fn every_call_has_a_fault_and_a_bit() {
        let bits: u32 = Call::ALL.iter().map(|call| call.bit()).sum();
        assert_eq!(bits.count_ones() as usize, Call::ALL.len());
        for call in Call::ALL {
            assert!(Fault::Slow(Duration::ZERO).befalls(*call));
        }
    }

    fn rules() -> impl Strategy<Value = Rule> {
        let faults = prop::sample::select(vec![Fault::DeviceLost, Fault::Stall, Fault::OutOfMemory, Fault::Validation]);
        let when = prop_oneof![
            (0u64..5).prop_map(When::Every),
            prop::collection::vec(0u64..20, 0..4).prop_map(When::Calls),
            (0u64..20).prop_map(When::After),
            (0.0..1.0f64).prop_map(When::Probability),
        ];
        (faults, when, any::<bool>())
            .prop_map(|(fault, when, persistent)| Rule { persistent, ..Rule::new(fault, when) })
    }

    fn some_calls() -> impl Strategy<Value = Vec<Call>> {
        prop::collection::vec(prop::sample::select(Call::ALL.to_vec()), 0..60)
    }

    proptest! {
        #[test]
        fn the_same_seed_and_calls_give_the_same_faults(
            seed: u64,
            rules in prop::collection::vec(rules(), 0..4),
            calls in some_calls(),
        ) {
            let run = || {
                let mut schedule = schedule(seed, rules.clone());
                calls.iter().map(|call| schedule.decide(*call, None)).collect::<Vec<_>>()
            };
            prop_assert_eq!(run(), run());
        }

        /// Against a naive model: each call's number within each rule, counted anew for every call.
        #[test]
        fn rules_agree_with_a_naive_model(rules in prop::collection::vec(rules(), 0..4), calls in some_calls()) {
            let mut schedule = schedule(5, rules.clone());
            let mut numbers = vec![0u64; rules.len()];
            let mut failing = vec![false; rules.len()];
            let mut failed = vec![0u64; rules.len()];
            for call in &calls {
                let mut expected = None;
                for (index, rule) in rules.iter().enumerate() {
                    if expected.is_some() || !rule.fault.befalls(*call) {
                        continue;
                    }
                    numbers[index] += 1;
                    let number = numbers[index];
                    let named = match &rule.when {
                        When::Every(every) => (1..=number).any(|n| n * every == number) && *every != 0,
                        When::Calls(calls) => calls.iter().filter(|n| **n == number).count() > 0,
                        When::After(after) => !(0..=*after).contains(&number),
                        When::Probability(probability) => unit(5 ^ mix(index as u64), number) < *probability,
                    };
                    failing[index] |= named && rule.persistent;
                    if named || failing[index] {
                        failed[index] += 1;
                        expected = Some(rule.fault);
                    }
                }
                prop_assert_eq!(schedule.decide(*call, None).fault, expected);
            }
            let counts: Vec<_> = schedule.counts().iter().map(|count| (count.seen, count.failed)).collect();
            prop_assert_eq!(counts, numbers.into_iter().zip(failed).collect::<Vec<_>>());
        }
    }
}
