//! The arithmetic of a forward pass on the processor.
//!
//! Every kernel works on plain slices and is compiled for each level of the instruction set by `pulp`, which picks one at
//! run time. Threads share out results, never one sum: a number does not depend on how many threads there are, though its
//! last bits depend on how wide the processor's vectors are. Only the matrix product of many rows is candle's.

pub(super) mod attention;
pub(super) mod element;
pub(super) mod functions;
pub(super) mod lanes;
pub(super) mod projection;
pub(super) mod rows;
