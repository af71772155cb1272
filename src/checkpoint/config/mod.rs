//! A checkpoint's configuration, from Hugging Face's `config.json` or OpenAI's `hparams.json`.
//!
//! Only configurations that this program runs correctly are accepted: a setting that changes the forward pass in a way that is not
//! implemented is an error.

mod activation;
pub mod hugging_face;

use serde::{Deserialize, Serialize};

pub use activation::Activation;

use super::python_json::{self, JsonError};

/// One of OpenAI's two published architectures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// GPT-2: layer norm before each sublayer and at the end (Radford et al. 2019).
    Gpt2,
    /// GPT-1: layer norm after each residual sum, none at the end (Radford et al. 2018).
    Gpt1,
}

impl Architecture {
    /// Returns Hugging Face's `model_type`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Gpt2 => "gpt2",
            Self::Gpt1 => "openai-gpt",
        }
    }
}

/// A model's configuration. Invariants: each size is at least 1 and within [`limits`], and `heads` divides `width`.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The architecture.
    pub architecture: Architecture,
    /// V: number of tokens.
    pub vocabulary: usize,
    /// T: number of positions, the longest context.
    pub context: usize,
    /// C: width of the residual stream.
    pub width: usize,
    /// L: number of transformer blocks.
    pub layers: usize,
    /// H: number of attention heads; each is `width / heads` wide.
    pub heads: usize,
    /// Width of the MLP's hidden layer, 4·C in all published checkpoints.
    pub inner: usize,
    /// ε, added to the variance in layer norm.
    pub norm_epsilon: f64,
    /// The activation function between a block's two dense layers.
    pub activation: Activation,
    /// The scale of attention scores; always the default in GPT-1.
    pub attention_scale: AttentionScale,
    /// Whether the output head shares the token embedding's weights.
    pub tied_head: bool,
    /// The token that begins an empty prompt.
    pub begin_token: Option<u32>,
    /// The tokens that end generation.
    pub end_tokens: Vec<u32>,
}

/// The factors of attention scores before the softmax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionScale {
    /// Multiply by 1 / √(width of a head), as in both GPTs (`scale_attn_weights`).
    pub by_width: bool,
    /// Multiply by 1 / (layer, from 1), as in Mistral's GPT-2s (`scale_attn_by_inverse_layer_idx`).
    pub by_layer: bool,
}

impl Default for AttentionScale {
    fn default() -> Self {
        Self { by_width: true, by_layer: false }
    }
}

impl AttentionScale {
    /// Returns the factor of `layer`, from 0, with heads of `head_width`.
    pub fn factor(self, head_width: usize, layer: usize) -> f32 {
        let by_width = if self.by_width { 1.0 / (head_width as f32).sqrt() } else { 1.0 };
        if self.by_layer { by_width / (layer + 1) as f32 } else { by_width }
    }
}

/// Limits of accepted sizes, far above all published GPTs. They bound the memory that a hostile file can make the program allocate.
pub mod limits {
    /// Maximum number of tokens.
    pub const VOCABULARY: usize = 1 << 20;
    /// Maximum number of positions.
    pub const CONTEXT: usize = 1 << 17;
    /// Maximum width of the residual stream and of the hidden layer.
    pub const WIDTH: usize = 1 << 17;
    /// Maximum number of blocks.
    pub const LAYERS: usize = 1 << 10;
}

