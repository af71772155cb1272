//! Inference with GPT-2 and GPT-1.
//!
//! Load a [`Model`] from a checkpoint in the normal form. A [`KeyValueCache`] holds the state of one sequence, a [`Batch`] generates
//! several sequences together, and [`score`] measures how well a model predicts a text. `native` computes on the CPU with the functions in
//! `kernels`; `candle` computes on a GPU. On the CPU, the results of a sequence depend neither on the number of threads nor on the other
//! sequences of the batch.
//!
//! Goals: the results of Hugging Face transformers, at the speed of memory. Non-goals: training.

mod activation;
mod batch;
mod cache;
mod candle;
mod completion;
mod device;
mod error;
mod generation;
mod kernels;
mod measure;
mod model;
mod native;
mod precision;
mod sampler;
mod score;
mod source;
pub mod tokenizer;

pub use batch::{Batch, Event, EventListener, SequenceId, Speculation};
pub use cache::KeyValueCache;
pub use completion::{Completion, CompletionBuilder};
pub use device::{Arithmetic, Device};
pub use error::Error;
pub use generation::{
    Alternative, Finish, Generation, GenerationOptions, LogProbability, ScoredToken, Timings,
};
pub use measure::{Machine, RandomWeights, Speed};
pub use model::{BatchVisitor, LoadOptions, LogitsVisitor, Model, SequenceInput};
pub use precision::Precision;
pub use sampler::{Sampler, Sampling};
pub use score::{Score, score};
pub use source::TensorSource;
