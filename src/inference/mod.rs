//! Inference: GPT-2 and GPT-1 read tokens and write tokens.
//!
//! A [`Model`] is loaded from a checkpoint in the normal form, a [`KeyValueCache`] holds what it has read of one text,
//! [`generate`] continues the text and [`score`] says how likely it was. `native` computes on the processor, in `kernels`;
//! `candle` computes on a GPU. On the processor a text's numbers depend neither on the number of threads nor on the texts
//! beside it.
//!
//! Goals: the numbers of Hugging Face transformers, at the speed of memory. Non-goals: training.

mod cache;
mod candle;
mod completion;
mod device;
mod error;
mod generation;
mod kernels;
mod model;
mod native;
mod precision;
mod sampler;
mod score;
mod source;
pub mod tokenizer;

pub use cache::KeyValueCache;
pub use completion::{Completion, CompletionOptions, Piece, complete};
pub use device::{Arithmetic, Device};
pub use error::Error;
pub use generation::{
    Alternative, Finish, Generation, GenerationOptions, LogProbability, Step, Timings, generate,
};
pub use model::{LoadOptions, Model, Reading, Visit, VisitEach};
pub use precision::Precision;
pub use sampler::{Sampler, Sampling};
pub use score::{Score, score};
pub use source::TensorSource;
