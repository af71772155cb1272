//! A checkpoint's tokenizer files: `vocab.json` and `merges.txt`, which OpenAI published as `encoder.json` and `vocab.bpe`.
//!
//! The vocabulary is a JSON object from token to id. The merges are one per line, two tokens separated by a space, in the order of
//! priority of byte-pair encoding (Sennrich et al., 2016), after an optional line that starts with `#version`.
//!
//! Invariants of [`TokenizerFiles`]: ids are 0, 1, 2 … without a gap, each token is unique and has 1 to [`TOKEN_BYTES`] bytes, no pair is
//! merged twice, and both parts and the result of each merge are tokens. Errors name the token or line. An attacker who changes these
//! files changes how text is encoded, so the manifest has their digests.

mod error;
pub mod facts;

use std::collections::hash_map::Entry;
use std::fmt;
use std::path::Path;

use ahash::{HashMap, HashMapExt as _};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::Error;
use serde_json::{Map, Value};

use super::config::{Architecture, ModelConfig, limits};
use super::{manifest, python_json};
pub use error::{TokenizerFile, TokenizerFilesError};
pub use facts::Facts;

/// Largest accepted vocabulary or merges file, in bytes; GPT-2's vocabulary has 1 MB.
pub const FILE_BYTES: usize = 1 << 25;
/// Longest token, in bytes of UTF-8; GPT-2's longest has 256.
pub const TOKEN_BYTES: usize = 1 << 10;

/// A consistent vocabulary and its merges.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizerFiles {
    vocabulary: Vec<String>,
    merges: Vec<(u32, u32)>,
    facts: Option<Facts>,
}

/// The bytes of a checkpoint's tokenizer files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenizerBytes<'a> {
    pub(crate) vocabulary: &'a [u8],
    pub(crate) merges: &'a [u8],
    pub(crate) tokenizer: Option<&'a [u8]>,
}

impl TokenizerFiles {
    /// Parses both files for a model with `max_tokens` embeddings; fewer tokens are allowed, since embeddings may be padded.
    ///
    /// # Errors
    /// Every variant of [`TokenizerFilesError`].
    pub fn parse(vocabulary: &[u8], merges: &[u8], max_tokens: usize) -> Result<Self, TokenizerFilesError> {
        let json = text(TokenizerFile::Vocabulary, vocabulary)?;
        let lines = text(TokenizerFile::Merges, merges)?;
        let vocabulary = parse_vocabulary(json, max_tokens.min(limits::VOCABULARY))?;
        let merges = parse_merges(lines, &vocabulary)?;
        Ok(Self { vocabulary, merges, facts: None })
    }

    /// Parses the files of a folder in the normal form; errors name the file.
    pub(crate) fn parse_folder(
        folder: &Path,
        config: &ModelConfig,
        bytes: TokenizerBytes<'_>,
    ) -> Result<Self, Error> {
        Self::parse_all(config, bytes).map_err(|source| {
            let name = match source.file() {
                TokenizerFile::Vocabulary => manifest::VOCABULARY,
                TokenizerFile::Merges => manifest::MERGES,
                TokenizerFile::Tokenizer => manifest::TOKENIZER,
            };
            Error::Tokenizer { path: folder.join(name), source }
        })
    }

    fn parse_all(config: &ModelConfig, bytes: TokenizerBytes<'_>) -> Result<Self, TokenizerFilesError> {
        let files = Self::parse(bytes.vocabulary, bytes.merges, config.vocabulary)?;
        match bytes.tokenizer {
            None => Ok(files),
            Some(_) if config.architecture == Architecture::Gpt1 => {
                Err(TokenizerFilesError::UnsupportedPart {
                    part: "model",
                    found: "GPT-1's with settings of its own".to_owned(),
                })
            }
            Some(tokenizer) => {
                let file = parse_tokenizer(tokenizer)?;
                if Self::parse_model(&file, config.vocabulary)? != files {
                    return Err(TokenizerFilesError::Disagrees);
                }
                files.with_facts(Facts::parse(&file)?, config.vocabulary)
            }
        }
    }

    /// Parses the vocabulary and merges of a `tokenizer.json`, for a model with `max_tokens` embeddings.
    ///
    /// # Errors
    /// [`TokenizerFilesError`].
    pub fn parse_model(file: &Map<String, Value>, max_tokens: usize) -> Result<Self, TokenizerFilesError> {
        let model = model_bytes(file)?;
        Self::parse(&model.vocabulary, &model.merges, max_tokens)
    }