/// A configuration is invalid or not supported.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum ConfigError {
    /// The file is not a JSON object.
    #[error("not a model configuration: {0}")]
    Malformed(#[from] JsonError),
    /// A field has the wrong type.
    #[error("`{field}` is {found}, not {expected}")]
    WrongType { field: &'static str, expected: &'static str, found: String },
    /// Two names of one setting have different values.
    #[error("`{field}` is {value}, but its alias `{alias}` is {other}")]
    Contradiction { field: &'static str, value: u64, alias: &'static str, other: u64 },
    /// The model is of another family.
    #[error("`model_type` is `{found}`; only `gpt2` and `openai-gpt` are supported")]
    UnsupportedModel { found: String },
    /// A field is missing.
    #[error("`{field}` is missing")]
    Missing { field: &'static str },
    /// A size is zero or exceeds [`limits`].
    #[error("`{field}` is {value}, outside 1..={max}")]
    OutOfRange { field: &'static str, value: u64, max: usize },
    /// The heads would have different widths.
    #[error("`n_head` = {heads} does not divide `n_embd` = {width}")]
    UnevenHeads { heads: usize, width: usize },
    /// The setting changes the forward pass in a way that is not implemented.
    #[error("`{field}` = {value} is not supported")]
    UnsupportedSetting { field: &'static str, value: String },
}

/// `hparams.json` as OpenAI published it in 2019.
#[derive(Deserialize)]
struct HyperParameters {
    n_vocab: u64,
    n_ctx: u64,
    n_embd: u64,
    n_head: u64,
    n_layer: u64,
}

impl ModelConfig {
    /// Parses Hugging Face's `config.json`; [`hugging_face::read`] also returns what the file leaves open.
    ///
    /// # Errors
    /// Every variant of [`ConfigError`].
    pub fn from_hugging_face(json: &[u8]) -> Result<Self, ConfigError> {
        hugging_face::read(json).map(|read| read.config)
    }

    /// Parses OpenAI's `hparams.json`; other settings are those of the code published with it (`openai/gpt-2:src/model.py`).
    ///
    /// # Errors
    /// [`ConfigError::Malformed`], [`ConfigError::OutOfRange`], [`ConfigError::UnevenHeads`].
    pub fn from_hyper_parameters(json: &[u8]) -> Result<Self, ConfigError> {
        let object = serde_json::Value::Object(python_json::parse_object(json)?);
        let raw = crate::json::from_value::<HyperParameters>(&object).map_err(JsonError::Malformed)?;
        let vocabulary = size("n_vocab", Some(raw.n_vocab), limits::VOCABULARY)?;
        let width = size("n_embd", Some(raw.n_embd), limits::WIDTH)?;
        Self {
            architecture: Architecture::Gpt2,
            vocabulary,
            context: size("n_ctx", Some(raw.n_ctx), limits::CONTEXT)?,
            width,
            layers: size("n_layer", Some(raw.n_layer), limits::LAYERS)?,
            heads: size("n_head", Some(raw.n_head), limits::WIDTH)?,
            inner: 4 * width,
            norm_epsilon: 1e-5,
            activation: Activation::GeluTanh,
            attention_scale: AttentionScale::default(),
            tied_head: true,
            // `<|endoftext|>` is the last entry of every encoder.json of that release; `limits` bound it to a u32.
            begin_token: u32::try_from(vocabulary - 1).ok(),
            end_tokens: u32::try_from(vocabulary - 1).into_iter().collect(),
        }
        .validate()
    }

    /// Returns the width of one attention head.
    pub fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// Serializes `config.json` of the normal form, for Hugging Face transformers and [`Self::from_hugging_face`].
    pub fn to_hugging_face(&self) -> String {
        self.to_normal_form(false)
    }

    /// As [`Self::to_hugging_face`]; `with_tokenizer` makes transformers use the `tokenizer.json` beside it.
    pub(super) fn to_normal_form(&self, with_tokenizer: bool) -> String {
        let (class, activation) = match self.architecture {
            Architecture::Gpt2 => ("GPT2LMHeadModel", "activation_function"),
            Architecture::Gpt1 => ("OpenAIGPTLMHeadModel", "afn"),
        };
        let form = NormalForm {
            architectures: [class],
            model_type: self.architecture.model_type(),
            vocab_size: self.vocabulary,
            n_positions: self.context,
            n_embd: self.width,
            n_layer: self.layers,
            n_head: self.heads,
            n_inner: (self.inner != 4 * self.width).then_some(self.inner),
            layer_norm_epsilon: self.norm_epsilon,
            tie_word_embeddings: self.tied_head,
            bos_token_id: self.begin_token,
            eos_token_id: match self.end_tokens.as_slice() {
                [] => None,
                [one] => Some((*one).into()),
                many => Some(many.into()),
            },
            scale_attn_weights: (!self.attention_scale.by_width).then_some(false),
            scale_attn_by_inverse_layer_idx: self.attention_scale.by_layer.then_some(true),
        };
        let mut json = serde_json::to_value(form).unwrap_or_default();
        if with_tokenizer {
            json["tokenizer_class"] = "PreTrainedTokenizerFast".into();
        }
        json[activation] = match self.architecture {
            Architecture::Gpt2 => self.activation.gpt2_name().into(),
            Architecture::Gpt1 => self.activation.gpt1_name().into(),
        };
        format!("{json:#}\n")
    }

    fn validate(self) -> Result<Self, ConfigError> {
        if !self.width.is_multiple_of(self.heads) {
            return Err(ConfigError::UnevenHeads { heads: self.heads, width: self.width });
        }
        if !(self.norm_epsilon > 0.0 && self.norm_epsilon < 1.0) {
            return Err(ConfigError::UnsupportedSetting {
                field: "layer_norm_epsilon",
                value: self.norm_epsilon.to_string(),
            });
        }
        Ok(self)
    }
}

/// The fields that [`ModelConfig::to_hugging_face`] writes.
#[derive(Serialize)]
struct NormalForm {
    architectures: [&'static str; 1],
    model_type: &'static str,
    vocab_size: usize,
    n_positions: usize,
    n_embd: usize,
    n_layer: usize,
    n_head: usize,
    n_inner: Option<usize>,
    layer_norm_epsilon: f64,
    tie_word_embeddings: bool,
    bos_token_id: Option<u32>,
    eos_token_id: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scale_attn_weights: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scale_attn_by_inverse_layer_idx: Option<bool>,
}

fn size(field: &'static str, value: Option<u64>, max: usize) -> Result<usize, ConfigError> {
    let value = value.ok_or(ConfigError::Missing { field })?;
    usize::try_from(value).ok().filter(|size| (1..=max).contains(size)).ok_or(ConfigError::OutOfRange {
        field,
        value,
        max,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"{"model_type":"gpt2","vocab_size":512,"n_positions":128,"n_embd":32,"n_layer":2,"n_head":4,
        "activation_function":"gelu_new","eos_token_id":511}"#;

    fn refusal(from: &str, to: &str) -> String {
        let json = SMALL.replace(from, to);
        assert_ne!(json, SMALL);
        ModelConfig::from_hugging_face(json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn the_normal_form_reads_back_the_same() {
        let gpt2 = ModelConfig::from_hugging_face(SMALL.as_bytes()).unwrap();
        let gpt1 =
            ModelConfig { architecture: Architecture::Gpt1, inner: 64, end_tokens: vec![], ..gpt2.clone() };
        let other = ModelConfig {
            activation: Activation::Mish,
            attention_scale: AttentionScale { by_width: false, by_layer: true },
            begin_token: Some(3),
            end_tokens: vec![4, 5],
            ..gpt2.clone()
        };
        for config in [gpt2, gpt1, other] {
            let json = config.to_hugging_face();
            assert_eq!(ModelConfig::from_hugging_face(json.as_bytes()).unwrap(), config);
        }
    }

    #[test]
    fn both_published_forms_of_gpt2_agree() {
        let hparams = br#"{"n_vocab": 512, "n_ctx": 128, "n_embd": 32, "n_head": 4, "n_layer": 2}"#;
        assert_eq!(
            ModelConfig::from_hyper_parameters(hparams).unwrap(),
            ModelConfig::from_hugging_face(SMALL.as_bytes()).unwrap()
        );
    }

    #[test]
    fn refusals_name_the_field_and_the_rule() {
        insta::assert_snapshot!([
            refusal("\"gpt2\"", "\"llama\""),
            refusal("\"n_layer\":2", "\"n_layer\":0"),
            refusal("\"n_embd\":32", "\"n_embd\":18446744073709551615"),
            refusal("\"n_head\":4", "\"n_head\":5"),
            refusal("gelu_new", "prelu"),
            refusal("512", "\"many\""),
            refusal("\"n_head\"", "\"hidden_size\":64,\"n_head\""),
            refusal("\"n_head\"", "\"layer_norm_epsilon\":NaN,\"n_head\""),
            refusal("\"n_head\"", "\"add_cross_attention\":true,\"n_head\""),
            refusal("\"n_head\"", "\"layer_norm_epsilon\":0,\"n_head\""),
        ].join("\n"), @"
        `model_type` is `llama`; only `gpt2` and `openai-gpt` are supported
        `n_layer` is 0, outside 1..=1024
        `n_embd` is 18446744073709551615, outside 1..=131072
        `n_head` = 5 does not divide `n_embd` = 32
        `activation_function` = prelu is not supported
        `vocab_size` is many, not a whole number
        `n_embd` is 32, but its alias `hidden_size` is 64
        `layer_norm_epsilon` is NaN, not a number
        `add_cross_attention` = true is not supported
        `layer_norm_epsilon` = 0 is not supported
        ");
    }
}
