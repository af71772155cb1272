//! The main crate's `src/inference/kernels` with just enough around it to compile, for its unit tests.
#![allow(dead_code, reason = "what uses the kernels is not here")]

// Paths in this module count from this file's folder.
#[path = "."]
mod inference {
    #[path = "../../src/inference/kernels/mod.rs"]
    mod kernels;

    /// As `src/inference/precision.rs` has it, without what needs the rest of the main crate.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Precision {
        F32,
        F16,
        BF16,
        Q8,
        Q4,
    }
}
