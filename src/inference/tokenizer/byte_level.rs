//! GPT-2's encoding: splits text into pieces, maps the bytes of a piece to 256 printable characters, and merges them.
//!
//! Both the pattern and the 256 characters are those of `openai/gpt-2:src/encoder.py`.

use std::sync::{LazyLock, OnceLock};

use regex::Regex;
use tokenizers::Model;
use tokenizers::models::bpe::BPE;

use super::library::Library;
use super::{Error, TokenizerFiles, model};

/// OpenAI's pattern without its `\s+(?!\S)`, which [`pieces`] implements: this regex engine has no look-ahead, but takes linear time on
/// any text.
#[expect(clippy::expect_used, reason = "the pattern is a constant")]
static PIECE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+").expect("valid")
});

/// The character for each byte: the byte itself if it is printable, otherwise the next character from U+0100.
static SYMBOLS: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut others = '\u{100}'..;
    std::array::from_fn(|byte| match byte as u8 {
        printable @ (b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) => char::from(printable),
        other => others.next().unwrap_or(char::from(other)),
    })
});

/// The character after the last of [`SYMBOLS`].
const SYMBOLS_END: usize = 0x144;

/// The byte of each character in [`SYMBOLS`].
static BYTES: LazyLock<[Option<u8>; SYMBOLS_END]> = LazyLock::new(|| {
    let mut bytes = [None; SYMBOLS_END];
    for (byte, &symbol) in (0..=255).zip(SYMBOLS.iter()) {
        bytes[symbol as usize] = Some(byte);
    }
    bytes
});

#[derive(Debug)]
pub(super) struct ByteLevel {
    files: TokenizerFiles,
    /// Built when the first text is encoded, which takes as long as loading a small checkpoint.
    model: OnceLock<BPE>,
    tokens: TokenBytes,
    /// Encodes instead of `model` if the tokenizer does more than GPT-2's.
    library: Option<Box<Library>>,
}

/// The bytes of all tokens in one allocation: fifty thousand small ones would take longer than a token of a small model.
#[derive(Debug)]
struct TokenBytes {
    bytes: Vec<u8>,
    /// The beginning of each token, and the end of the last.
    bounds: Vec<usize>,
}

impl TokenBytes {
    fn decode<'t>(vocabulary: impl Iterator<Item = &'t str>) -> Self {
        let mut all = Self { bytes: Vec::new(), bounds: vec![0] };
        for token in vocabulary {
            let before = all.bytes.len();
            for symbol in token.chars() {
                let Some(byte) = byte(symbol) else {
                    // If a character is not a symbol, the token is its own UTF-8.
                    all.bytes.truncate(before);
                    all.bytes.extend_from_slice(token.as_bytes());
                    break;
                };
                all.bytes.push(byte);
            }
            all.bounds.push(all.bytes.len());
        }
        all
    }

    fn get(&self, id: u32) -> Option<&[u8]> {
        let [start, end] = *self.bounds.get(id as usize..)?.first_chunk()?;
        self.bytes.get(start..end)
    }
}

impl ByteLevel {
    pub(super) fn new(files: TokenizerFiles) -> Result<Self, Error> {
        let mut is_there = [false; 256];
        for token in files.vocabulary() {
            let mut symbols = token.chars();
            if let (Some(symbol), None) = (symbols.next(), symbols.next())
                && let Some(byte) = byte(symbol)
            {
                is_there[usize::from(byte)] = true;
            }
        }
        if let Some(byte) = (0..=255).find(|&byte| !is_there[usize::from(byte)]) {
            return Err(Error::MissingByte { byte });
        }
        let library = files.facts().map(|facts| Library::new(&files, facts)).transpose()?.map(Box::new);
        let known = files.vocabulary().iter().map(String::as_str);
        let added = files.facts().map(|facts| facts.new_tokens(files.vocabulary())).unwrap_or_default();
        let tokens = TokenBytes::decode(known.chain(added.iter().map(String::as_str)));
        Ok(Self { files, model: OnceLock::new(), tokens, library })
    }

    /// The library's model.
    #[expect(
        clippy::expect_used,
        reason = "it fails only for merges outside the vocabulary, and `TokenizerFiles` has none"
    )]
    pub(super) fn model(&self) -> &BPE {
        self.model.get_or_init(|| model(&self.files, None).expect("files that were checked"))
    }

    /// The library's tokenizer, if it encodes instead of this module.
    pub(super) fn library(&self) -> Option<&Library> {
        self.library.as_deref()
    }

    /// Appends the ids of one piece.
    pub(super) fn encode_piece(&self, piece: &str, ids: &mut Vec<u32>) {
        let symbols: String = piece.bytes().map(|byte| SYMBOLS[usize::from(byte)]).collect();
        // The library fails only if there is no unknown token, and every symbol is known.
        let tokens = self.model().tokenize(&symbols).unwrap_or_default();
        ids.extend(tokens.iter().map(|token| token.id));
    }

    pub(super) fn bytes(&self, id: u32) -> Option<&[u8]> {
        self.tokens.get(id)
    }

    pub(super) fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().filter_map(|&id| self.bytes(id)).flatten().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Splits a text into pieces, which are encoded separately. Their concatenation is the text.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let found = PIECE.find_at(text, start)?;
        let mut piece = &text[start..found.end()];
        // `\s+(?!\S)`: the last character of white space belongs to the word after it.
        if found.end() < text.len()
            && let Some(last) = piece.chars().next_back().filter(|last| last.is_whitespace())
            && piece.len() > last.len_utf8()
        {
            piece = &piece[..piece.len() - last.len_utf8()];
        }
        start += piece.len();
        Some(piece)
    })
}

/// The byte of a character, if it is one of [`SYMBOLS`].
fn byte(symbol: char) -> Option<u8> {
    BYTES.get(symbol as usize).copied().flatten()
}
