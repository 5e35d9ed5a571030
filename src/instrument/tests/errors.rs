//! Errors and their scopes where wgpu's own do not meet the ordinary case.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine_vitals_core::tracker::Tracker;

use super::super::{Adopted, Instrumentation};
use super::noop;

#[test]
fn scopes_that_a_thread_forgets_are_forgotten_when_it_ends() {
    let inner = noop(&Instrumentation::new(Tracker::new().probe()));
    let outer = Instrumentation::new(Tracker::new().probe());
    let Adopted { device, .. } = outer.adopt(inner.instance, inner.adapter, inner.device, inner.queue);
    // One that is dropped after the thread's scopes would be.
    struct Late(wgpu::Device);
    impl Drop for Late {
        fn drop(&mut self) {
            drop(self.0.push_error_scope(wgpu::ErrorFilter::Validation));
        }
    }
    thread_local!(static LATE: std::cell::OnceCell<Late> = const { std::cell::OnceCell::new() });
    let ended = std::thread::spawn(move || {
        LATE.with(|late| assert!(late.set(Late(device.clone())).is_ok()));
        for _ in 0..2 {
            std::mem::forget(device.push_error_scope(wgpu::ErrorFilter::Validation));
        }
    });
    ended.join().unwrap();
}

#[test]
fn a_bundle_encoder_that_is_refused_is_refused_once() {
    let Adopted { device, .. } = noop(&Instrumentation::new(Tracker::new().probe()));
    let (plain, _queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let errors = |device: &wgpu::Device| {
        let errors = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&errors);
        device.on_uncaptured_error(Arc::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        }));
        // Without an attachment.
        let encoder = device.create_render_bundle_encoder(&wgpu::RenderBundleEncoderDescriptor::default());
        let finished = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            drop(encoder.finish(&wgpu::RenderBundleDescriptor::default()));
        }));
        (errors.load(Ordering::Relaxed), finished.is_err())
    };
    assert_eq!(errors(&plain), (1, true));
    assert_eq!(errors(&device), (1, true));
}
