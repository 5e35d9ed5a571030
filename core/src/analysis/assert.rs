//! The assertion for tests.

/// Runs the block and returns its value, then panics if anything that was created in it is not released, naming each resource with its
/// label, owner and line of source.
///
/// What was there before does not matter, and blocks nest. The block may be left early by `?` or `return`: it is checked then too. What
/// the block returns still lives when it is checked: a ticket, or a texture, in the value is a leak. `poll = ..` is a closure that is
/// called again and again, for up to 5 s, before anything counts as leaked: for `wgpu`, whose resources are released by `Device::poll`
/// when their last submission has completed.
///
/// All that is created between the block's beginning and its end counts, on whatever thread: that of *other* threads too, such as a test
/// that runs at the same time on the same tracker. Give each test a tracker (or `Vitals`) of its own.
///
/// Without the feature `telemetry` it only runs the block.
///
/// # Panics
/// A resource is not released; or the probe is off, or its tracker has no room for more resources, so that a leak could not be found.
///
/// ```
/// use engine_vitals_core::{assert_no_leaks, probe::New, tracker::Tracker};
///
/// let tracker = Tracker::new();
/// let probe = tracker.probe();
/// let answer = assert_no_leaks!(probe, {
///     let _vertices = probe.create(New::buffer(1024).label("vertices"));
///     42
/// });
/// assert_eq!(answer, 42);
/// # let device_poll = || ();
/// assert_no_leaks!(probe, poll = device_poll, { /* render */ });
/// ```
#[macro_export]
macro_rules! assert_no_leaks {
    ($probe:expr, $block:block $(,)?) => {{
        let check = $crate::analysis::LeakCheck::begin($probe);
        let value = $block;
        check.end();
        value
    }};
    ($probe:expr, poll = $poll:expr, $block:block $(,)?) => {{
        let check = $crate::analysis::LeakCheck::begin($probe).polling($poll);
        let value = $block;
        check.end();
        value
    }};
}
