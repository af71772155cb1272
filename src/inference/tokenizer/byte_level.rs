//! GPT-2's encoding: text is cut into pieces, a piece's bytes are written as 256 printable characters, and merged.
//!
//! Both the pattern and the 256 characters are those of `openai/gpt-2:src/encoder.py`.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;
use tokenizers::Model;
use tokenizers::models::bpe::BPE;

use super::{Error, TokenizerFiles, model};

/// OpenAI's pattern without its `\s+(?!\S)`, which [`pieces`] does by hand: this engine has no look-ahead, and in
/// return takes linear time on any text.
#[expect(clippy::expect_used, reason = "the pattern is a constant")]
static PIECE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+").expect("valid")
});

/// The character that stands for each byte: itself where it is printable, else the next one from U+0100.
static SYMBOLS: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut others = '\u{100}'..;
    std::array::from_fn(|byte| match byte as u8 {
        printable @ (b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) => char::from(printable),
        other => others.next().unwrap_or(char::from(other)),
    })
});

/// The byte that each of [`SYMBOLS`] stands for.
static BYTES: LazyLock<HashMap<char, u8>> =
    LazyLock::new(|| SYMBOLS.iter().copied().zip(0..=255).collect());

#[derive(Debug)]
pub(super) struct ByteLevel {
    model: BPE,
    /// The bytes of each token.
    tokens: Vec<Box<[u8]>>,
}

impl ByteLevel {
    pub(super) fn new(files: &TokenizerFiles) -> Result<Self, Error> {
        let model = model(files, None)?;
        let missing = (0..=255).find(|&byte| {
            let symbol = SYMBOLS[usize::from(byte)];
            model.token_to_id(symbol.encode_utf8(&mut [0; 4])).is_none()
        });
        if let Some(byte) = missing {
            return Err(Error::MissingByte { byte });
        }
        let tokens = files
            .vocabulary()
            .iter()
            .map(|token| bytes(token))
            .collect();
        Ok(Self { model, tokens })
    }

    /// Appends the ids of one of [`pieces`].
    pub(super) fn encode_piece(&self, piece: &str, ids: &mut Vec<u32>) {
        let symbols: String = piece
            .bytes()
            .map(|byte| SYMBOLS[usize::from(byte)])
            .collect();
        // The library fails only for want of an unknown token, and every symbol is known.
        let tokens = self.model.tokenize(&symbols).unwrap_or_default();
        ids.extend(tokens.iter().map(|token| token.id));
    }

    pub(super) fn bytes(&self, id: u32) -> Option<&[u8]> {
        self.tokens.get(id as usize).map(AsRef::as_ref)
    }

    pub(super) fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids
            .iter()
            .filter_map(|&id| self.bytes(id))
            .flatten()
            .copied()
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Cuts a text into the pieces that are encoded by themselves; together they are the text.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let found = PIECE.find_at(text, start)?;
        let mut piece = &text[start..found.end()];
        // `\s+(?!\S)`: a run of white space leaves its last character to the word that follows it.
        if found.end() < text.len()
            && let Some(last) = piece
                .chars()
                .next_back()
                .filter(|last| last.is_whitespace())
            && piece.len() > last.len_utf8()
        {
            piece = &piece[..piece.len() - last.len_utf8()];
        }
        start += piece.len();
        Some(piece)
    })
}

/// The bytes that a token of the vocabulary stands for: those of its symbols or, where a character is none, its UTF-8.
fn bytes(token: &str) -> Box<[u8]> {
    let symbols: Option<Box<[u8]>> = token
        .chars()
        .map(|symbol| BYTES.get(&symbol).copied())
        .collect();
    symbols.unwrap_or_else(|| token.as_bytes().into())
}
