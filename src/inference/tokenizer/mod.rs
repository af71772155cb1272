//! The tokenizer of a checkpoint, built from the checkpoint's files.
//!
//! GPT-2 uses byte-level byte-pair encoding (Radford et al., 2019; `openai/gpt-2:src/encoder.py`); GPT-1 uses byte-pair encoding of
//! lower-cased words that end in `</w>`. Ids and text equal those of Hugging Face's fast tokenizers for the same files; see
//! `docs/decisions/0002-tokenizer.md`.
//!
//! Invariants: encoding and decoding never fail, for any text and any ids, and take O(n·log n) time. Text becomes a special token only
//! with [`SpecialTokens::Parse`]. Altered tokenizer files can only change ids and text; [`Tokenizer::new`] refuses files that could lose text.

mod byte_level;
mod library;
mod stream;
mod word_level;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use tokenizers::models::bpe::{BPE, Vocab};

use crate::checkpoint::config::Architecture;
use crate::checkpoint::tokenizer_files::TokenizerFiles;

use byte_level::ByteLevel;
pub use stream::TextStream;
use word_level::WordLevel;

/// A checkpoint's tokenizer.
#[derive(Debug)]
pub struct Tokenizer {
    scheme: Scheme,
    special: Option<Special>,
}

/// How to encode the name of a special token in a text: `<|endoftext|>` of GPT-2, `<unk>` of GPT-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialTokens {
    /// As the special token, like Hugging Face's tokenizers; for text from authors who may use special tokens.
    Parse,
    /// As ordinary text, like OpenAI's `encoder.py`; for all other text.
    Escape,
}

