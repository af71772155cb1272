//! The arithmetic of a forward pass on the processor.
//!
//! `lanes` are sixteen numbers side by side at every level of instructions, `team` the threads; `steps` say how weights lie in
//! memory and are multiplied, `matrix` is a projection of them and `inputs` its activations made ready; `pages` keep keys and
//! values, `attention` reads them; `distribution` is of logits. Threads share out results, never one sum, and each sum is one chain in order: a number
//! depends neither on how many threads there are nor on what is computed beside it.

pub(super) mod activations;
pub(super) mod attention;
pub(super) mod distribution;
pub(super) mod functions;
pub(super) mod inputs;
pub(super) mod lanes;
pub(super) mod matrix;
#[expect(unsafe_code, reason = "memory from the system, as large pages; each block has its proof")]
pub(super) mod memory;
pub(super) mod pack;
pub(super) mod pages;
pub(super) mod probe;
pub(super) mod steps;
#[expect(unsafe_code, reason = "work and data lent to threads for one operation; each block has its proof")]
pub(super) mod team;
