//! The arithmetic of a forward pass on the processor.
//!
//! `lanes` computes on sixteen numbers side by side with each level of SIMD instructions; `team` runs work on threads. `blocks` defines
//! how weights lie in memory and how they are multiplied; `matrix` is a projection made of blocks; `inputs` prepares activations for it.
//! `pages` stores keys and values, and `attention` reads them. `distribution` works on logits.
//!
//! Threads divide results, never one sum, and each sum is one chain in a fixed order: a result depends neither on the number of
//! threads nor on the sequences in the same batch.

pub(super) mod activations;
pub(super) mod attention;
pub(super) mod blocks;
pub(super) mod distribution;
pub(super) mod functions;
pub(super) mod inputs;
pub(super) mod lanes;
pub(super) mod matrix;
#[expect(unsafe_code, reason = "memory from the system, as large pages; each unsafe block has its proof")]
pub(super) mod memory;
pub(super) mod pack;
pub(super) mod pages;
pub(super) mod probe;
#[expect(
    unsafe_code,
    reason = "threads borrow work and data for one operation; each unsafe block has its proof"
)]
pub(super) mod team;

/// What a kernel runs on: threads, and a level of instructions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ctx<'a> {
    pub(super) team: &'a team::Team,
    pub(super) level: lanes::Level,
}
