//! A tokenizer's settings beyond vocabulary and merges: added tokens, normalizer, pre-tokenizer, and tokens before and after a text.
//!
//! They are read from `tokenizer.json`, the format of the tokenizers library. Parts that are not in the lists below are refused by name:
//! nothing is ignored silently, and the library receives no part that could fail or lose text while it encodes. An attacker who changes
//! the file can only change how text is encoded; the manifest has its digest.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper};

use super::{TokenizerFiles, TokenizerFilesError};
use crate::checkpoint::python_json::{self as object, shown};

/// Maximum depth of nested `Sequence`s.
const MAX_DEPTH: usize = 4;
/// Longest pattern or replacement, in bytes.
const MAX_PATTERN: usize = 1000;
/// Maximum number of added tokens.
const MAX_ADDED: usize = 10_000;
/// Maximum number of tokens added before and after a text.
const MAX_AROUND: usize = 16;

const NORMALIZERS: [&str; 10] = [
    "BertNormalizer",
    "Lowercase",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Prepend",
    "Replace",
    "Strip",
    "StripAccents",
];
const PRE_TOKENIZERS: [&str; 9] = [
    "BertPreTokenizer",
    "ByteLevel",
    "CharDelimiterSplit",
    "Digits",
    "Punctuation",
    "Split",
    "UnicodeScripts",
    "Whitespace",
    "WhitespaceSplit",
];

/// A token that is matched in a text before all other steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedToken {
    /// The text.
    pub content: String,
    /// Whether it is special: untrusted text is never encoded to it.
    pub special: bool,
    /// Whether it includes preceding white space.
    pub lstrip: bool,
    /// Whether it includes following white space.
    pub rstrip: bool,
    /// Whether it matches only whole words.
    pub single_word: bool,
    /// Whether it is matched in the normalized text.
    pub normalized: bool,
}

impl AddedToken {
    /// A special token with transformers' default flags.
    pub fn special(content: String) -> Self {
        Self { content, special: true, lstrip: false, rstrip: false, single_word: false, normalized: false }
    }

    /// Parses an entry of `added_tokens`, `added_tokens_decoder` or `special_tokens_map.json`.
    pub fn parse(value: &Value) -> Result<Self, TokenizerFilesError> {
        let malformed = || TokenizerFilesError::MalformedPart { part: "added token", found: shown(value) };
        let token = value.as_object().ok_or_else(malformed)?;
        let content = token.get("content").and_then(Value::as_str).ok_or_else(malformed)?;
        let flag = |name: &str, default: bool| match token.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => value.as_bool().ok_or_else(malformed),
        };
        let special = flag("special", false)?;
        Ok(Self {
            content: content.to_owned(),
            special,
            lstrip: flag("lstrip", false)?,
            rstrip: flag("rstrip", false)?,
            single_word: flag("single_word", false)?,
            normalized: flag("normalized", !special)?,
        })
    }

    fn to_json(&self, id: u32) -> Value {
        json!({
            "id": id, "content": self.content, "special": self.special, "lstrip": self.lstrip,
            "rstrip": self.rstrip, "single_word": self.single_word, "normalized": self.normalized,
        })
    }
}

/// A GPT-2 tokenizer's settings beyond vocabulary and merges.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Added tokens; those that the vocabulary does not have get ids in this order.
    pub added: Vec<AddedToken>,
    /// The normalizer, the first step on a text.
    pub normalizer: Option<Value>,
    /// The pre-tokenizer, which splits a text; at least one part of it is `ByteLevel`.
    pub pre_tokenizer: Value,
    /// Tokens before every text.
    pub before: Vec<u32>,
    /// Tokens after every text.
    pub after: Vec<u32>,
    /// Whether a piece that is a token is used without merging.
    pub ignore_merges: bool,
}

/// Returns GPT-2's pre-tokenizer.
pub fn byte_level(add_prefix_space: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true, "use_regex": true})
}

