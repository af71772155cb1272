//! Inference: GPT-2 and GPT-1 read tokens and write tokens.
//!
//! A [`Model`] is loaded from a checkpoint in the normal form, a [`KeyValueCache`] holds what it has read of one text,
//! a [`Batch`] continues texts, several at a time, and [`score`] says how likely one was. `native` computes on the processor, in `kernels`;
//! `candle` computes on a GPU. On the processor a text's numbers depend neither on the number of threads nor on the texts
//! beside it.
//!
//! Goals: the numbers of Hugging Face transformers, at the speed of memory. Non-goals: training.

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

pub use batch::{Batch, Event, Listener, Speculation, TextId};
pub use cache::KeyValueCache;
pub use completion::{Completing, Completion};
pub use device::{Arithmetic, Device};
pub use error::Error;
pub use generation::{Alternative, Finish, Generation, GenerationOptions, LogProbability, Step, Timings};
pub use measure::{Machine, RandomWeights, Speed};
pub use model::{LoadOptions, Model, Reading, Visit, VisitEach};
pub use precision::Precision;
pub use sampler::{Sampler, Sampling};
pub use score::{Score, score};
pub use source::TensorSource;