    /// Adds settings, after checking that the tokenizers library accepts them.
    ///
    /// # Errors
    /// [`TokenizerFilesError`].
    pub fn with_facts(self, facts: Facts, max_tokens: usize) -> Result<Self, TokenizerFilesError> {
        facts::check_tokens(&facts, &self, max_tokens)?;
        facts.check_parts()?;
        Ok(Self { facts: Some(facts), ..self })
    }

    /// Returns the settings beyond vocabulary and merges, if they differ from GPT-2's.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_ref()
    }

    /// Returns the tokens; a token's index is its id.
    pub fn vocabulary(&self) -> &[String] {
        &self.vocabulary
    }

    /// Returns the merges as pairs of ids, in order of priority.
    pub fn merges(&self) -> &[(u32, u32)] {
        &self.merges
    }
}

/// `vocab.json` and `merges.txt` as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelBytes {
    /// `vocab.json`.
    pub vocabulary: Vec<u8>,
    /// `merges.txt`.
    pub merges: Vec<u8>,
}

/// Parses `tokenizer.json` to a JSON object.
///
/// # Errors
/// [`TokenizerFilesError::TooLarge`], [`TokenizerFilesError::MalformedTokenizer`].
pub fn parse_tokenizer(bytes: &[u8]) -> Result<Map<String, Value>, TokenizerFilesError> {
    if bytes.len() > FILE_BYTES {
        return Err(TokenizerFilesError::TooLarge { file: TokenizerFile::Tokenizer, size: bytes.len() });
    }
    Ok(python_json::parse_object(bytes)?)
}

/// Extracts the vocabulary and merges of a `tokenizer.json` as separate files; only byte-pair encoding has both.
///
/// # Errors
/// [`TokenizerFilesError::UnsupportedPart`], [`TokenizerFilesError::MalformedPart`].
pub fn model_bytes(file: &Map<String, Value>) -> Result<ModelBytes, TokenizerFilesError> {
    let malformed =
        |found: &str| TokenizerFilesError::MalformedPart { part: "model", found: found.to_owned() };
    let model = file.get("model").and_then(Value::as_object).ok_or_else(|| malformed("it is missing"))?;
    match model.get("type") {
        Some(Value::String(kind)) if kind == "BPE" => {}
        None | Some(Value::Null) if model.contains_key("merges") => {}
        other => {
            let found = other.map_or_else(|| "of no type".to_owned(), python_json::shown);
            return Err(TokenizerFilesError::UnsupportedPart { part: "model", found });
        }
    }
    let vocabulary = model.get("vocab").filter(|vocabulary| vocabulary.is_object());
    let vocabulary =
        vocabulary.ok_or_else(|| malformed("its vocabulary is not an object"))?.to_string().into_bytes();
    let mut merges = b"#version: 0.2\n".to_vec();
    for merge in
        model.get("merges").and_then(Value::as_array).ok_or_else(|| malformed("its merges are not a list"))?
    {
        match merge {
            Value::String(line) => merges.extend(line.as_bytes()),
            Value::Array(pair) => match pair.as_slice() {
                [Value::String(left), Value::String(right)] => {
                    merges.extend(format!("{left} {right}").as_bytes())
                }
                _ => return Err(malformed("a merge is not two tokens")),
            },
            _ => return Err(malformed("a merge is not two tokens")),
        }
        merges.push(b'\n');
    }
    Ok(ModelBytes { vocabulary, merges })
}

fn text(file: TokenizerFile, bytes: &[u8]) -> Result<&str, TokenizerFilesError> {
    if bytes.is_empty() {
        return Err(TokenizerFilesError::Empty { file });
    }
    if bytes.len() > FILE_BYTES {
        return Err(TokenizerFilesError::TooLarge { file, size: bytes.len() });
    }
    if [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"].iter().any(|mark| bytes.starts_with(mark)) {
        return Err(TokenizerFilesError::ByteOrderMark { file });
    }
    std::str::from_utf8(bytes)
        .map_err(|error| TokenizerFilesError::NotUtf8 { file, offset: error.valid_up_to() })
}

fn parse_vocabulary(json: &str, max: usize) -> Result<Vec<String>, TokenizerFilesError> {
    let Entries { kept, found } =
        // Omit the parser's message, which may quote long input.
        crate::json::from_str_with_own_key_check(json).map_err(|error| TokenizerFilesError::MalformedVocabulary {
            line: error.line(),
            column: error.column(),
        })?;
    if found > max {
        return Err(TokenizerFilesError::TooManyTokens { found, max });
    }
    let mut by_id: Vec<Option<String>> = vec![None; kept.len()];
    for (token, id) in kept {
        if !(1..=TOKEN_BYTES).contains(&token.len()) {
            return Err(TokenizerFilesError::TokenLength { id, length: token.len() });
        }
        let slot = usize::try_from(id).ok().and_then(|index| by_id.get_mut(index));
        match slot {
            None => {
                return Err(TokenizerFilesError::IdOutOfRange { token: quoted(&token), id, tokens: found });
            }
            Some(Some(first)) => {
                return Err(TokenizerFilesError::RepeatedId {
                    id,
                    first: quoted(first),
                    second: quoted(&token),
                });
            }
            Some(empty) => *empty = Some(token),
        }
    }
    // As many tokens as slots and no slot filled twice: no slot is empty.
    Ok(by_id.into_iter().flatten().collect())
}

