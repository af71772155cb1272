//! Why tokenizer files are refused.

use std::fmt;

use super::super::config::limits;
use super::super::python_json::JsonError;
use super::{FILE_BYTES, TOKEN_BYTES};

/// One of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenizerFile {
    /// `vocab.json` or `encoder.json`.
    Vocabulary,
    /// `merges.txt` or `vocab.bpe`.
    Merges,
    /// `tokenizer.json`.
    Tokenizer,
}

impl fmt::Display for TokenizerFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vocabulary => "vocabulary",
            Self::Merges => "merges",
            Self::Tokenizer => "tokenizer",
        })
    }
}

/// Tokenizer files cannot be used. Tokens are quoted with control characters escaped, and cut when long.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerFilesError {
    /// Nothing in the file.
    #[error("the {file} file is empty")]
    Empty {
        /// Which file.
        file: TokenizerFile,
    },
    /// More bytes than any vocabulary needs.
    #[error("the {file} file is {size} bytes, more than {FILE_BYTES}")]
    TooLarge {
        /// Which file.
        file: TokenizerFile,
        /// Its size in bytes.
        size: usize,
    },
    /// A byte order mark, which the tokenizers of both GPTs do not have.
    #[error("the {file} file begins with a byte order mark")]
    ByteOrderMark {
        /// Which file.
        file: TokenizerFile,
    },
    /// Not text.
    #[error("the {file} file is not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// Which file.
        file: TokenizerFile,
        /// The first byte that is not.
        offset: usize,
    },
    /// Not a JSON object from token to id.
    #[error("the vocabulary is no JSON object from token to id, at line {line} column {column}")]
    MalformedVocabulary {
        /// Counted from 1.
        line: usize,
        /// Counted from 1; 0 where the whole is at fault.
        column: usize,
    },
    /// More tokens than the model has embeddings.
    #[error("the vocabulary has {found} tokens, more than the configuration's {max}")]
    TooManyTokens {
        /// Tokens in the file.
        found: usize,
        /// Tokens of the configuration.
        max: usize,
    },
    /// An empty or overlong token.
    #[error("token {id} of the vocabulary is {length} bytes long, outside 1..={TOKEN_BYTES}")]
    TokenLength {
        /// Its id.
        id: u64,
        /// Its length in bytes.
        length: usize,
    },
    /// The same token twice.
    #[error("token {token} is in the vocabulary twice")]
    RepeatedToken {
        /// The token, quoted.
        token: String,
    },
    /// An id beyond the number of tokens, so that a smaller one is missing.
    #[error("token {token} has id {id}, but the ids of {tokens} tokens must be 0 to {}", tokens - 1)]
    IdOutOfRange {
        /// The token, quoted.
        token: String,
        /// Its id.
        id: u64,
        /// How many tokens there are.
        tokens: usize,
    },
    /// The same id twice.
    #[error("tokens {first} and {second} both have id {id}")]
    RepeatedId {
        /// The id.
        id: u64,
        /// One token, quoted.
        first: String,
        /// The other.
        second: String,
    },
    /// A line that is not a merge.
    #[error("line {line} of the merges is not two tokens with one space between them")]
    MalformedMerge {
        /// Counted from 1.
        line: usize,
    },
    /// More merges than tokens they could make.
    #[error("line {line} of the merges is one merge more than {}", limits::VOCABULARY)]
    TooManyMerges {
        /// Counted from 1.
        line: usize,
    },
    /// A merge of or into something that is no token.
    #[error("line {line} of the merges needs {token}, which is not in the vocabulary")]
    UnknownToken {
        /// Counted from 1.
        line: usize,
        /// The part or the product that is missing, quoted.
        token: String,
    },
    /// `tokenizer.json` is no JSON object.
    #[error("not a tokenizer: {0}")]
    MalformedTokenizer(#[from] JsonError),
    /// A part of `tokenizer.json` is not what it must be.
    #[error("the {part} is malformed: {found}")]
    MalformedPart {
        /// Which part.
        part: &'static str,
        /// What it is.
        found: String,
    },
    /// A part of the tokenizer that would change ids in a way that is not implemented.
    #[error("the {part} is {found}, which is not supported")]
    UnsupportedPart {
        /// Which part.
        part: &'static str,
        /// What it is.
        found: String,
    },
    /// A tokenizer's class takes everything from a file that is not there.
    #[error("the tokenizer's class is {class}, which needs tokenizer.json, and there is none")]
    MissingTokenizer {
        /// The class.
        class: String,
    },
    /// The tokenizers library does not take a part.
    #[error("the tokenizers library refuses the {part}: {reason}")]
    Library {
        /// Which part.
        part: &'static str,
        /// What it says.
        reason: String,
    },
    /// A token without an embedding.
    #[error("{token} token has id {id}, but the model has {max} embeddings")]
    TokenBeyond {
        /// The token, quoted.
        token: String,
        /// Its id.
        id: u64,
        /// How many there are.
        max: usize,
    },
    /// `tokenizer.json` of the normal form says something else than the files beside it.
    #[error("its vocabulary or merges are not those of the files beside it")]
    Disagrees,
    /// A pair merged before.
    #[error("line {line} of the merges repeats line {first}")]
    RepeatedMerge {
        /// Counted from 1.
        line: usize,
        /// Where the pair stands first.
        first: usize,
    },
}

impl TokenizerFilesError {
    /// The file at fault.
    pub fn file(&self) -> TokenizerFile {
        match self {
            Self::Empty { file }
            | Self::TooLarge { file, .. }
            | Self::ByteOrderMark { file }
            | Self::NotUtf8 { file, .. } => *file,
            Self::MalformedVocabulary { .. }
            | Self::TooManyTokens { .. }
            | Self::TokenLength { .. }
            | Self::RepeatedToken { .. }
            | Self::IdOutOfRange { .. }
            | Self::RepeatedId { .. } => TokenizerFile::Vocabulary,
            Self::MalformedMerge { .. }
            | Self::TooManyMerges { .. }
            | Self::UnknownToken { .. }
            | Self::RepeatedMerge { .. } => TokenizerFile::Merges,
            Self::MalformedTokenizer(_)
            | Self::MalformedPart { .. }
            | Self::UnsupportedPart { .. }
            | Self::MissingTokenizer { .. }
            | Self::Library { .. }
            | Self::TokenBeyond { .. }
            | Self::Disagrees => TokenizerFile::Tokenizer,
        }
    }
}
