//! Parses `config.json` with the names, aliases and defaults of transformers.

use serde_json::{Map, Value};

use super::{Activation, Architecture, AttentionScale, ConfigError, ModelConfig, limits, size};
use crate::checkpoint::python_json;

/// A parsed `config.json`, with what it leaves open.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadConfig {
    /// The configuration, defaults filled in.
    pub config: ModelConfig,
    /// Sizes that the file does not set, which have transformers' defaults.
    pub defaulted: Vec<&'static str>,
    /// Begin and end tokens outside the vocabulary, which therefore never occur.
    pub unreachable: Vec<u64>,
    /// `tokenizer_class`, which determines how tokenizer files are read.
    pub tokenizer_class: Option<String>,
    /// Whether a file set a begin token, inside the vocabulary or not.
    names_begin: bool,
}

/// A setting with its aliases and default in transformers.
struct Setting {
    name: &'static str,
    aliases: &'static [&'static str],
    default: u64,
    max: usize,
}

const VOCABULARY: Setting =
    Setting { name: "vocab_size", aliases: &[], default: 50_257, max: limits::VOCABULARY };
const POSITIONS: Setting = Setting {
    name: "n_positions",
    aliases: &["max_position_embeddings", "n_ctx"],
    default: 1024,
    max: limits::CONTEXT,
};
const WIDTH: Setting =
    Setting { name: "n_embd", aliases: &["hidden_size"], default: 768, max: limits::WIDTH };
const LAYERS: Setting =
    Setting { name: "n_layer", aliases: &["num_hidden_layers"], default: 12, max: limits::LAYERS };
const HEADS: Setting =
    Setting { name: "n_head", aliases: &["num_attention_heads"], default: 12, max: limits::WIDTH };

/// The object's fields, and the sizes that it does not set.
struct Fields {
    object: Map<String, Value>,
    architecture: Architecture,
    defaulted: Vec<&'static str>,
}

/// Parses Hugging Face's `config.json`.
///
/// # Errors
/// Every variant of [`ConfigError`].
pub fn read(bytes: &[u8]) -> Result<ReadConfig, ConfigError> {
    let object = python_json::parse_object(bytes)?;
    let architecture = architecture(&object)?;
    let mut fields = Fields { object, architecture, defaulted: Vec::new() };
    fields.refuse_unsupported()?;
    let vocabulary = fields.size(&VOCABULARY)?;
    let width = fields.size(&WIDTH)?;
    let inner = match fields.number("n_inner")? {
        None => 4 * width,
        given => size("n_inner", given, 4 * limits::WIDTH)?,
    };
    let config = ModelConfig {
        architecture,
        vocabulary,
        context: fields.size(&POSITIONS)?,
        width,
        layers: fields.size(&LAYERS)?,
        heads: fields.size(&HEADS)?,
        inner,
        norm_epsilon: fields.float("layer_norm_epsilon")?.unwrap_or(1e-5),
        activation: fields.activation()?,
        attention_scale: fields.attention_scale()?,
        tied_head: fields.flag("tie_word_embeddings")?.unwrap_or(true),
        begin_token: None,
        end_tokens: Vec::new(),
    }
    .validate()?;
    let tokenizer_class = fields.text("tokenizer_class")?.map(str::to_owned);
    let Fields { object, defaulted, .. } = fields;
    let unreachable = Vec::new();
    let mut read = ReadConfig { config, defaulted, unreachable, tokenizer_class, names_begin: false };
    read.take_tokens(&object)?;
    Ok(read)
}

fn architecture(object: &Map<String, Value>) -> Result<Architecture, ConfigError> {
    match object.get("model_type") {
        Some(Value::String(name)) if name == "gpt2" => Ok(Architecture::Gpt2),
        Some(Value::String(name)) if name == "openai-gpt" => Ok(Architecture::Gpt1),
        None | Some(Value::Null) => Err(ConfigError::Missing { field: "model_type" }),
        Some(other) => Err(ConfigError::UnsupportedModel { found: python_json::shown(other) }),
    }
}

impl ReadConfig {
    /// Takes the begin and end tokens of `settings`, from `config.json` or `generation_config.json`.
    ///
    /// # Errors
    /// [`ConfigError::WrongType`].
    pub fn take_tokens(&mut self, settings: &Map<String, Value>) -> Result<(), ConfigError> {
        let named = |field: &str| settings.contains_key(field);
        if named("eos_token_id") {
            let ends = tokens("eos_token_id", settings.get("eos_token_id"))?;
            self.config.end_tokens = self.reachable(ends);
        }
        if named("bos_token_id") {
            self.names_begin = true;
            let begins = tokens("bos_token_id", settings.get("bos_token_id"))?;
            self.config.begin_token = self.reachable(begins).first().copied();
        } else if !self.names_begin {
            // transformers' default is GPT-2's begin token, which is also its end token.
            self.config.begin_token = self.config.end_tokens.first().copied();
        }
        Ok(())
    }