impl Facts {
    /// Returns the ids of the added tokens: from the vocabulary, or following its last.
    pub fn ids(&self, vocabulary: &[String]) -> Vec<u32> {
        let known: HashMap<&str, u32> = vocabulary.iter().map(String::as_str).zip(0..).collect();
        let mut next = vocabulary.len() as u32; // `limits` bound it to a u32
        let mut new: HashMap<&str, u32> = HashMap::new();
        let id =
            |token: &'_ AddedToken| -> u32 { known.get(token.content.as_str()).copied().unwrap_or(u32::MAX) };
        self.added
            .iter()
            .map(|token| match id(token) {
                u32::MAX => *new.entry(token.content.as_str()).or_insert_with(|| {
                    next += 1;
                    next - 1
                }),
                id => id,
            })
            .collect()
    }

    /// Returns the added tokens that the vocabulary does not have, in the order of their ids, which follow its last.
    pub fn new_tokens(&self, vocabulary: &[String]) -> Vec<String> {
        let ids = self.ids(vocabulary);
        let mut new: Vec<(u32, &str)> =
            ids.into_iter().zip(self.added.iter().map(|token| token.content.as_str())).collect();
        new.retain(|(id, _)| *id as usize >= vocabulary.len());
        new.sort_unstable();
        new.dedup();
        new.into_iter().map(|(_, token)| token.to_owned()).collect()
    }

    /// Whether vocabulary and merges alone describe the tokenizer.
    pub fn are_plain(&self, vocabulary: &[String], special: &str) -> bool {
        let is_default = |token: &AddedToken| {
            token.content == special && token.special && !token.lstrip && !token.rstrip && !token.single_word
        };
        let has_special = vocabulary.iter().any(|token| token == special);
        self.normalizer.is_none()
            && !self.ignore_merges
            && self.before.is_empty()
            && self.after.is_empty()
            && is_plain_byte_level(&self.pre_tokenizer)
            && self.added.iter().all(is_default)
            && self.added.is_empty() != has_special
    }

