//! wgpu-profiler's own tests, unmodified, from its archive. In this crate `wgpu` is the crate itself: all of wgpu, but
//! for an `Instance` whose `new` gives an instance in the mode that the environment asks for.

extern crate self as wgpu;

use engine_vitals_third_party as third_party;

pub use third_party::wgpu::*;

/// Stands for `wgpu::Instance` where the tests make one.
#[derive(Debug)]
pub struct Instance;

impl Instance {
    /// An instance in the mode of this process, of the backends that `WGPU_BACKEND` names.
    #[must_use]
    #[expect(clippy::new_ret_no_self, reason = "the tests find it where wgpu has it")]
    pub fn new(descriptor: InstanceDescriptor) -> third_party::wgpu::Instance {
        third_party::instance(descriptor.with_env())
    }
}

include!(concat!(env!("OUT_DIR"), "/profiler_suite.rs"));

/// Sorts behind the suite's own tests, so that it runs when they have.
mod then {
    use engine_vitals_third_party::{Mode, tracker};

    #[test]
    fn everything_is_released() {
        let totals = tracker().totals();
        let device = totals.device();
        assert_eq!(device.created > 0, Mode::of_this_process() != Mode::Plain, "{} resources", device.created);
        assert_eq!((device.created, device.created_bytes), (device.released, device.released_bytes));
        assert_eq!((totals.submissions.in_flight(), totals.inconsistencies), (0, 0));
    }
}
