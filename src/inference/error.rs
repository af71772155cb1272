//! Errors of loading, forward passes, sampling and scoring.

use std::io;

use super::Precision;

/// An error of loading, a forward pass, sampling or scoring.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The checkpoint lacks a tensor that its configuration requires.
    #[error("tensor `{name}` is missing")]
    MissingTensor {
        /// The tensor.
        name: String,
    },
    /// The checkpoint has a tensor that its configuration does not define.
    #[error("tensor `{name}` does not belong to a model of this configuration")]
    UnexpectedTensor {
        /// The tensor.
        name: String,
    },
    /// A tensor does not have the shape that the configuration requires.
    #[error("tensor `{name}` has shape {found:?}; the configuration requires {expected:?}")]
    Misshapen {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The required shape.
        expected: Vec<usize>,
    },
    /// A weight is NaN or infinite as stored or in the format that it is loaded as.
    #[error("tensor `{name}` has a number that is not finite as {format}")]
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
        /// The error of the system.
        source: io::Error,
    },
    /// The system has no memory for keys and values.
    #[error("no memory for the keys and values of more tokens: {0}")]
    CacheMemory(io::Error),
    /// A quantized format was requested for a device; only the native kernels support it.
    #[error("weights in {precision} are supported on the CPU only")]
    OnlyOnTheProcessor {
        /// The format.
        precision: Precision,
    },
    /// The text is not the name of a format.
    #[error("`{text}` is not a format of weights: use f32, f16, bf16, q8 or q4")]
    UnknownPrecision {
        /// The text, cut to 80 characters.
        text: String,
    },
    /// Reading the bytes of a tensor failed.
    #[error("cannot read tensor `{name}`: {source}")]
    Read {
        /// The tensor.
        name: String,
        /// The error of the source.
        source: io::Error,
    },
    /// A GPU was requested, but the program was built without CUDA.
    #[error("this program was built without CUDA: use `--device cpu`, or build it with `--features cuda`")]
    BuiltWithoutCuda,
    /// There is no usable GPU.
    #[error("cannot use the CUDA device: {0}")]
    NoCudaDevice(candle_core::Error),
    /// The text is not the name of a device.
    #[error("`{text}` is not a device: use `cpu` or `cuda`")]
    UnknownDevice {
        /// The text, cut to 80 characters.
        text: String,
    },
    /// The prompt is empty.
    #[error("there are no tokens to continue: give at least one")]
    NoTokens,
    /// A token is outside the vocabulary.
    #[error("token {token} is outside the vocabulary of {vocabulary}")]
    UnknownToken {
        /// The token.
        token: u32,
        /// V: the vocabulary's size.
        vocabulary: usize,
    },
    /// The tokens do not fit the cache.
    #[error(
        "{tokens} tokens are {} more than the {room} that fit{}",
        tokens - room,
        if *cached == 0 { String::new() } else { format!(" after the {cached} already read") }
    )]
    ContextOverflow {
        /// Number of tokens given.
        tokens: usize,
        /// Number of tokens that fit.
        room: usize,
        /// Number of tokens in the cache.
        cached: usize,
    },
    /// The cache belongs to a model of another shape or engine.
    #[error("the cache was made for a model of another shape")]
    ForeignCache,
    /// The model computed NaN or infinity.
    #[error("the model computed a logit that is not a finite number")]
    LogitNotFinite,
    /// A sampling setting is out of range.
    #[error("`{setting}` is {value}; it must be {rule}")]
    Sampling {
        /// Its name.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// The allowed range in words.
        rule: &'static str,
    },
    /// A draft model has another vocabulary than the model.
    #[error("the vocabulary of the draft has {draft} tokens; the vocabulary of the model has {vocabulary}")]
    ForeignDraft {
        /// V of the draft.
        draft: usize,
        /// V of the model.
        vocabulary: usize,
    },
    /// The stride of scoring is out of range.
    #[error("the stride is {stride}; it must be from 1 to the context of {context}")]
    Stride {
        /// The stride, in tokens.
        stride: usize,
        /// T: the model's context.
        context: usize,
    },
    /// The tensor library failed, for example because a device has no memory.
    #[error("the tensor library failed: {0}")]
    Tensor(#[from] candle_core::Error),
}
