//! Inference: GPT-2 and GPT-1 read tokens and write tokens.
//!
//! A [`Model`] is loaded from a checkpoint in the normal form, a [`KeyValueCache`] holds what it has read of one text,
//! [`generate`] continues the text and [`score`] says how likely it was. On the CPU everything between two projections is
//! f32, whatever the weights are stored in; in f32 the result does not depend on how many threads there are.
//!
//! Goals: the numbers of Hugging Face transformers, at the speed of memory. Non-goals: training, batches of several texts.

mod attention;
mod borrow;
mod cache;
mod completion;
mod device;
mod error;
mod generation;
mod kernels;
mod linear;
mod model;
mod norm;
mod sampler;
mod score;
mod source;
pub mod tokenizer;
mod weights;

pub use cache::KeyValueCache;
pub use completion::{Completion, CompletionOptions, Piece, complete};
pub use device::{Arithmetic, Device};
pub use error::Error;
pub use generation::{
    Alternative, Finish, Generation, GenerationOptions, LogProbability, Step, Timings, generate,
};
pub use model::{LoadOptions, Model, Visit};
pub use sampler::{Sampler, Sampling};
pub use score::{Score, score};
pub use source::TensorSource;
