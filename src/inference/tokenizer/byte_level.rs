//! GPT-2's encoding: text is cut into pieces, a piece's bytes are written as 256 printable characters, and merged.
//!
//! Both the pattern and the 256 characters are those of `openai/gpt-2:src/encoder.py`.

use std::sync::{LazyLock, OnceLock};

use regex::Regex;
use tokenizers::Model;
use tokenizers::models::bpe::BPE;

use super::library::Library;
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

/// What follows the last of [`SYMBOLS`].
const SYMBOLS_END: usize = 0x144;

/// The byte that each of [`SYMBOLS`] stands for, by the character's number.
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
    /// Made of the files when the first text is encoded: that takes about as long as loading a small checkpoint.
    model: OnceLock<BPE>,
    tokens: TokenBytes,
    /// Encodes in this room's place, where the tokenizer does more than GPT-2's own.
    library: Option<Box<Library>>,
}

/// The bytes of each token, one behind the other: fifty thousand small allocations take longer than a small model's token.
#[derive(Debug)]
struct TokenBytes {
    bytes: Vec<u8>,
    /// Where each begins, and the end of the last.
    bounds: Vec<usize>,
}

impl TokenBytes {
    fn of<'t>(vocabulary: impl Iterator<Item = &'t str>) -> Self {
        let mut all = Self { bytes: Vec::new(), bounds: vec![0] };
        for token in vocabulary {
            let before = all.bytes.len();
            for symbol in token.chars() {
                let Some(byte) = byte(symbol) else {
                    // Where a character is no symbol, the token stands for its UTF-8.
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
        let tokens = TokenBytes::of(known.chain(added.iter().map(String::as_str)));
        Ok(Self { files, model: OnceLock::new(), tokens, library })
    }

    /// The library's model.
    #[expect(
        clippy::expect_used,
        reason = "it refuses merges outside of the vocabulary, of which `TokenizerFiles` has none"
    )]
    pub(super) fn model(&self) -> &BPE {
        self.model.get_or_init(|| model(&self.files, None).expect("files that were checked"))
    }

    /// What encodes whole texts, where this room does not.
    pub(super) fn library(&self) -> Option<&Library> {
        self.library.as_deref()
    }

    /// Appends the ids of one of [`pieces`].
    pub(super) fn encode_piece(&self, piece: &str, ids: &mut Vec<u32>) {
        let symbols: String = piece.bytes().map(|byte| SYMBOLS[usize::from(byte)]).collect();
        // The library fails only for want of an unknown token, and every symbol is known.
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

/// Cuts a text into the pieces that are encoded by themselves; together they are the text.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let found = PIECE.find_at(text, start)?;
        let mut piece = &text[start..found.end()];
        // `\s+(?!\S)`: a run of white space leaves its last character to the word that follows it.
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

/// The byte that a character stands for, if it is one of [`SYMBOLS`].
fn byte(symbol: char) -> Option<u8> {
    BYTES.get(symbol as usize).copied().flatten()
}