/// Well-formed tokenizer files do not fit the architecture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A GPT-2 vocabulary lacks a byte, so some text could not be encoded.
    #[error(
        "the vocabulary has no token for the byte {byte:#04x}; GPT-2 needs one for each of the 256 bytes"
    )]
    MissingByte {
        /// The first missing byte.
        byte: u8,
    },
    /// A GPT-1 vocabulary lacks `<unk>`, so some text could not be encoded.
    #[error("the vocabulary has no `{UNKNOWN}`, which GPT-1 needs for unknown text")]
    MissingUnknown,
    /// The library rejects a normalizer or pre-tokenizer.
    #[error("the tokenizers library rejects a part of the tokenizer: {0}")]
    Part(#[from] serde_json::Error),
    /// The library rejects the vocabulary, the merges or an added token.
    #[error("the vocabulary and the merges do not define an encoding: {0}")]
    Model(#[source] tokenizers::Error),
}

const END_OF_TEXT: &str = "<|endoftext|>";
const UNKNOWN: &str = "<unk>";

#[derive(Debug)]
enum Scheme {
    Gpt2(Box<ByteLevel>),
    Gpt1(Box<WordLevel>),
}

#[derive(Debug)]
struct Special {
    name: &'static str,
    id: u32,
}

impl Tokenizer {
    /// Builds the tokenizer of an architecture from its files.
    ///
    /// # Errors
    /// [`Error`] if the files do not fit the architecture.
    pub fn new(architecture: Architecture, files: TokenizerFiles) -> Result<Self, Error> {
        let name = match architecture {
            Architecture::Gpt2 => END_OF_TEXT,
            Architecture::Gpt1 => UNKNOWN,
        };
        let id = (0..).zip(files.vocabulary()).find(|(_, token)| *token == name);
        let special = id.map(|(id, _)| Special { name, id });
        let scheme = match architecture {
            Architecture::Gpt2 => Scheme::Gpt2(Box::new(ByteLevel::new(files)?)),
            Architecture::Gpt1 => Scheme::Gpt1(Box::new(WordLevel::new(&files)?)),
        };
        Ok(Self { scheme, special })
    }

    /// Builds the tables that encoding needs. Without this call, the first [`Self::encode`] builds them.
    pub fn prepare_to_encode(&self) {
        match &self.scheme {
            Scheme::Gpt2(scheme) if scheme.library().is_some() => {}
            Scheme::Gpt2(scheme) => _ = scheme.model(),
            Scheme::Gpt1(_) => {}
        }
    }

    /// Encodes a text. The ids of a concatenation are not the concatenation of the ids.
    pub fn encode(&self, text: &str, special: SpecialTokens) -> Vec<u32> {
        if let Scheme::Gpt2(scheme) = &self.scheme
            && let Some(library) = scheme.library()
        {
            return library.encode(text, special);
        }
        let mut ids = Vec::new();
        let mut seen = HashMap::new();
        match (&self.special, special) {
            (Some(special), SpecialTokens::Parse) => {
                for (index, part) in text.split(special.name).enumerate() {
                    if index > 0 {
                        ids.push(special.id);
                    }
                    self.encode_ordinary(part, &mut ids, &mut seen);
                }
            }
            _ => self.encode_ordinary(text, &mut ids, &mut seen),
        }
        ids
    }

    /// Decodes ids. Ids outside the vocabulary are ignored; invalid UTF-8 becomes U+FFFD.
    ///
    /// GPT-1's text is lower-case, without accents, and has one space between words.
    pub fn decode(&self, ids: &[u32]) -> String {
        match &self.scheme {
            Scheme::Gpt2(scheme) => scheme.decode(ids),
            Scheme::Gpt1(scheme) => scheme.decode(ids),
        }
    }

    /// A decoder for ids that arrive one by one.
    pub fn stream(&self) -> TextStream<'_> {
        TextStream::new(self)
    }

    /// The bytes of a token within a text; `None` outside the vocabulary.
    pub fn token_bytes(&self, id: u32) -> Option<Cow<'_, [u8]>> {
        match &self.scheme {
            Scheme::Gpt2(scheme) => scheme.bytes(id).map(Cow::Borrowed),
            Scheme::Gpt1(scheme) => scheme.text(id).map(|text| text.into_bytes().into()),
        }
    }

    /// A token as text, with invalid UTF-8 as U+FFFD; `None` outside the vocabulary.
    pub fn token_text(&self, id: u32) -> Option<String> {
        let bytes = self.token_bytes(id)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether both tokenizers have the same bytes for every id.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let known = (0..).map_while(|id| self.token_bytes(id));
        let others = (0..).map_while(|id| other.token_bytes(id));
        known.eq(others)
    }

    /// The id of GPT-2's `<|endoftext|>`; `None` for GPT-1, or if the vocabulary lacks it.
    pub fn end_of_text(&self) -> Option<u32> {
        let special = self.special.as_ref()?;
        (special.name == END_OF_TEXT).then_some(special.id)
    }

    /// Encodes piece by piece; `seen` has the range of the ids of every earlier piece.
    fn encode_ordinary<'t>(
        &self,
        text: &'t str,
        ids: &mut Vec<u32>,
        seen: &mut HashMap<&'t str, Range<usize>>,
    ) {
        let mut encode = |piece: &'t str| {
            if let Some(range) = seen.get(piece) {
                ids.extend_from_within(range.clone());
                return;
            }
            let start = ids.len();
            match &self.scheme {
                Scheme::Gpt2(scheme) => scheme.encode_piece(piece, ids),
                Scheme::Gpt1(scheme) => scheme.encode_piece(piece, ids),
            }
            seen.insert(piece, start..ids.len());
        };
        match &self.scheme {
            Scheme::Gpt2(_) => byte_level::pieces(text).for_each(&mut encode),
            Scheme::Gpt1(_) => word_level::pieces(text).for_each(&mut encode),
        }
    }
}

/// The library's byte-pair model of the files.
///
/// It has no cache: the library keeps one per tokenizer as long as a thread lives.
fn model(files: &TokenizerFiles, word_end: Option<&str>) -> Result<BPE, Error> {
    let vocabulary = files.vocabulary();
    // `TokenizerFiles` has checked that the ids of merges are in the vocabulary.
    let token = |id: u32| vocabulary[id as usize].clone();
    let merges = files.merges().iter().map(|&(left, right)| (token(left), token(right)));
    let ids = vocabulary.iter().cloned().zip(0..).collect::<Vocab>();
    let whole_pieces = files.facts().is_some_and(|facts| facts.ignore_merges);
    let builder = BPE::builder().vocab_and_merges(ids, merges.collect()).cache_capacity(0);
    let mut builder = builder.ignore_merges(whole_pieces);
    if let Some(suffix) = word_end {
        builder = builder.unk_token(UNKNOWN.to_owned()).end_of_word_suffix(suffix.to_owned());
    }
    builder.build().map_err(Error::Model)
}