    /// Parses a `tokenizer.json`, except its model.
    ///
    /// # Errors
    /// [`TokenizerFilesError`], with the part that is malformed or not supported.
    pub fn parse(file: &Map<String, Value>) -> Result<Self, TokenizerFilesError> {
        let added = match file.get("added_tokens") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(added)) if added.len() <= MAX_ADDED => {
                added.iter().map(AddedToken::parse).collect::<Result<_, _>>()?
            }
            Some(other) => {
                let found = shown(other);
                return Err(TokenizerFilesError::MalformedPart { part: "list of added tokens", found });
            }
        };
        let normalizer = present(file, "normalizer").cloned();
        if let Some(normalizer) = &normalizer {
            check_part("normalizer", normalizer, 0)?;
        }
        let pre_tokenizer = present(file, "pre_tokenizer").cloned().unwrap_or(Value::Null);
        check_part("pre-tokenizer", &pre_tokenizer, 0)?;
        if !has_byte_level(&pre_tokenizer) {
            let found = format!("{}, without ByteLevel", type_of(&pre_tokenizer));
            return Err(TokenizerFilesError::UnsupportedPart { part: "pre-tokenizer", found });
        }
        match present(file, "decoder") {
            Some(decoder) if type_of(decoder) == "ByteLevel" => {}
            other => {
                let found = other.map_or_else(|| "missing".to_owned(), type_of);
                return Err(TokenizerFilesError::UnsupportedPart { part: "decoder", found });
            }
        }
        let around = SurroundingTokens::parse(present(file, "post_processor"), 0)?;
        let ignore_merges = file
            .get("model")
            .and_then(|model| model.get("ignore_merges"))
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let SurroundingTokens { before, after } = around;
        Ok(Self { added, normalizer, pre_tokenizer, before, after, ignore_merges })
    }

    /// Serializes `tokenizer.json` of the normal form, for the tokenizers library.
    pub fn to_json(&self, files: &TokenizerFiles) -> Value {
        let token = |id: u32| files.vocabulary.get(id as usize).cloned().unwrap_or_default();
        let vocabulary: Map<String, Value> =
            files.vocabulary.iter().cloned().zip((0_u32..).map(Value::from)).collect();
        let merges: Vec<Value> =
            files.merges.iter().map(|&(left, right)| json!([token(left), token(right)])).collect();
        let ids = self.ids(&files.vocabulary);
        let added: Vec<Value> = self.added.iter().zip(ids).map(|(token, id)| token.to_json(id)).collect();
        let special = |id: &u32| json!({"SpecialToken": {"id": id.to_string(), "type_id": 0}});
        let of_special: Map<String, Value> = self
            .before
            .iter()
            .chain(&self.after)
            .map(|id| {
                (id.to_string(), json!({"id": id.to_string(), "ids": [id], "tokens": [id.to_string()]}))
            })
            .collect();
        let single: Vec<Value> = (self.before.iter().map(special))
            .chain([json!({"Sequence": {"id": "A", "type_id": 0}})])
            .chain(self.after.iter().map(special))
            .collect();
        let pair = json!([{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]);
        let post = (!of_special.is_empty()).then(
            || json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": of_special}),
        );
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": self.normalizer,
            "pre_tokenizer": self.pre_tokenizer,
            "post_processor": post,
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                "ignore_merges": self.ignore_merges, "vocab": vocabulary, "merges": merges,
            },
        })
    }

    /// Checks that the tokenizers library accepts the parts, for example that patterns compile.
    ///
    /// # Errors
    /// [`TokenizerFilesError::Library`].
    pub fn check_parts(&self) -> Result<(), TokenizerFilesError> {
        let refused = |part: &'static str| {
            move |error: serde_json::Error| {
                let reason = error.to_string().chars().take(200).collect();
                TokenizerFilesError::Library { part, reason }
            }
        };
        if let Some(normalizer) = &self.normalizer {
            crate::json::from_value::<NormalizerWrapper>(normalizer).map_err(refused("normalizer"))?;
        }
        crate::json::from_value::<PreTokenizerWrapper>(&self.pre_tokenizer)
            .map(drop)
            .map_err(refused("pre-tokenizer"))
    }
}

/// Returns a part of the file unless it is missing or null.
pub fn present<'a>(file: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    file.get(name).filter(|value| !value.is_null())
}

/// A part's `type`, for messages.
pub fn type_of(part: &Value) -> String {
    part.get("type").map_or_else(|| object::kind(part).to_owned(), shown)
}

fn is_plain_byte_level(part: &Value) -> bool {
    let flag = |name: &str, default: bool| part.get(name).and_then(Value::as_bool).unwrap_or(default);
    type_of(part) == "ByteLevel" && !flag("add_prefix_space", true) && flag("use_regex", true)
}

fn has_byte_level(part: &Value) -> bool {
    let parts = part.get("pretokenizers").and_then(Value::as_array);
    type_of(part) == "ByteLevel" || parts.is_some_and(|parts| parts.iter().any(has_byte_level))
}

/// Requires that a part and its components are in the lists of supported ones, which preserve all text.
fn check_part(part: &'static str, value: &Value, depth: usize) -> Result<(), TokenizerFilesError> {
    let (known, list): (&[&str], _) =
        if part == "normalizer" { (&NORMALIZERS, "normalizers") } else { (&PRE_TOKENIZERS, "pretokenizers") };
    let found = type_of(value);
    if found == "Sequence" && depth < MAX_DEPTH {
        let parts = value.get(list).and_then(Value::as_array);
        let parts = parts.ok_or_else(|| TokenizerFilesError::MalformedPart { part, found: shown(value) })?;
        return parts.iter().try_for_each(|value| check_part(part, value, depth + 1));
    }
    if !known.contains(&found.as_str()) {
        return Err(TokenizerFilesError::UnsupportedPart { part, found });
    }
    let texts = ["/pattern/String", "/pattern/Regex", "/content", "/prepend"];
    let longest = texts.iter().filter_map(|path| value.pointer(path)?.as_str()).map(str::len).max();
    // The library loops forever if it replaces an empty pattern.
    let is_empty = ["/pattern/String", "/pattern/Regex"]
        .iter()
        .any(|path| value.pointer(path).and_then(Value::as_str).is_some_and(str::is_empty));
    if longest.is_some_and(|length| length > MAX_PATTERN) || is_empty {
        let found = format!("{found} with a pattern outside of 1 to {MAX_PATTERN} bytes");
        return Err(TokenizerFilesError::UnsupportedPart { part, found });
    }
    Ok(())
}