fn parse_merges(text: &str, vocabulary: &[String]) -> Result<Vec<(u32, u32)>, TokenizerFilesError> {
    let ids = ids_by_token(vocabulary)?;
    let mut merges = Vec::with_capacity(vocabulary.len());
    let mut seen: HashMap<(u32, u32), usize> = HashMap::with_capacity(vocabulary.len());
    let mut product = String::new();
    for (index, content) in text.lines().enumerate() {
        let line = index + 1;
        if line == 1 && content.starts_with("#version") {
            continue;
        }
        let (left, right) = content
            .split_once(' ')
            .filter(|(left, right)| !left.is_empty() && !right.is_empty() && !right.contains(' '))
            .ok_or(TokenizerFilesError::MalformedMerge { line })?;
        if merges.len() == limits::VOCABULARY {
            return Err(TokenizerFilesError::TooManyMerges { line });
        }
        product.clear();
        product.push_str(left);
        product.push_str(right);
        let id = |token: &str| {
            ids.get(token)
                .copied()
                .ok_or_else(|| TokenizerFilesError::UnknownToken { line, token: quoted(token) })
        };
        let pair = (id(left)?, id(right)?);
        id(&product)?;
        match seen.entry(pair) {
            Entry::Occupied(entry) => {
                let first = *entry.get();
                return Err(TokenizerFilesError::RepeatedMerge { line, first });
            }
            Entry::Vacant(entry) => entry.insert(line),
        };
        merges.push(pair);
    }
    Ok(merges)
}

fn ids_by_token(vocabulary: &[String]) -> Result<HashMap<&str, u32>, TokenizerFilesError> {
    let mut ids = HashMap::with_capacity(vocabulary.len());
    // `limits` bound the count to a u32.
    for (token, id) in vocabulary.iter().zip(0..) {
        if ids.insert(token.as_str(), id).is_some() {
            return Err(TokenizerFilesError::RepeatedToken { token: quoted(token) });
        }
    }
    Ok(ids)
}

/// Formats a token for messages: quoted, control characters escaped, at most 40 characters.
fn quoted(token: &str) -> String {
    let cut: String = token.chars().take(40).collect();
    let more = if cut.len() < token.len() { "…" } else { "" };
    format!("{cut:?}{more}")
}

