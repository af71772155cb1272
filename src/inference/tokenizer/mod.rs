//! The tokenizer of a checkpoint, made from its own files.
//!
//! GPT-2 has byte-level byte-pair encoding (Radford et al., 2019; `openai/gpt-2:src/encoder.py`), GPT-1 the encoding of
//! lower-cased words that end in `</w>`. Ids and text are those of Hugging Face's fast tokenizers for the same files;
//! `docs/decisions/0002-tokenizer.md` says how and why.
//!
//! Invariants: encoding and decoding never fail, on any text and any ids, and take time in proportion to n·log n; text
//! becomes a special token only where the caller says [`SpecialTokens::Parse`]. Someone who tampers with a checkpoint's
//! files can change what ids a text has, and nothing else: a set of files that could lose text is refused by
//! [`Tokenizer::new`].

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

/// What becomes of a special token's name in a text: `<|endoftext|>` of GPT-2, `<unk>` of GPT-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialTokens {
    /// It becomes the special token, as in Hugging Face's tokenizers; for text whose author may end a text.
    Parse,
    /// It is text like any other, as in OpenAI's `encoder.py`; for text from someone who may not.
    Escape,
}

/// Tokenizer files that are well-formed do not fit the architecture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// GPT-2 could not encode every text.
    #[error(
        "the vocabulary has no token for the byte {byte:#04x}; GPT-2 needs one for each of the 256 bytes"
    )]
    MissingByte {
        /// The first such byte.
        byte: u8,
    },
    /// GPT-1 could not encode every text.
    #[error("the vocabulary has no `{UNKNOWN}`, which GPT-1 needs for what it has no token for")]
    MissingUnknown,
    /// The library does not take what the tokenizer does beside vocabulary and merges.
    #[error("the tokenizers library refuses a part of the tokenizer: {0}")]
    Part(#[from] serde_json::Error),
    /// The library found another reason.
    #[error("the vocabulary and the merges do not make an encoding: {0}")]
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
    /// The tokenizer of an architecture with these files.
    ///
    /// # Errors
    /// Every variant of [`Error`].
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

    /// Makes the tables that encoding needs; the first text that is encoded does so otherwise.
    pub fn prepare_to_encode(&self) {
        match &self.scheme {
            Scheme::Gpt2(scheme) if scheme.library().is_some() => {}
            Scheme::Gpt2(scheme) => _ = scheme.model(),
            Scheme::Gpt1(_) => {}
        }
    }

    /// The ids of a text. Concatenating texts does not concatenate their ids.
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

    /// The text of ids; ids beyond the vocabulary have none, and bytes that are not UTF-8 become U+FFFD.
    ///
    /// GPT-1's text comes back lower-cased, without accents, and with one space between words.
    pub fn decode(&self, ids: &[u32]) -> String {
        match &self.scheme {
            Scheme::Gpt2(scheme) => scheme.decode(ids),
            Scheme::Gpt1(scheme) => scheme.decode(ids),
        }
    }

    /// Decodes ids that arrive one by one.
    pub fn stream(&self) -> TextStream<'_> {
        TextStream::new(self)
    }

    /// The bytes that a token stands for within a text; `None` beyond the vocabulary.
    pub fn token_bytes(&self, id: u32) -> Option<Cow<'_, [u8]>> {
        match &self.scheme {
            Scheme::Gpt2(scheme) => scheme.bytes(id).map(Cow::Borrowed),
            Scheme::Gpt1(scheme) => scheme.text(id).map(|text| text.into_bytes().into()),
        }
    }

    /// A token as text to show, its broken characters as U+FFFD; `None` beyond the vocabulary.
    pub fn token_text(&self, id: u32) -> Option<String> {
        let bytes = self.token_bytes(id)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether every id stands for the same text as with another tokenizer.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let known = (0..).map_while(|id| self.token_bytes(id));
        let others = (0..).map_while(|id| other.token_bytes(id));
        known.eq(others)
    }

    /// GPT-2's `<|endoftext|>`, where the vocabulary has it; GPT-1 has none.
    pub fn end_of_text(&self) -> Option<u32> {
        let special = self.special.as_ref()?;
        (special.name == END_OF_TEXT).then_some(special.id)
    }

    /// Encodes piece by piece; a piece seen before costs a look at where its ids stand.
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

/// The library's byte-pair model of these files.
///
/// Its cache stays empty: it would live as long as the thread, one for each tokenizer that the thread ever used.
fn model(files: &TokenizerFiles, word_end: Option<&str>) -> Result<BPE, Error> {
    let vocabulary = files.vocabulary();
    // `TokenizerFiles` keeps every id of a merge within the vocabulary.
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
