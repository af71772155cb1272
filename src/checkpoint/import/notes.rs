//! Notes on everything that an import left out or stored differently than in the source.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

/// How many names a message lists before it counts the rest.
const SHOWN: usize = 4;

/// A note to the person who imports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "note")]
pub enum Note {
    /// A head that does not predict the next token, such as a classifier's or a reward model's.
    HeadLeftOut {
        /// The head's tensors.
        tensors: Vec<String>,
    },
    /// Integer buffers, which are not weights.
    BufferLeftOut {
        /// Their names.
        tensors: Vec<String>,
    },
    /// The state of an optimizer, and other variables that are not weights.
    TrainingStateLeftOut {
        /// Their names.
        variables: Vec<String>,
    },
    /// Tensors of several types, all stored as F32.
    Widened {
        /// The types in the source.
        from: BTreeSet<String>,
    },
    /// Begin or end tokens outside the vocabulary.
    TokenUnreachable {
        /// Their ids.
        tokens: Vec<u64>,
    },
    /// Sizes that `config.json` does not set.
    SizeDefaulted {
        /// The fields.
        fields: Vec<&'static str>,
    },
    /// Parts of `tokenizer.json` that the tokenizer's class does not use.
    TokenizerFactUnused {
        /// The class.
        class: String,
        /// The parts of the file.
        facts: Vec<String>,
    },
    /// `vocab.json` and `merges.txt` differ from `tokenizer.json`, which takes precedence.
    TokenizerFilesDiffer,
    /// Added tokens without an embedding.
    AddedTokenUnreachable {
        /// The tokens.
        tokens: Vec<String>,
    },
    /// Settings of `generation_config.json` that would change sampling.
    GenerationSettingUnused {
        /// The settings.
        settings: Vec<String>,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeadLeftOut { tensors } => {
                write!(f, "left out {}: a head that does not predict the next token", listed(tensors))
            }
            Self::BufferLeftOut { tensors } => {
                write!(f, "left out {}: integers, not weights", listed(tensors))
            }
            Self::TrainingStateLeftOut { variables } => {
                write!(f, "left out {}: training state, not weights", listed(variables))
            }
            Self::Widened { from } => {
                let from: Vec<String> = from.iter().cloned().collect();
                write!(f, "stored every tensor as F32: the file mixes {}", listed(&from))
            }
            Self::TokenUnreachable { tokens } => {
                let tokens: Vec<String> = tokens.iter().map(u64::to_string).collect();
                write!(
                    f,
                    "ignored the begin or end token {}: it is not in the vocabulary",
                    listed(&tokens)
                )
            }
            Self::SizeDefaulted { fields } => {
                let fields: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
                write!(f, "config.json does not set {}: used transformers' default", listed(&fields))
            }
            Self::TokenizerFactUnused { class, facts } => write!(
                f,
                "tokenizer.json has {}, which {class} ignores in transformers and here; the tokenizers library does not",
                listed(facts)
            ),
            Self::TokenizerFilesDiffer => f.write_str(
                "vocab.json and merges.txt differ from tokenizer.json, which takes precedence, as in transformers",
            ),
            Self::AddedTokenUnreachable { tokens } => {
                write!(
                    f,
                    "text with {} cannot be encoded: the model has no embedding for it",
                    listed(tokens)
                )
            }
            Self::GenerationSettingUnused { settings } => write!(
                f,
                "generation_config.json sets {}, which is ignored: `run` takes its settings from the command line",
                listed(settings)
            ),
        }
    }
}

/// Lists the first few names, control characters escaped, and counts the rest.
fn listed(names: &[String]) -> String {
    let cut = |name: &String| -> String { name.chars().take(80).flat_map(char::escape_debug).collect() };
    let mut shown: Vec<String> = names.iter().take(SHOWN).map(cut).collect();
    if names.len() > SHOWN {
        shown.push(format!("{} more", names.len() - SHOWN));
    }
    shown.join(", ")
}