/// The tokens that a post-processor adds before and after a text.
#[derive(Default)]
struct SurroundingTokens {
    before: Vec<u32>,
    after: Vec<u32>,
}

impl SurroundingTokens {
    fn parse(part: Option<&Value>, depth: usize) -> Result<Self, TokenizerFilesError> {
        let Some(part) = part else {
            return Ok(Self::default());
        };
        let malformed =
            || TokenizerFilesError::MalformedPart { part: "post-processor", found: type_of(part) };
        let mut around = Self::default();
        match type_of(part).as_str() {
            // It only changes offsets.
            "ByteLevel" => {}
            "RobertaProcessing" | "BertProcessing" => {
                let id = |name: &str| {
                    let id = part.get(name).and_then(|pair| pair.get(1)).and_then(Value::as_u64);
                    id.and_then(|id| u32::try_from(id).ok()).ok_or_else(malformed)
                };
                around.before.push(id("cls")?);
                around.after.push(id("sep")?);
            }
            "TemplateProcessing" => around.read_template(part).ok_or_else(malformed)?,
            "Sequence" if depth < MAX_DEPTH => {
                let parts = part.get("processors").and_then(Value::as_array).ok_or_else(malformed)?;
                for part in parts {
                    let outer = Self::parse(Some(part), depth + 1)?;
                    around.before.splice(0..0, outer.before);
                    around.after.extend(outer.after);
                }
            }
            _ => {
                let found = type_of(part);
                return Err(TokenizerFilesError::UnsupportedPart { part: "post-processor", found });
            }
        }
        if around.before.len() + around.after.len() > MAX_AROUND {
            return Err(malformed());
        }
        Ok(around)
    }

    /// Reads the tokens before and after `A`, which must occur once.
    fn read_template(&mut self, part: &Value) -> Option<()> {
        let mut seen = false;
        for piece in part.get("single")?.as_array()? {
            if let Some(special) = piece.pointer("/SpecialToken/id").and_then(Value::as_str) {
                let ids = part.get("special_tokens")?.get(special)?.get("ids")?.as_array()?;
                let ids =
                    ids.iter().map(|id| u32::try_from(id.as_u64()?).ok()).collect::<Option<Vec<u32>>>()?;
                if seen { self.after.extend(ids) } else { self.before.extend(ids) }
            } else if !seen && piece.pointer("/Sequence/id").and_then(Value::as_str) == Some("A") {
                seen = true;
            } else {
                return None;
            }
        }
        seen.then_some(())
    }
}

/// Requires embeddings for the tokens before and after every text, and refuses empty added tokens. An added token without an embedding is
/// an error only when a text contains it.
pub fn check_tokens(facts: &Facts, files: &TokenizerFiles, max: usize) -> Result<(), TokenizerFilesError> {
    if let Some(&id) = facts.before.iter().chain(&facts.after).find(|id| **id as usize >= max) {
        return Err(TokenizerFilesError::TokenBeyond {
            token: "the post-processor's".to_owned(),
            id: id.into(),
            max,
        });
    }
    let ids = facts.ids(&files.vocabulary);
    for (token, id) in facts.added.iter().zip(ids) {
        if token.content.is_empty() || token.content.len() > super::TOKEN_BYTES {
            return Err(TokenizerFilesError::TokenLength { id: id.into(), length: token.content.len() });
        }
    }
    Ok(())
}
