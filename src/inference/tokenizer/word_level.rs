//! GPT-1's encoding: lower-cases text, splits it into words and punctuation, and ends the last character of a word with `</w>`.
//!
//! Normalization and splitting are BERT's, as in Hugging Face's `OpenAIGPTTokenizer`, which is the reference here. OpenAI's code used ftfy
//! and spaCy, and may give other ids for text with accents or contractions.

use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    Model, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

use super::{Error, TokenizerFiles, UNKNOWN, model};

/// The suffix of the last token of a word.
pub(super) const WORD_END: &str = "</w>";

#[derive(Debug)]
pub(super) struct WordLevel {
    model: BPE,
    tokens: Vec<String>,
}

impl WordLevel {
    pub(super) fn new(files: &TokenizerFiles) -> Result<Self, Error> {
        let model = model(files, Some(WORD_END))?;
        if model.token_to_id(UNKNOWN).is_none() {
            return Err(Error::MissingUnknown);
        }
        let tokens = files.vocabulary().to_vec();
        Ok(Self { model, tokens })
    }

    /// Appends the ids of one piece.
    pub(super) fn encode_piece(&self, piece: &str, ids: &mut Vec<u32>) {
        // The library fails only if there is no unknown token, and there is one.
        ids.extend(self.piece_ids(piece).unwrap_or_default());
    }

    fn piece_ids(&self, piece: &str) -> tokenizers::Result<Vec<u32>> {
        let mut normalized = NormalizedString::from(piece);
        BertNormalizer::default().normalize(&mut normalized)?;
        let mut words = PreTokenizedString::from(normalized.get());
        BertPreTokenizer.pre_tokenize(&mut words)?;
        let mut ids = Vec::new();
        for (word, ..) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            ids.extend(self.model.tokenize(word)?.iter().map(|token| token.id));
        }
        Ok(ids)
    }

    /// A token as stored in the vocabulary.
    pub(super) fn raw(&self, id: u32) -> Option<&str> {
        self.tokens.get(id as usize).map(String::as_str)
    }

    /// A token within a text, with a space at the end of a word.
    pub(super) fn text(&self, id: u32) -> Option<String> {
        self.raw(id).map(|token| token.replace(WORD_END, " "))
    }

    pub(super) fn decode(&self, ids: &[u32]) -> String {
        let mut known: Vec<&str> = ids.iter().filter_map(|&id| self.raw(id)).collect();
        let last = known.pop().unwrap_or_default().replace(WORD_END, "");
        let mut text: String = known.iter().map(|token| token.replace(WORD_END, " ")).collect();
        text.push_str(&last);
        text
    }
}

/// Splits a text where normalization would split it, too, so that each distinct word is normalized once.
///
/// These four characters become a space, and no rule spans a space; other white space may be removed.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t', '\n', '\r']).filter(|piece| !piece.is_empty())
}
