//! What the figures are: their names, units and meanings, and the values of those of churn.

use super::State;
use crate::analysis::{Window, queue_reuse_ratio};
use crate::contract::{Row, Series, Unit};

/// The figures of churn.
pub(super) fn describe_churn(series: &mut Series) {
    for window in Window::ALL {
        series
            .gauge(
                "vitals_churn_ratio",
                Unit::Ratio,
                "Resources created and destroyed in a window for each packet presented in it, without the kinds that every frame makes",
            )
            .label("window", window.label());
    }
    series.gauge(
        "vitals_startup_stabilization_seconds",
        Unit::Seconds,
        "Time from the tracker's start to the end of the first stable window of presented packets",
    );
    series.counter(
        "vitals_resources_short_lived_total",
        Unit::Count,
        "Resources released after a short life, without the kinds that every frame makes",
    );
    series.counter(
        "vitals_resources_reused_total",
        Unit::Count,
        "Resources taken again from a pool or cache where one could have been made",
    );
    series.counter("vitals_resize_requests_total", Unit::Count, "Calls that asked for another size");
    series.counter(
        "vitals_recreate_storms_total",
        Unit::Count,
        "Times that many queues, targets, surfaces or devices were destroyed within a second and as many created",
    );
    series.counter(
        "vitals_startup_bursts_total",
        Unit::Count,
        "Tenths of a second in the startup in which many resources were destroyed",
    );
    series.gauge(
        "vitals_pool_candidate_bytes",
        Unit::Bytes,
        "Estimate of the bytes of short-lived resources that pools would not have had to make again",
    );
    series.gauge(
        "vitals_queue_reuse_ratio",
        Unit::Ratio,
        "Queues reused, as a share of those reused and those created",
    );
}

/// In the order of [`describe_churn`].
pub(super) fn record_churn(row: &mut Row<'_>, state: &State) {
    let State { analyzer, totals, .. } = state;
    for window in Window::ALL {
        row.push(analyzer.churn_ratio(window));
    }
    let mut all = totals.device();
    all += totals.suballocations();
    row.push(analyzer.stabilization())
        .push(all.short_lived)
        .push(all.reused)
        .push(all.resize_requests)
        .push(analyzer.recreate_storms())
        .push(analyzer.startup_bursts())
        .push(state.candidates.map(|(_, bytes)| bytes))
        .push(queue_reuse_ratio(totals));
}

/// The figures of a resource kind.
pub(super) fn describe_kind(series: &mut Series, kind: &'static str) {
    const RESOURCE: &str = "resource";
    series.gauge("vitals_resources_live", Unit::Count, "Resources of a kind that are live").label(RESOURCE, kind);
    series
        .gauge("vitals_resource_live_bytes", Unit::Bytes, "Bytes of a kind's live resources, without suballocations")
        .label(RESOURCE, kind);
    series.counter("vitals_resources_created_total", Unit::Count, "Resources created").label(RESOURCE, kind);
    series
        .counter("vitals_resources_destroyed_total", Unit::Count, "Resources released: the last reference is gone")
        .label(RESOURCE, kind);
}

/// The figures of an owner kind.
pub(super) fn describe_owner_kind(series: &mut Series, kind: &'static str) {
    const OWNER_KIND: &str = "owner_kind";
    series
        .gauge("vitals_owner_live_bytes", Unit::Bytes, "Bytes of live resources of owners of a kind")
        .label(OWNER_KIND, kind);
    series
        .counter("vitals_owner_churn_total", Unit::Count, "Resources created and released by owners of a kind")
        .label(OWNER_KIND, kind);
}
