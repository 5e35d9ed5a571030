//! It starts and stops anywhere: inside a runtime, outside, and in one that is ending.

use crate::common::{get, start};

fn starts_answers_and_stops() {
    let exporter = start(|builder| builder);
    assert_eq!(get(&exporter, "/metrics").status, 200);
}

#[test]
fn outside_a_runtime() {
    starts_answers_and_stops();
}

#[tokio::test(flavor = "current_thread")]
async fn inside_a_current_thread_runtime() {
    starts_answers_and_stops();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inside_a_multi_thread_runtime() {
    starts_answers_and_stops();
    tokio::spawn(async { starts_answers_and_stops() }).await.unwrap();
    tokio::task::spawn_blocking(starts_answers_and_stops).await.unwrap();
}

#[test]
fn started_in_one_runtime_it_outlives_it_and_stops_in_another() {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let exporter = runtime().block_on(async { start(|builder| builder) });
    assert_eq!(get(&exporter, "/metrics").status, 200);
    runtime().block_on(async move { drop(exporter) });
}

#[test]
fn many_at_once_and_one_after_another() {
    let all: Vec<_> = (0..8).map(|_| start(|builder| builder)).collect();
    for exporter in &all {
        assert_eq!(get(exporter, "/healthz").status, 200);
    }
    drop(all);
    for _ in 0..20 {
        starts_answers_and_stops();
    }
}
