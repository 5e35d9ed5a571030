//! What the tracker's figures and records mean: differences, leaks, churn, windows, graphs and reports.
//!
//! This room owns pure steps over plain data: what a [`tracker`](crate::tracker) answers goes in, an answer with names in place of ids comes
//! out, as data, as aligned text and as JSON. It must not know who asks for it, when, or where it is written to: that is the business of
//! monitors, exporters and `start`. Where the [`tracker`](crate::tracker) says what is, this room says what it means.

#[cfg_attr(not(test), expect(dead_code, reason = "reports that use all of it follow"))]
pub(crate) mod text;
