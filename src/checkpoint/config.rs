//! A checkpoint's configuration: Hugging Face's `config.json` and OpenAI's `hparams.json`, read into one type.
//!
//! Only what this program can run correctly is accepted: a setting that would change the forward pass in a way that
//! is not implemented is refused, never ignored.

use serde::{Deserialize, Serialize};

/// Which of OpenAI's two published layouts a checkpoint has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// GPT-2: norm before each sublayer and at the end.
    Gpt2,
    /// GPT-1: norm after each residual sum, none at the end.
    Gpt1,
}

impl Architecture {
    /// Hugging Face's `model_type`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Gpt2 => "gpt2",
            Self::Gpt1 => "openai-gpt",
        }
    }
}

/// The shape of a model. Invariants: every size is at least 1 and within [`limits`], `heads` divides `width`.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The layout.
    pub architecture: Architecture,
    /// V: tokens in the vocabulary.
    pub vocabulary: usize,
    /// T: positions, the longest context.
    pub context: usize,
    /// C: width of the residual stream.
    pub width: usize,
    /// L: transformer blocks.
    pub layers: usize,
    /// H: attention heads; each is `width / heads` wide.
    pub heads: usize,
    /// Width of the perceptron's hidden layer, 4·C in every published checkpoint.
    pub inner: usize,
    /// Added to the variance in layer norm.
    pub norm_epsilon: f64,
    /// Whether the output head is the token embedding.
    pub tied_head: bool,
    /// The token that ends a text, where the configuration names one.
    pub end_of_text: Option<u32>,
}

/// Upper bounds of what is accepted, far above every published GPT; they bound what hostile files can make us allocate.
pub mod limits {
    /// Most tokens in a vocabulary.
    pub const VOCABULARY: usize = 1 << 20;
    /// Most positions.
    pub const CONTEXT: usize = 1 << 17;
    /// Widest residual stream or hidden layer.
    pub const WIDTH: usize = 1 << 17;
    /// Most blocks.
    pub const LAYERS: usize = 1 << 10;
}

/// A configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON, or a field of the wrong type.
    #[error("not a model configuration: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Another family of models.
    #[error("`model_type` is `{found}`; only `gpt2` and `openai-gpt` are supported")]
    UnsupportedModel {
        /// What the file says.
        found: String,
    },
    /// A field is missing.
    #[error("`{field}` is missing")]
    Missing {
        /// The field's name.
        field: &'static str,
    },
    /// A size is zero or beyond [`limits`].
    #[error("`{field}` is {value}, outside 1..={most}")]
    OutOfRange {
        /// The field's name.
        field: &'static str,
        /// What the file says.
        value: u64,
        /// The largest accepted value.
        most: usize,
    },
    /// Attention heads of uneven width.
    #[error("`n_head` = {heads} does not divide `n_embd` = {width}")]
    UnevenHeads {
        /// `n_head`.
        heads: usize,
        /// `n_embd`.
        width: usize,
    },
    /// A setting that changes the forward pass in a way that is not implemented.
    #[error("`{field}` = {value} is not supported")]
    UnsupportedSetting {
        /// The field's name.
        field: &'static str,
        /// What the file says.
        value: String,
    },
}

/// `config.json` as Hugging Face writes it; fields that do not change the forward pass are ignored.
#[derive(Deserialize)]
struct HuggingFaceConfig {
    model_type: Option<String>,
    vocab_size: Option<u64>,
    n_positions: Option<u64>,
    n_ctx: Option<u64>,
    n_embd: Option<u64>,
    n_layer: Option<u64>,
    n_head: Option<u64>,
    n_inner: Option<u64>,
    layer_norm_epsilon: Option<f64>,
    activation_function: Option<String>,
    afn: Option<String>,
    tie_word_embeddings: Option<bool>,
    eos_token_id: Option<u32>,
    #[serde(default)]
    scale_attn_by_inverse_layer_idx: bool,
    scale_attn_weights: Option<bool>,
    #[serde(default)]
    add_cross_attention: bool,
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
    /// Parses Hugging Face's `config.json`.
    ///
    /// # Errors
    /// Every variant of [`ConfigError`].
    pub fn from_hugging_face(json: &[u8]) -> Result<Self, ConfigError> {
        let raw: HuggingFaceConfig = crate::json::from_slice(json)?;
        let architecture = raw.architecture()?;
        raw.refuse_unsupported(architecture)?;
        let width = size("n_embd", raw.n_embd, limits::WIDTH)?;
        let inner = match raw.n_inner {
            None => 4 * width,
            given => size("n_inner", given, 4 * limits::WIDTH)?,
        };
        Self {
            architecture,
            vocabulary: size("vocab_size", raw.vocab_size, limits::VOCABULARY)?,
            context: size("n_positions", raw.n_positions.or(raw.n_ctx), limits::CONTEXT)?,
            width,
            layers: size("n_layer", raw.n_layer, limits::LAYERS)?,
            heads: size("n_head", raw.n_head, limits::WIDTH)?,
            inner,
            norm_epsilon: raw.layer_norm_epsilon.unwrap_or(1e-5),
            tied_head: raw.tie_word_embeddings.unwrap_or(true),
            end_of_text: raw.eos_token_id,
        }
        .checked()
    }

