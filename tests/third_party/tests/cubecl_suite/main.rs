//! cubecl's own test suite, as its macros generate it, on a device of ours.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod runtime;

mod suite {
    use super::runtime::Ours as TestRuntime;
    use half::f16;

    cubecl_core::testgen_all!(f32: [f16, f32], i32: [i32, i64], u32: [u32, u64]);
    cubecl_std::testgen!();
    cubecl_std::testgen_tensor_identity!([flex32, f32, u32]);
    cubecl_std::testgen_quantized_view!(f32);
    cubecl_core::testgen_profiling!();
    cubecl_core::testgen_complex_validation!();
}

/// Sorts behind the suite's tests, so that it runs when they have.
mod then {
    use super::runtime::{OurDevice, Ours};
    use cubecl_runtime::runtime::Runtime;
    use engine_vitals_third_party::{Mode, against_wgpu, tracker};

    #[test]
    fn the_books_hold_what_wgpu_has() {
        if Mode::of_this_process() == Mode::Plain {
            return;
        }
        let client = Ours::client(&OurDevice::default());
        pollster::block_on(client.sync()).unwrap();
        client.memory_cleanup().unwrap();
        let device = super::runtime::device();
        against_wgpu::settle(device, tracker());
        against_wgpu::assert_allocator(device, tracker());
        let totals = tracker().totals();
        assert!(totals.device().created > 1000, "{} resources", totals.device().created);
        assert_eq!(totals.inconsistencies, 0);
    }
}
