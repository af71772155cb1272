//! Encoding with the tokenizers library, for tokenizers that do more than GPT-2's: added tokens, normalizers, other pre-tokenizers. It is
//! slower than this crate's own encoding, and its ids equal those of transformers.
//!
//! GPT-2's pattern still uses this crate's implementation: the library's regex engine gives up on long runs of white space and returns
//! the text unsplit, without an error.

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

type Implementation = TokenizerImpl<BPE, NormalizerWrapper, Splitter, PostProcessorWrapper, DecoderWrapper>;

pub(super) struct Library {
    /// Recognizes every added token in a text.
    parsing: Implementation,
    /// Recognizes added tokens that are not special; built when the first such text is encoded.
    escaping: OnceLock<Implementation>,
    before: Vec<u32>,
    after: Vec<u32>,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Library({} before, {} after a text)", self.before.len(), self.after.len())
    }
}

impl Library {
    pub(super) fn new(files: &TokenizerFiles, facts: &Facts) -> Result<Self, Error> {
        let mut parsing = Implementation::new(model(files, None)?);
        if let Some(normalizer) = &facts.normalizer {
            let normalizer: NormalizerWrapper = crate::json::from_value(normalizer)?;
            parsing.with_normalizer(Some(normalizer)).map_err(Error::Model)?;
        }
        parsing.with_pre_tokenizer(Some(Splitter::parse(&facts.pre_tokenizer)?));
        let added: Vec<AddedToken> = facts.added.iter().map(library_token).collect();
        parsing.add_tokens(added).map_err(Error::Model)?;
        let (before, after) = (facts.before.clone(), facts.after.clone());
        Ok(Self { parsing, escaping: OnceLock::new(), before, after })
    }

    /// Encodes a text, with the tokens before and after every text.
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
        // The library fails only if there is no unknown token, and every byte has its own token.
        if let Ok(encoding) = tokenizer.encode_fast(text, false) {
            ids.extend(encoding.get_ids());
        }
        ids.extend(&self.after);
        ids
    }
}

fn library_token(token: &crate::checkpoint::tokenizer_files::facts::AddedToken) -> AddedToken {
    AddedToken::from(token.content.as_str(), token.special)
        .lstrip(token.lstrip)
        .rstrip(token.rstrip)
        .single_word(token.single_word)
        .normalized(token.normalized)
}

/// A pre-tokenizer.
#[derive(Clone)]
enum Splitter {
    /// GPT-2's pattern, in linear time on any text.
    Gpt2 { add_prefix_space: bool },
    /// A pre-tokenizer of the library.
    Library(PreTokenizerWrapper),
    /// Several, one after another.
    Each(Vec<Splitter>),
}

impl Splitter {
    fn parse(part: &Value) -> Result<Self, Error> {
        let flag = |name: &str| part.get(name).and_then(Value::as_bool).unwrap_or(true);
        match part.get("type").and_then(Value::as_str) {
            Some("ByteLevel") if flag("use_regex") => {
                Ok(Self::Gpt2 { add_prefix_space: flag("add_prefix_space") })
            }
            Some("Sequence") => {
                let parts = part.get("pretokenizers").and_then(Value::as_array);
                let cuts = parts.into_iter().flatten().map(Self::parse);
                Ok(Self::Each(cuts.collect::<Result<_, _>>()?))
            }
            _ => Ok(Self::Library(crate::json::from_value(part)?)),
        }
    }
}

impl PreTokenizer for Splitter {
    fn pre_tokenize(&self, text: &mut PreTokenizedString) -> tokenizers::Result<()> {
        match self {
            Self::Library(splitter) => splitter.pre_tokenize(text),
            Self::Each(splitters) => splitters.iter().try_for_each(|splitter| splitter.pre_tokenize(text)),
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

    fn split(splitter: &impl PreTokenizer, text: &str) -> Vec<String> {
        let mut text = PreTokenizedString::from(text);
        splitter.pre_tokenize(&mut text).unwrap();
        let splits = text.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits.into_iter().map(|(piece, ..)| piece.to_owned()).collect()
    }

    #[test]
    fn gpt2s_splitter_agrees_with_the_library() {
        for text in ["", " ", "The gate's  open,\n\n\tin 1984 \u{a0}\u{e9}!? ", "x", " x", "a   b"] {
            for add_prefix_space in [false, true] {
                let own = split(&Splitter::Gpt2 { add_prefix_space }, text);
                assert_eq!(own, split(&ByteLevel::new(add_prefix_space, true, true), text), "{text:?}");
            }
        }
    }
}
