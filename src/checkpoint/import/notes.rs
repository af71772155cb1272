//! What an import did otherwise than the files say, in words: nothing is left out in silence.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

/// Names that a message lists before it counts the rest.
const SHOWN: usize = 4;

/// Something that whoever imports is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "note")]
pub enum Note {
    /// A head for something else than the next token: a classifier's, a value's, a reward's.
    HeadLeftOut {
        /// Its tensors.
        tensors: Vec<String>,
    },
    /// Integers that are no weights.
    BufferLeftOut {
        /// Their names.
        tensors: Vec<String>,
    },
    /// What an optimizer keeps beside the weights while it trains, and other variables that are no weights.
    TrainingStateLeftOut {
        /// Their names.
        variables: Vec<String>,
    },
    /// Numbers of several widths, all stored in the widest.
    Widened {
        /// The dtypes that there were.
        from: BTreeSet<String>,
    },
    /// End or begin tokens that the vocabulary does not have.
    TokenUnreachable {
        /// Their ids.
        tokens: Vec<u64>,
    },
    /// Sizes that `config.json` does not name.
    SizeDefaulted {
        /// The fields.
        fields: Vec<&'static str>,
    },
    /// What `tokenizer.json` holds and the tokenizer's class does not apply.
    TokenizerFactUnused {
        /// The class.
        class: String,
        /// The parts of the file.
        facts: Vec<String>,
    },
    /// `vocab.json` and `merges.txt` say something else than `tokenizer.json`, which counts.
    TokenizerFilesDiffer,
    /// Added tokens that the model has no embedding for.
    AddedTokenUnreachable {
        /// The tokens.
        tokens: Vec<String>,
    },
    /// Settings of `generation_config.json` that would choose other tokens.
    GenerationSettingUnused {
        /// The settings.
        settings: Vec<String>,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeadLeftOut { tensors } => {
                write!(f, "left out {}: a head for something else than the next token", listed(tensors))
            }
            Self::BufferLeftOut { tensors } => {
                write!(f, "left out {}: integers, which are no weights", listed(tensors))
            }
            Self::TrainingStateLeftOut { variables } => {
                write!(f, "left out {}: the state of a training, not weights", listed(variables))
            }
            Self::Widened { from } => {
                let from: Vec<String> = from.iter().cloned().collect();
                write!(f, "stored every tensor as F32: the file mixes {}", listed(&from))
            }
            Self::TokenUnreachable { tokens } => {
                let tokens: Vec<String> = tokens.iter().map(u64::to_string).collect();
                write!(
                    f,
                    "no text will end or begin with {}: the vocabulary has no such token",
                    listed(&tokens)
                )
            }
            Self::SizeDefaulted { fields } => {
                let fields: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
                write!(f, "config.json does not name {}: taken as transformers takes it", listed(&fields))
            }
            Self::TokenizerFactUnused { class, facts } => write!(
                f,
                "tokenizer.json has {}, which {class} does not apply in transformers, nor does this program; the tokenizers library does",
                listed(facts)
            ),
            Self::TokenizerFilesDiffer => f.write_str(
                "vocab.json and merges.txt differ from tokenizer.json, which counts, as in transformers",
            ),
            Self::AddedTokenUnreachable { tokens } => {
                write!(
                    f,
                    "no text with {} can be read: the model has no embedding for such a token",
                    listed(tokens)
                )
            }
            Self::GenerationSettingUnused { settings } => write!(
                f,
                "generation_config.json sets {}, which is not applied: `run` takes its settings from the command line",
                listed(settings)
            ),
        }
    }
}

/// The first few names, control characters escaped, and how many more there are.
fn listed(names: &[String]) -> String {
    let cut = |name: &String| -> String { name.chars().take(80).flat_map(char::escape_debug).collect() };
    let mut shown: Vec<String> = names.iter().take(SHOWN).map(cut).collect();
    if names.len() > SHOWN {
        shown.push(format!("{} more", names.len() - SHOWN));
    }
    shown.join(", ")
}