/// The entries of the vocabulary in file order, duplicates included, for the check that refuses them.
struct Entries {
    /// At most [`limits::VOCABULARY`] entries.
    kept: Vec<(String, u64)>,
    /// The number of all entries.
    found: usize,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InFileOrder;
        impl<'de> Visitor<'de> for InFileOrder {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object from token to id")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut kept = Vec::new();
                while kept.len() < limits::VOCABULARY
                    && let Some(entry) = map.next_entry()?
                {
                    kept.push(entry);
                }
                let mut found = kept.len();
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    found += 1;
                }
                Ok(Entries { kept, found })
            }
        }
        deserializer.deserialize_map(InFileOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCABULARY: &str = r#"{"a":0,"b":1,"ab":2,"\u001b[31m":3}"#;
    const MERGES: &str = "#version: 0.2\na b\n";

    fn parse(vocabulary: &str, merges: &str) -> Result<TokenizerFiles, TokenizerFilesError> {
        TokenizerFiles::parse(vocabulary.as_bytes(), merges.as_bytes(), 4)
    }

    fn refusal(vocabulary: &str, merges: &str) -> String {
        let error = parse(vocabulary, merges).unwrap_err();
        format!("{}: {error}", error.file())
    }

    #[test]
    fn tokens_stand_at_their_ids_and_merges_in_their_order() {
        let files = parse(r#"{"ba":3,"b":1, "a":0,"ab":2}"#, "b a\r\na b").unwrap();
        assert_eq!(files.vocabulary(), ["a", "b", "ab", "ba"]);
        assert_eq!(files.merges(), [(1, 0), (0, 1)]);
    }

    #[test]
    fn fewer_tokens_than_the_configuration_has_are_fine() {
        let files = TokenizerFiles::parse(VOCABULARY.as_bytes(), MERGES.as_bytes(), 5).unwrap();
        assert_eq!(files.vocabulary().len(), 4);
    }

    #[test]
    fn a_refused_vocabulary_names_the_token() {
        let long = "x".repeat(TOKEN_BYTES + 1);
        let changed = |from: &str, to: &str| {
            let vocabulary = VOCABULARY.replace(from, to);
            assert_ne!(vocabulary, VOCABULARY);
            refusal(&vocabulary, MERGES)
        };
        insta::assert_snapshot!([
            refusal("", MERGES),
            changed(VOCABULARY, "[1]"),
            changed("{", "{{"),
            changed("3}", "-3}"),
            changed("3}", "3"),
            changed("3}", "[[[]]]}"),
            changed("3}", "3,\"c\":4}"),
            changed("3}", "4}"),
            changed("3}", "18446744073709551615}"),
            changed("3}", "2}"),
            changed("\"b\"", "\"a\""),
            changed("\"b\"", "\"\""),
            changed("\"b\"", &format!("\"{long}\"")),
        ].join("\n"), @r#"
        vocabulary: the vocabulary file is empty
        vocabulary: the vocabulary is not a JSON object from token to id, at line 1 column 0
        vocabulary: the vocabulary is not a JSON object from token to id, at line 1 column 2
        vocabulary: the vocabulary is not a JSON object from token to id, at line 1 column 35
        vocabulary: the vocabulary is not a JSON object from token to id, at line 1 column 34
        vocabulary: the vocabulary is not a JSON object from token to id, at line 1 column 33
        vocabulary: the vocabulary has 5 tokens, more than the configuration's 4
        vocabulary: token "\u{1b}[31m" has id 4, but the ids of 4 tokens must be 0 to 3
        vocabulary: token "\u{1b}[31m" has id 18446744073709551615, but the ids of 4 tokens must be 0 to 3
        vocabulary: tokens "ab" and "\u{1b}[31m" both have id 2
        vocabulary: duplicate token "a" in the vocabulary
        vocabulary: token 1 of the vocabulary has 0 bytes, outside 1..=1024
        vocabulary: token 1 of the vocabulary has 1025 bytes, outside 1..=1024
        "#);
    }

    #[test]
    fn refused_merges_name_the_line() {
        let changed = |to: &str| refusal(VOCABULARY, &MERGES.replace("a b", to));
        insta::assert_snapshot!([
            refusal(VOCABULARY, ""),
            changed("a"),
            changed("a b "),
            changed(" a b"),
            changed("a  b"),
            changed("\na b"),
            changed("a b\n\n"),
            changed("a c"),
            changed("b a"),
            changed("a b\na b"),
            changed("a b\n#version: 0.2"),
        ].join("\n"), @r##"
        merges: the merges file is empty
        merges: line 2 of the merges is not two tokens separated by one space
        merges: line 2 of the merges is not two tokens separated by one space
        merges: line 2 of the merges is not two tokens separated by one space
        merges: line 2 of the merges is not two tokens separated by one space
        merges: line 2 of the merges is not two tokens separated by one space
        merges: line 3 of the merges is not two tokens separated by one space
        merges: line 2 of the merges requires "c", which is not in the vocabulary
        merges: line 2 of the merges requires "ba", which is not in the vocabulary
        merges: line 3 of the merges repeats line 2
        merges: line 3 of the merges requires "#version:", which is not in the vocabulary
        "##);
    }

    #[test]
    fn files_that_are_no_text_or_too_large_are_refused_before_parsing() {
        let error = |vocabulary: &[u8], merges: &[u8]| {
            TokenizerFiles::parse(vocabulary, merges, 4).unwrap_err().to_string()
        };
        let large = vec![b' '; FILE_BYTES + 1];
        insta::assert_snapshot!([
            error(b"{\"\xff\":0}", b"a b"),
            error(VOCABULARY.as_bytes(), b"a \xc3"),
            error(&large, b"a b"),
            error(VOCABULARY.as_bytes(), &large),
        ].join("\n"), @"
        the vocabulary file is not UTF-8 at byte 2
        the merges file is not UTF-8 at byte 2
        the vocabulary file has 33554433 bytes; at most 33554432 are accepted
        the merges file has 33554433 bytes; at most 33554432 are accepted
        ");
    }

    #[test]
    fn no_configuration_raises_the_bound_on_tokens() {
        let entries: Vec<String> = (0..=limits::VOCABULARY).map(|id| format!("\"{id}\":{id}")).collect();
        let vocabulary = format!("{{{}}}", entries.join(","));
        let error = TokenizerFiles::parse(vocabulary.as_bytes(), MERGES.as_bytes(), usize::MAX).unwrap_err();
        insta::assert_snapshot!(error, @"the vocabulary has 1048577 tokens, more than the configuration's 1048576");
    }
}
