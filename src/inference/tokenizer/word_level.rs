//! GPT-1's encoding: text is lower-cased and cut into words and marks, and a word's last character carries `</w>`.
//!
//! Cleaning and cutting are BERT's, as in Hugging Face's `OpenAIGPTTokenizer`, which is the reference here. OpenAI's
//! own code used ftfy and spaCy, and may give a text with accents or contractions other ids.

use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    Model, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer,
};

use super::{Error, TokenizerFiles, UNKNOWN, model};

/// Ends the last token of a word.
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

    /// Appends the ids of one of [`pieces`].
    pub(super) fn encode_piece(&self, piece: &str, ids: &mut Vec<u32>) {
        // The library fails only for want of an unknown token, and there is one.
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

    /// A token as the vocabulary has it.
    pub(super) fn raw(&self, id: u32) -> Option<&str> {
        self.tokens.get(id as usize).map(String::as_str)
    }

    /// A token within a text: a space where a word ends.
    pub(super) fn text(&self, id: u32) -> Option<String> {
        self.raw(id).map(|token| token.replace(WORD_END, " "))
    }

    pub(super) fn decode(&self, ids: &[u32]) -> String {
        let mut known: Vec<&str> = ids.iter().filter_map(|&id| self.raw(id)).collect();
        let last = known.pop().unwrap_or_default().replace(WORD_END, "");
        let mut text: String = known
            .iter()
            .map(|token| token.replace(WORD_END, " "))
            .collect();
        text.push_str(&last);
        text
    }
}

/// Cuts a text where cleaning and cutting would cut it anyhow, so that a word is cleaned once however often it occurs.
///
/// These four characters become a space and nothing reaches over a space; other white space is in part removed.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t', '\n', '\r'])
        .filter(|piece| !piece.is_empty())
}
