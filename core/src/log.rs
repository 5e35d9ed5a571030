//! Warnings through `tracing` with the feature `log`; nothing without.

/// Warns, with the feature `log`; otherwise only checks its arguments.
macro_rules! warning {
    ($($argument:tt)*) => {{
        #[cfg(feature = "log")]
        tracing::warn!(target: "engine_vitals", $($argument)*);
        #[cfg(not(feature = "log"))]
        let _ = || format!($($argument)*);
    }};
}

pub(crate) use warning;
