//! Encoding by the tokenizers library, for tokenizers that do more than GPT-2's own: added tokens, normalizers, other
//! pre-tokenizers. Slower than what this room does itself, and the same to the token as in transformers.
//!
//! GPT-2's own cut stays this room's: the library's engine gives up on long runs of white space and leaves a text uncut, without a word.

use std::sync::OnceLock;

use serde_json::Value;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::tokenizer::normalizer::Range;
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizedString, PreTokenizer,
    PreTokenizerWrapper, TokenizerImpl,
};

use super::byte_level::pieces;
use super::{Error, SpecialTokens, TokenizerFiles, model};
use crate::checkpoint::tokenizer_files::Facts;

type Implementation = TokenizerImpl<BPE, NormalizerWrapper, Cut, PostProcessorWrapper, DecoderWrapper>;

pub(super) struct Library {
    /// Finds every added token in a text.
    parsing: Implementation,
    /// Finds those only that are not special; made when the first such text is encoded.
    escaping: OnceLock<Implementation>,
    before: Vec<u32>,
    after: Vec<u32>,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Library({} before, {} behind a text)", self.before.len(), self.after.len())
    }
}

impl Library {
    pub(super) fn new(files: &TokenizerFiles, facts: &Facts) -> Result<Self, Error> {
        let mut parsing = Implementation::new(model(files, None)?);
        if let Some(normalizer) = &facts.normalizer {
            let normalizer: NormalizerWrapper = crate::json::from_value(normalizer)?;
            parsing.with_normalizer(Some(normalizer)).map_err(Error::Model)?;
        }
        parsing.with_pre_tokenizer(Some(Cut::of(&facts.pre_tokenizer)?));
        let added: Vec<AddedToken> = facts.added.iter().map(of_library).collect();
        parsing.add_tokens(added).map_err(Error::Model)?;
        let (before, after) = (facts.before.clone(), facts.after.clone());
        Ok(Self { parsing, escaping: OnceLock::new(), before, after })
    }

    /// The ids of a text, with what is put around every text.
    pub(super) fn encode(&self, text: &str, special: SpecialTokens) -> Vec<u32> {
        let tokenizer = match special {
            SpecialTokens::Parse => &self.parsing,
            SpecialTokens::Escape => self.escaping.get_or_init(|| {
                let mut tokenizer = self.parsing.clone();
                tokenizer.set_encode_special_tokens(true);
                tokenizer
            }),
        };
        let mut ids = self.before.clone();
        // The library fails only for want of an unknown token, and every byte has a token of its own.
        if let Ok(encoding) = tokenizer.encode_fast(text, false) {
            ids.extend(encoding.get_ids());
        }
        ids.extend(&self.after);
        ids
    }
}

fn of_library(token: &crate::checkpoint::tokenizer_files::facts::AddedToken) -> AddedToken {
    AddedToken::from(token.content.as_str(), token.special)
        .lstrip(token.lstrip)
        .rstrip(token.rstrip)
        .single_word(token.single_word)
        .normalized(token.normalized)
}

/// What cuts a text into pieces.
#[derive(Clone)]
enum Cut {
    /// GPT-2's pattern, in linear time on any text.
    Gpt2 { add_prefix_space: bool },
    /// Anything else.
    Library(PreTokenizerWrapper),
    /// One after another.
    Each(Vec<Cut>),
}

impl Cut {
    fn of(part: &Value) -> Result<Self, Error> {
        let flag = |name: &str| part.get(name).and_then(Value::as_bool).unwrap_or(true);
        match part.get("type").and_then(Value::as_str) {
            Some("ByteLevel") if flag("use_regex") => {
                Ok(Self::Gpt2 { add_prefix_space: flag("add_prefix_space") })
            }
            Some("Sequence") => {
                let parts = part.get("pretokenizers").and_then(Value::as_array);
                let cuts = parts.into_iter().flatten().map(Self::of);
                Ok(Self::Each(cuts.collect::<Result<_, _>>()?))
            }
            _ => Ok(Self::Library(crate::json::from_value(part)?)),
        }
    }
}

impl PreTokenizer for Cut {
    fn pre_tokenize(&self, text: &mut PreTokenizedString) -> tokenizers::Result<()> {
        match self {
            Self::Library(cut) => cut.pre_tokenize(text),
            Self::Each(cuts) => cuts.iter().try_for_each(|cut| cut.pre_tokenize(text)),
            Self::Gpt2 { add_prefix_space } => {
                text.split(|_, mut part| {
                    if *add_prefix_space && !part.get().starts_with(' ') {
                        part.prepend(" ");
                    }
                    let mut end = 0;
                    let ranges = pieces(part.get()).map(|piece| {
                        end += piece.len();
                        Range::Normalized(end - piece.len()..end)
                    });
                    let cut: Vec<_> = ranges.filter_map(|range| part.slice(range)).collect();
                    Ok(cut)
                })?;
                ByteLevel::new(false, false, false).pre_tokenize(text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokenizers::{OffsetReferential, OffsetType};

    use super::*;

    fn cut(cut: &impl PreTokenizer, text: &str) -> Vec<String> {
        let mut text = PreTokenizedString::from(text);
        cut.pre_tokenize(&mut text).unwrap();
        let splits = text.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits.into_iter().map(|(piece, ..)| piece.to_owned()).collect()
    }

    #[test]
    fn gpt2s_cut_is_the_librarys() {
        for text in ["", " ", "The gate's  open,\n\n\tin 1984 \u{a0}\u{e9}!? ", "x", " x", "a   b"] {
            for add_prefix_space in [false, true] {
                let own = cut(&Cut::Gpt2 { add_prefix_space }, text);
                assert_eq!(own, cut(&ByteLevel::new(add_prefix_space, true, true), text), "{text:?}");
            }
        }
    }
}
