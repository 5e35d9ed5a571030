//! The server that [`start`](super::start) opens.

use std::sync::Arc;

use engine_vitals_core::analysis::Dump;
use engine_vitals_core::monitor::HitchMonitor;
use engine_vitals_core::registry::Registry;
use engine_vitals_core::tracker::Tracker;
use engine_vitals_prometheus::{Exporter, ExporterBuilder, StartError};
use parking_lot::Mutex;

use super::Builder;
use super::vitals::all_notices;

/// Opens the server as chosen; what goes wrong becomes a notice.
pub(super) fn serve(
    registry: &Registry,
    tracker: &Arc<Tracker>,
    hitches: Option<&Arc<HitchMonitor>>,
    builder: &Builder,
    notices: &Arc<Mutex<Vec<String>>>,
) -> Option<Exporter> {
    if builder.serve.off {
        return None;
    }
    let set_up = || {
        let (listed, tracker, hitches) = (Arc::clone(tracker), Arc::clone(tracker), hitches.map(Arc::clone));
        let exporter = Exporter::builder(registry).dump(move |options| {
            let mut dump = Dump::take(&tracker, options);
            if let Some(hitches) = &hitches {
                dump.set_hitches(&hitches.hitches());
            }
            dump
        });
        let exporter = exporter.stores(move || listed.stores());
        #[cfg(feature = "call-sites")]
        let exporter = exporter.heap_profile(super::heap_profile::page);
        set_up(exporter, builder, Arc::clone(notices))
    };
    let started = if builder.serve.application_metrics {
        match set_up().install_global().start() {
            Err(StartError::GlobalRecorderTaken) => {
                notices.lock().push(
                    "the application's own metrics are not on /metrics: the process has a `metrics` recorder already; \
                     give that one our figures with ExporterBuilder::join"
                        .to_owned(),
                );
                set_up().start()
            }
            other => other,
        }
    } else {
        set_up().start()
    };
    started.map_err(|error| notices.lock().push(format!("nothing is served: {error}"))).ok()
}

fn set_up(exporter: ExporterBuilder, builder: &Builder, notices: Arc<Mutex<Vec<String>>>) -> ExporterBuilder {
    let mut exporter = exporter.notices(move || all_notices(&notices));
    if let Some((name, version)) = &builder.app {
        exporter = exporter.app(name, version);
    }
    for (name, value) in &builder.labels {
        exporter = exporter.constant_label(name, value);
    }
    if let Some(port) = builder.serve.port {
        exporter = exporter.port(port);
    }
    if let Some(address) = builder.serve.address {
        exporter = exporter.listen_on(address);
    }
    if let Some(token) = &builder.serve.token {
        exporter = exporter.bearer_token(token);
    }
    for host in &builder.serve.hosts {
        exporter = exporter.allow_host(host);
    }
    exporter
}
