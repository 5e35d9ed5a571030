//! Models of what is lock-free in the core, run by loom in every interleaving: see `tests/`.
