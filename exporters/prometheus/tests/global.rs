//! The process's `metrics` recorder: one per process, so in a program of its own.

use engine_vitals_core::registry::Registry;
use engine_vitals_prometheus::{Exporter, StartError};

#[test]
fn the_application_s_metrics_calls_are_shown_and_a_second_recorder_is_an_error() {
    let registry = Registry::new();
    let exporter = Exporter::builder(&registry).port(0).install_global().start().unwrap();
    metrics::counter!("game_shots_total").increment(3);
    assert!(exporter.render().contains("\ngame_shots_total 3\n"), "{}", exporter.render());
    let second = Exporter::builder(&registry).port(0).install_global().start();
    assert!(matches!(second, Err(StartError::GlobalRecorderTaken)), "{second:?}");
    drop(exporter);
    // Goes nowhere visible, and does no harm.
    metrics::counter!("game_shots_total").increment(1);
}
