//! The names and shapes of a checkpoint's tensors in the normal form.
//!
//! The names are Hugging Face's without the prefix `transformer.`: `wte.weight`, `h.0.attn.c_attn.weight`, `ln_f.bias`; GPT-1 keeps
//! `tokens_embed.weight` and `positions_embed.weight`. The four projections of a block have the shape `[inputs, outputs]`, as OpenAI
//! published them, so that a tensor's bytes are the published bytes.

use super::config::{Architecture, ModelConfig};

/// A tensor of the normal form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// The name in the normal form.
    pub name: String,
    /// The shape, outermost dimension first.
    pub shape: Vec<usize>,
}

/// The meaning of a tensor name in a published file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishedName {
    /// A parameter, by its name in the normal form.
    Parameter(String),
    /// A causal mask or a list of positions that Hugging Face saved beside the parameters; it is not learned.
    Buffer,
    /// A part of a head that does not predict the next token, such as a classifier's `score.weight`; the language model does not use it.
    OtherHead,
    /// A part of an adapter, which would change the model.
    Adapter,
}

/// Prefixes that wrappers add to names: data parallelism, `torch.compile`, sharding, trainers, and heads.
const WRAPPERS: [&str; 7] = [
    "module.",
    "_orig_mod.",
    "_fsdp_wrapped_module.",
    "_forward_module.",
    "pretrained_model.",
    "model.",
    "transformer.",
];

/// The modules of the two architectures; other names belong to heads.
const MODULES: [&str; 7] = ["wte", "wpe", "tokens_embed", "positions_embed", "h", "ln_f", "lm_head"];

/// Parses a tensor name of a Hugging Face file.
pub fn from_hugging_face(name: &str) -> PublishedName {
    let mut bare = name;
    while let Some(rest) = WRAPPERS.iter().find_map(|wrapper| bare.strip_prefix(wrapper)) {
        bare = rest;
    }
    let is_mask =
        bare.starts_with("h.") && (bare.ends_with(".attn.bias") || bare.ends_with(".attn.masked_bias"));
    let module = bare.split('.').next().unwrap_or_default();
    if is_mask || bare == "position_ids" {
        PublishedName::Buffer
    } else if is_of_adapter(bare) {
        PublishedName::Adapter
    } else if MODULES.contains(&module) {
        PublishedName::Parameter(bare.to_owned())
    } else {
        PublishedName::OtherHead
    }
}

/// Whether a name has the form of PEFT or adapter-transformers.
fn is_of_adapter(name: &str) -> bool {
    let mut parts = name.split('.');
    parts.any(|part| {
        ["lora_", "adapter", "ia3_", "prompt_enc", "prompt_emb", "hada_", "vera_", "oft_"]
            .iter()
            .any(|mark| part.starts_with(mark))
            || part == "base_layer"
            || part == "base_model"
    })
}

/// Parses a variable name of OpenAI's 2019 TensorFlow files, such as `model/h0/attn/c_attn/w`; `None` for any other name.
pub fn from_tensorflow(name: &str) -> Option<String> {
    let path = name.strip_prefix("model/")?;
    if path == "wte" || path == "wpe" {
        return Some(format!("{path}.weight"));
    }
    let (module, last) = path.rsplit_once('/')?;
    let last = match last {
        "w" | "g" => "weight",
        "b" => "bias",
        _ => return None,
    };
    if module == "ln_f" {
        return Some(format!("ln_f.{last}"));
    }
    let (layer, module) = module.strip_prefix('h')?.split_once('/')?;
    let layer: usize = layer.parse().ok()?;
    Some(format!("h.{layer}.{}.{last}", module.replace('/', ".")))
}

/// Whether a variable is training state: an optimizer's slot or a counter outside the model.
pub fn is_training_state(name: &str) -> bool {
    let slot = name.rsplit_once('/').is_some_and(|(variable, _)| from_tensorflow(variable).is_some());
    slot || !name.starts_with("model/")
}

/// Returns all tensors in the order of the normal form: embeddings, blocks, norm, head.
pub fn tensors(config: &ModelConfig) -> Vec<TensorSpec> {
    let (v, t, c) = (config.vocabulary, config.context, config.width);
    let (tokens, positions) = embedding_names(config.architecture);
    let mut specs = vec![spec(tokens.to_owned(), &[v, c]), spec(positions.to_owned(), &[t, c])];
    for layer in 0..config.layers {
        specs.extend(block_tensors(config, layer));
    }
    if config.architecture == Architecture::Gpt2 {
        specs.push(spec("ln_f.weight".to_owned(), &[c]));
        specs.push(spec("ln_f.bias".to_owned(), &[c]));
    }
    if !config.tied_head {
        specs.push(spec(HEAD.to_owned(), &[v, c]));
    }
    specs
}

