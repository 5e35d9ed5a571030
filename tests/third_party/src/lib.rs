//! Crates of others, unmodified, run through the instrumentation. This package has tests only.