    /// Parses OpenAI's `hparams.json`; the rest is as in the code published with it (`openai/gpt-2:src/model.py`).
    ///
    /// # Errors
    /// [`ConfigError::Malformed`], [`ConfigError::OutOfRange`], [`ConfigError::UnevenHeads`].
    pub fn from_hyper_parameters(json: &[u8]) -> Result<Self, ConfigError> {
        let raw: HyperParameters = crate::json::from_slice(json)?;
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
            tied_head: true,
            // `<|endoftext|>` is the last entry of every encoder.json of that release; `limits` keep it in a u32.
            end_of_text: u32::try_from(vocabulary - 1).ok(),
        }
        .checked()
    }

    /// Width of one attention head.
    pub fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// `config.json` of the normal form: readable by Hugging Face transformers and by [`Self::from_hugging_face`].
    pub fn to_hugging_face(&self) -> String {
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
            bos_token_id: self.end_of_text,
            eos_token_id: self.end_of_text,
        };
        let mut json = serde_json::to_value(form).unwrap_or_default();
        json[activation] = match self.architecture {
            Architecture::Gpt2 => "gelu_new".into(),
            Architecture::Gpt1 => "gelu".into(),
        };
        format!("{json:#}\n")
    }

    fn checked(self) -> Result<Self, ConfigError> {
        if !self.width.is_multiple_of(self.heads) {
            return Err(ConfigError::UnevenHeads { heads: self.heads, width: self.width });
        }
        if !(self.norm_epsilon > 0.0 && self.norm_epsilon < 1.0) {
            return Err(ConfigError::UnsupportedSetting {
                field: "layer_norm_epsilon",
                value: self.norm_epsilon.to_string(),
            });
        }
        if let Some(token) = self.end_of_text
            && token as usize >= self.vocabulary
        {
            return Err(ConfigError::OutOfRange {
                field: "eos_token_id",
                value: token.into(),
                most: self.vocabulary - 1,
            });
        }
        Ok(self)
    }
}

/// What [`ModelConfig::to_hugging_face`] writes.
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
    eos_token_id: Option<u32>,
}

impl HuggingFaceConfig {
    fn architecture(&self) -> Result<Architecture, ConfigError> {
        match self.model_type.as_deref() {
            Some("gpt2") => Ok(Architecture::Gpt2),
            Some("openai-gpt") => Ok(Architecture::Gpt1),
            Some(other) => Err(ConfigError::UnsupportedModel { found: other.chars().take(80).collect() }),
            None => Err(ConfigError::Missing { field: "model_type" }),
        }
    }

    fn refuse_unsupported(&self, architecture: Architecture) -> Result<(), ConfigError> {
        // transformers maps GPT-1's `gelu` to the same tanh form that it calls `gelu_new` elsewhere.
        let (field, activation, known): (_, _, &[&str]) = match architecture {
            Architecture::Gpt2 => {
                ("activation_function", &self.activation_function, &["gelu_new", "gelu_pytorch_tanh"])
            }
            Architecture::Gpt1 => ("afn", &self.afn, &["gelu", "gelu_new"]),
        };
        let unsupported = |field, value| Err(ConfigError::UnsupportedSetting { field, value });
        if let Some(name) = activation
            && !known.contains(&name.as_str())
        {
            return unsupported(field, name.chars().take(80).collect());
        }
        if self.scale_attn_by_inverse_layer_idx {
            return unsupported("scale_attn_by_inverse_layer_idx", "true".to_owned());
        }
        if self.scale_attn_weights == Some(false) {
            return unsupported("scale_attn_weights", "false".to_owned());
        }
        if self.add_cross_attention {
            return unsupported("add_cross_attention", "true".to_owned());
        }
        Ok(())
    }
}

fn size(field: &'static str, value: Option<u64>, most: usize) -> Result<usize, ConfigError> {
    let value = value.ok_or(ConfigError::Missing { field })?;
    usize::try_from(value).ok().filter(|size| (1..=most).contains(size)).ok_or(ConfigError::OutOfRange {
        field,
        value,
        most,
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
            ModelConfig { architecture: Architecture::Gpt1, inner: 64, end_of_text: None, ..gpt2.clone() };
        for config in [gpt2, gpt1] {
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
            refusal("\"vocab_size\":512,", ""),
            refusal("\"n_layer\":2", "\"n_layer\":0"),
            refusal("\"n_embd\":32", "\"n_embd\":18446744073709551615"),
            refusal("\"n_head\":4", "\"n_head\":5"),
            refusal("gelu_new", "relu"),
            refusal("511", "512"),
            refusal("\"n_head\"", "\"add_cross_attention\":true,\"n_head\""),
            refusal("\"n_head\"", "\"layer_norm_epsilon\":0,\"n_head\""),
        ].join("\n"), @"
        `model_type` is `llama`; only `gpt2` and `openai-gpt` are supported
        `vocab_size` is missing
        `n_layer` is 0, outside 1..=1024
        `n_embd` is 18446744073709551615, outside 1..=131072
        `n_head` = 5 does not divide `n_embd` = 32
        `activation_function` = relu is not supported
        `eos_token_id` is 512, outside 1..=511
        `add_cross_attention` = true is not supported
        `layer_norm_epsilon` = 0 is not supported
        ");
    }
}
