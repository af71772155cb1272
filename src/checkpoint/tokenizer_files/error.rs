//! Errors of tokenizer files.

use std::fmt;

use super::super::config::limits;
use super::super::python_json::JsonError;
use super::{FILE_BYTES, TOKEN_BYTES};

/// A tokenizer file.
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

/// Tokenizer files are invalid or not supported. Tokens in messages are quoted, escaped and shortened; lines and columns count from 1.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum TokenizerFilesError {
    /// The file is empty.
    #[error("the {file} file is empty")]
    Empty { file: TokenizerFile },
    /// The file exceeds the limit.
    #[error("the {file} file has {size} bytes; at most {FILE_BYTES} are accepted")]
    TooLarge { file: TokenizerFile, size: usize },
    /// The file begins with a byte order mark.
    #[error("the {file} file begins with a byte order mark")]
    ByteOrderMark { file: TokenizerFile },
    /// The file is not UTF-8.
    #[error("the {file} file is not UTF-8 at byte {offset}")]
    NotUtf8 { file: TokenizerFile, offset: usize },
    /// The vocabulary is not a JSON object from token to id; column 0 stands for the whole file.
    #[error("the vocabulary is not a JSON object from token to id, at line {line} column {column}")]
    MalformedVocabulary { line: usize, column: usize },
    /// There are more tokens than embeddings.
    #[error("the vocabulary has {found} tokens, more than the configuration's {max}")]
    TooManyTokens { found: usize, max: usize },
    /// A token is empty or too long.
    #[error("token {id} of the vocabulary has {length} bytes, outside 1..={TOKEN_BYTES}")]
    TokenLength { id: u64, length: usize },
    /// A token occurs twice.
    #[error("duplicate token {token} in the vocabulary")]
    RepeatedToken { token: String },
    /// An id is not below the number of tokens.
    #[error("token {token} has id {id}, but the ids of {tokens} tokens must be 0 to {}", tokens - 1)]
    IdOutOfRange { token: String, id: u64, tokens: usize },
    /// An id occurs twice.
    #[error("tokens {first} and {second} both have id {id}")]
    RepeatedId { id: u64, first: String, second: String },
    /// A line is not a merge.
    #[error("line {line} of the merges is not two tokens separated by one space")]
    MalformedMerge { line: usize },
    /// There are too many merges.
    #[error("line {line} of the merges exceeds the maximum of {} merges", limits::VOCABULARY)]
    TooManyMerges { line: usize },
    /// A part or the result of a merge is not a token.
    #[error("line {line} of the merges requires {token}, which is not in the vocabulary")]
    UnknownToken { line: usize, token: String },
    /// `tokenizer.json` is not a JSON object.
    #[error("not a tokenizer: {0}")]
    MalformedTokenizer(#[from] JsonError),
    /// A part of `tokenizer.json` is malformed.
    #[error("the {part} is malformed: {found}")]
    MalformedPart { part: &'static str, found: String },
    /// A part of the tokenizer changes the encoding in a way that is not implemented.
    #[error("the {part} is {found}, which is not supported")]
    UnsupportedPart { part: &'static str, found: String },
    /// The tokenizer's class requires a missing file.
    #[error("the tokenizer's class {class} requires tokenizer.json, which is missing")]
    MissingTokenizer { class: String },
    /// The tokenizers library refuses a part.
    #[error("the tokenizers library refuses the {part}: {reason}")]
    Library { part: &'static str, reason: String },
    /// A token has no embedding.
    #[error("{token} token has id {id}, but the model has {max} embeddings")]
    TokenBeyond { token: String, id: u64, max: usize },
    /// `tokenizer.json` of the normal form contradicts the other files.
    #[error("its vocabulary or merges differ from vocab.json or merges.txt")]
    Disagrees,
    /// A pair is merged twice.
    #[error("line {line} of the merges repeats line {first}")]
    RepeatedMerge { line: usize, first: usize },
}

impl TokenizerFilesError {
    /// Returns the file at fault.
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
