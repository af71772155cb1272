//! The arithmetic of a forward pass on the processor.
//!
//! Every kernel works on plain slices, is written so that the compiler vectorises it, and is compiled for each level of
//! the instruction set by `pulp`, which picks one at run time. A number is always the same sum in the same order: results
//! do not depend on how many threads there are. Only the matrix product of many rows is candle's.

pub(super) mod attention;
pub(super) mod element;
pub(super) mod functions;
pub(super) mod lanes;
pub(super) mod projection;
pub(super) mod rows;