    /// Returns the tokens inside the vocabulary; records the others for a note.
    fn reachable(&mut self, tokens: Vec<u64>) -> Vec<u32> {
        let mut within = Vec::with_capacity(tokens.len());
        for token in tokens {
            match u32::try_from(token).ok().filter(|&token| (token as usize) < self.config.vocabulary) {
                Some(token) => within.push(token),
                None if self.unreachable.contains(&token) => {}
                None => self.unreachable.push(token),
            }
        }
        within
    }
}

/// Parses `eos_token_id` or `bos_token_id`: a token, a list, or none.
fn tokens(field: &'static str, value: Option<&Value>) -> Result<Vec<u64>, ConfigError> {
    /// More than the special tokens of any tokenizer.
    const MAX_TOKENS: usize = 1000;
    let wrong = |value: &Value| ConfigError::WrongType {
        field,
        expected: "a token id, a list of them, or null",
        found: python_json::shown(value),
    };
    match value {
        // -1 is a common way to write none.
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Number(number)) if number.as_i64() == Some(-1) => Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= MAX_TOKENS => {
            list.iter().map(|token| token.as_u64().ok_or_else(|| wrong(token))).collect()
        }
        Some(other) => other.as_u64().map(|token| vec![token]).ok_or_else(|| wrong(other)),
    }
}

impl Fields {
    fn number(&self, field: &'static str) -> Result<Option<u64>, ConfigError> {
        self.read(field, "a whole number", Value::as_u64)
    }

    fn float(&self, field: &'static str) -> Result<Option<f64>, ConfigError> {
        self.read(field, "a number", Value::as_f64)
    }

    fn flag(&self, field: &'static str) -> Result<Option<bool>, ConfigError> {
        self.read(field, "true or false", Value::as_bool)
    }

    fn text(&self, field: &'static str) -> Result<Option<&str>, ConfigError> {
        self.read(field, "text", Value::as_str)
    }

    fn read<'a, T>(
        &'a self,
        field: &'static str,
        expected: &'static str,
        as_type: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        match self.object.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => as_type(value).map(Some).ok_or_else(|| ConfigError::WrongType {
                field,
                expected,
                found: python_json::shown(value),
            }),
        }
    }

    /// Returns a size under any of its names, which must agree, or transformers' default.
    fn size(&mut self, setting: &Setting) -> Result<usize, ConfigError> {
        let Setting { name, aliases, default, max } = *setting;
        let mut given = self.number(name)?;
        for &alias in aliases {
            let Some(value) = self.number(alias)? else { continue };
            match given {
                // transformers does not read `n_ctx`: use it only if the other names are missing.
                Some(known) if known != value && alias != "n_ctx" => {
                    return Err(ConfigError::Contradiction {
                        field: name,
                        value: known,
                        alias,
                        other: value,
                    });
                }
                _ => given = given.or(Some(value)),
            }
        }
        if given.is_none() {
            self.defaulted.push(name);
        }
        let default = if name == "vocab_size" && self.architecture == Architecture::Gpt1 {
            40_478
        } else if name == "n_positions" && self.architecture == Architecture::Gpt1 {
            512
        } else {
            default
        };
        size(name, Some(given.unwrap_or(default)), max)
    }

    fn activation(&self) -> Result<Activation, ConfigError> {
        let field = match self.architecture {
            Architecture::Gpt2 => "activation_function",
            Architecture::Gpt1 => "afn",
        };
        let Some(name) = self.text(field)? else {
            return Ok(Activation::GeluTanh);
        };
        let known = match self.architecture {
            Architecture::Gpt2 => Activation::from_gpt2_name(name),
            Architecture::Gpt1 => Activation::from_gpt1_name(name),
        };
        known.ok_or_else(|| ConfigError::UnsupportedSetting { field, value: name.chars().take(80).collect() })
    }

    /// GPT-1's attention ignores these settings.
    fn attention_scale(&self) -> Result<AttentionScale, ConfigError> {
        let by_width = self.flag("scale_attn_weights")?.unwrap_or(true);
        let by_layer = self.flag("scale_attn_by_inverse_layer_idx")?.unwrap_or(false);
        Ok(match self.architecture {
            Architecture::Gpt1 => AttentionScale::default(),
            Architecture::Gpt2 => AttentionScale { by_width, by_layer },
        })
    }

    fn refuse_unsupported(&self) -> Result<(), ConfigError> {
        if self.flag("add_cross_attention")?.unwrap_or(false) {
            let value = "true".to_owned();
            return Err(ConfigError::UnsupportedSetting { field: "add_cross_attention", value });
        }
        if self.object.get("quantization_config").is_some_and(|value| !value.is_null()) {
            let method = self.object.get("quantization_config").and_then(|value| value.get("quant_method"));
            let value = method.map_or_else(|| "set".to_owned(), python_json::shown);
            return Err(ConfigError::UnsupportedSetting { field: "quantization_config", value });
        }
        Ok(())
    }
}
