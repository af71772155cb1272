//! What can go wrong between a checkpoint on disk and a generated token.

use std::io;

use super::Precision;

/// Loading, a forward pass, sampling or scoring failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The checkpoint lacks a tensor that its configuration demands.
    #[error("tensor `{name}` is missing")]
    MissingTensor {
        /// The tensor.
        name: String,
    },
    /// The checkpoint has a tensor that its configuration knows nothing of.
    #[error("tensor `{name}` does not belong to a model of this configuration")]
    UnexpectedTensor {
        /// The tensor.
        name: String,
    },
    /// A tensor does not have the shape that the configuration demands.
    #[error("tensor `{name}` has shape {found:?}; the configuration demands {expected:?}")]
    Misshapen {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// What it must be.
        expected: Vec<usize>,
    },
    /// A weight is NaN or infinite, or becomes so in the type it is loaded as.
    #[error("tensor `{name}` holds a number that is not finite as {format}")]
    WeightNotFinite {
        /// The tensor.
        name: String,
        /// The format it is loaded as.
        format: String,
    },
    /// The system has no memory for the weights.
    #[error("no memory for the weights in {precision}: {source}")]
    Memory {
        /// The format they are loaded as.
        precision: Precision,
        /// What the system says.
        source: io::Error,
    },
    /// The system has no memory for keys and values.
    #[error("no memory for the keys and values of more tokens: {0}")]
    CacheMemory(io::Error),
    /// A format that only this program's own kernels know.
    #[error("weights in {precision} are only computed with on the processor")]
    OnlyOnTheProcessor {
        /// The format.
        precision: Precision,
    },
    /// A name that is no format.
    #[error("`{text}` is not a format of weights: use f32, f16, bf16, q8 or q4")]
    UnknownPrecision {
        /// The name.
        text: String,
    },
    /// The bytes of a tensor cannot be read.
    #[error("cannot read tensor `{name}`: {source}")]
    Read {
        /// The tensor.
        name: String,
        /// What the source says.
        source: io::Error,
    },
    /// A GPU was asked of a program that knows none.
    #[error("this program was built without CUDA: use `--device cpu`, or build it with `--features cuda`")]
    BuiltWithoutCuda,
    /// No usable GPU.
    #[error("cannot use the CUDA device: {0}")]
    NoCudaDevice(candle_core::Error),
    /// A name that is no device.
    #[error("`{text}` is not a device: use `cpu` or `cuda`")]
    UnknownDevice {
        /// The name.
        text: String,
    },
    /// Nothing to continue.
    #[error("there are no tokens to continue: give at least one")]
    NoTokens,
    /// A token outside the vocabulary.
    #[error("token {token} is outside the vocabulary of {vocabulary}")]
    UnknownToken {
        /// The token.
        token: u32,
        /// V: the vocabulary's size.
        vocabulary: usize,
    },
    /// More tokens than there are positions.
    #[error(
        "{tokens} tokens are {} more than the {room} that fit{}",
        tokens - room,
        if *cached == 0 { String::new() } else { format!(" after the {cached} already read") }
    )]
    ContextOverflow {
        /// Tokens that were given.
        tokens: usize,
        /// Tokens that would have fit.
        room: usize,
        /// Tokens already in the cache.
        cached: usize,
    },
    /// A cache that another model made.
    #[error("the cache was made for a model of another shape")]
    ForeignCache,
    /// The model computed NaN or infinity.
    #[error("the model computed a logit that is not a finite number")]
    LogitNotFinite,
    /// A sampling setting outside its range.
    #[error("`{setting}` is {value}; it must be {rule}")]
    Sampling {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        rule: &'static str,
    },
    /// A model that cannot guess for another.
    #[error("the draft has a vocabulary of {draft}, the model one of {vocabulary}")]
    ForeignDraft {
        /// V of the one that guesses.
        draft: usize,
        /// V of the one that writes.
        vocabulary: usize,
    },
    /// A stride that would skip tokens, or never move.
    #[error("the stride is {stride}; it must be from 1 to the context of {context}")]
    Stride {
        /// What was asked.
        stride: usize,
        /// T: the model's context.
        context: usize,
    },
    /// The tensor library failed: out of device memory, for instance.
    #[error("the tensor library failed: {0}")]
    Tensor(#[from] candle_core::Error),
}