/// The output head, stored only if it is not tied to the token embedding.
pub const HEAD: &str = "lm_head.weight";

/// Returns the names of the token and position embeddings.
pub fn embedding_names(architecture: Architecture) -> (&'static str, &'static str) {
    match architecture {
        Architecture::Gpt2 => ("wte.weight", "wpe.weight"),
        Architecture::Gpt1 => ("tokens_embed.weight", "positions_embed.weight"),
    }
}

/// Returns the number of parameters of a configuration.
pub fn parameter_count(config: &ModelConfig) -> u64 {
    tensors(config).iter().map(|tensor| tensor.shape.iter().map(|&n| n as u64).product::<u64>()).sum()
}

fn block_tensors(config: &ModelConfig, layer: usize) -> [TensorSpec; 12] {
    let (c, inner) = (config.width, config.inner);
    let in_block = |name: &str, shape: &[usize]| spec(format!("h.{layer}.{name}"), shape);
    [
        in_block("ln_1.weight", &[c]),
        in_block("ln_1.bias", &[c]),
        in_block("attn.c_attn.weight", &[c, 3 * c]),
        in_block("attn.c_attn.bias", &[3 * c]),
        in_block("attn.c_proj.weight", &[c, c]),
        in_block("attn.c_proj.bias", &[c]),
        in_block("ln_2.weight", &[c]),
        in_block("ln_2.bias", &[c]),
        in_block("mlp.c_fc.weight", &[c, inner]),
        in_block("mlp.c_fc.bias", &[inner]),
        in_block("mlp.c_proj.weight", &[inner, c]),
        in_block("mlp.c_proj.bias", &[c]),
    ]
}

fn spec(name: String, shape: &[usize]) -> TensorSpec {
    TensorSpec { name, shape: shape.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hugging_face_names_lose_prefix_and_buffers() {
        let parameter = |name: &str| PublishedName::Parameter(name.to_owned());
        assert_eq!(from_hugging_face("transformer.wte.weight"), parameter("wte.weight"));
        assert_eq!(from_hugging_face("lm_head.weight"), parameter("lm_head.weight"));
        assert_eq!(from_hugging_face("h.0.attn.c_attn.bias"), parameter("h.0.attn.c_attn.bias"));
        assert_eq!(from_hugging_face("h.11.attn.bias"), PublishedName::Buffer);
        assert_eq!(from_hugging_face("transformer.h.0.attn.masked_bias"), PublishedName::Buffer);
        assert_eq!(from_hugging_face("module.transformer.h.0.ln_1.bias"), parameter("h.0.ln_1.bias"));
        assert_eq!(from_hugging_face("_orig_mod.module.model.wte.weight"), parameter("wte.weight"));
        assert_eq!(from_hugging_face("position_ids"), PublishedName::Buffer);
        for head in ["score.weight", "classifier.bias", "v_head.summary.weight", "qa_outputs.weight"] {
            assert_eq!(from_hugging_face(head), PublishedName::OtherHead, "{head}");
        }
        for adapter in [
            "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight",
            "h.0.attn.c_attn.base_layer.weight",
            "transformer.h.0.attention_adapters.adapters.x.weight",
            "prompt_encoder.embedding.weight",
        ] {
            let found = from_hugging_face(adapter);
            assert!(
                found == PublishedName::Adapter
                    || found == parameter("h.0.attention_adapters.adapters.x.weight")
            );
        }
    }

    #[test]
    fn tensorflow_names_become_the_same() {
        for (published, normal) in [
            ("model/wte", "wte.weight"),
            ("model/ln_f/g", "ln_f.weight"),
            ("model/h0/attn/c_attn/w", "h.0.attn.c_attn.weight"),
            ("model/h47/mlp/c_proj/b", "h.47.mlp.c_proj.bias"),
        ] {
            assert_eq!(from_tensorflow(published).as_deref(), Some(normal));
        }
        for other in ["wte", "model/global_step", "model/h/ln_1/g", "model/h0/ln_1/Adam"] {
            assert_eq!(from_tensorflow(other), None, "{other}");
        }
        for state in ["beta1_power", "global_step", "model/wte/Adam", "model/h0/ln_1/g/Adam_1"] {
            assert_eq!(from_tensorflow(state), None, "{state}");
            assert!(is_training_state(state), "{state}");
        }
        for weight in ["model/wte", "model/h0/ln_1/g", "model/h0/ln_1/surprise", "model/surprise"] {
            assert!(!is_training_state(weight), "{weight}");
        }
    }
}
