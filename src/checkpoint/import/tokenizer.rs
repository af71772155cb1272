//! Reads a published tokenizer as transformers does, and converts it to the normal form.
//!
//! `tokenizer_class` determines the rule: the model's own class uses vocabulary and merges, preferably from `tokenizer.json`, and
//! rebuilds the rest from `tokenizer_config.json`; `PreTrainedTokenizerFast` (now `TokenizersBackend`) uses `tokenizer.json` unchanged.
//! Everything else is refused by name. See `docs/decisions/0022-what-imports.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::super::config::{Architecture, ModelConfig};
use super::super::python_json::{self, JsonError};
use super::super::tokenizer_files::facts::{AddedToken, Facts, byte_level, present, type_of};
use super::super::tokenizer_files::{self, ModelBytes, TokenizerFiles, TokenizerFilesError};
use super::super::{Error, ForeignFormat, bounded, foreign};
use super::notes::Note;

const TOKENIZER: &str = "tokenizer.json";
const SETTINGS: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";
const ADDED_TOKENS: &str = "added_tokens.json";

/// The named special tokens of transformers, in the order in which it adds them.
const NAMED: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
/// Its lists of further special tokens.
const EXTRA: [&str; 2] = ["extra_special_tokens", "additional_special_tokens"];

/// A tokenizer in the normal form.
#[derive(Debug, Default)]
pub(super) struct PublishedTokenizer {
    pub(super) vocabulary: Vec<u8>,
    pub(super) merges: Vec<u8>,
    /// `tokenizer.json`, if vocabulary and merges do not describe the tokenizer completely.
    pub(super) tokenizer: Option<Vec<u8>>,
    /// The files that were read.
    pub(super) files: Vec<PathBuf>,
    pub(super) notes: Vec<Note>,
}

/// The rule by which a tokenizer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The model's own class: vocabulary and merges; the rest is rebuilt.
    Rebuilt,
    /// The tokenizers library: `tokenizer.json` unchanged.
    AsItIs,
}

/// The tokenizer files in a Hugging Face folder.
struct Source<'a> {
    folder: &'a Path,
    config: &'a ModelConfig,
    tokenizer: Option<Map<String, Value>>,
    settings: Map<String, Value>,
    special: Map<String, Value>,
    added: Map<String, Value>,
    files: Vec<PathBuf>,
}

impl PublishedTokenizer {
    /// Reads only a vocabulary and merges, as OpenAI published them.
    pub(super) fn read_files(
        config: &ModelConfig,
        vocabulary_path: PathBuf,
        merges_path: PathBuf,
    ) -> Result<Self, Error> {
        let vocabulary = bounded::read(&vocabulary_path, bounded::TOKENIZER)?;
        let merges = bounded::read(&merges_path, bounded::TOKENIZER)?;
        TokenizerFiles::parse(&vocabulary, &merges, config.vocabulary).map_err(|source| {
            let path = match source.file() {
                tokenizer_files::TokenizerFile::Merges => &merges_path,
                _ => &vocabulary_path,
            };
            Error::Tokenizer { path: path.clone(), source }
        })?;
        let files = vec![vocabulary_path, merges_path];
        Ok(Self { vocabulary, merges, files, ..Self::default() })
    }

    /// Reads the tokenizer of a Hugging Face folder; `names` is its listing.
    pub(super) fn read_folder(
        folder: &Path,
        names: &[String],
        config: &ModelConfig,
        class_of_model: Option<&str>,
    ) -> Result<Self, Error> {
        let source = Source::open(folder, names, config)?;
        let is_there = |name: &str| names.iter().any(|known| known == name);
        if ![TOKENIZER, "vocab.json", "merges.txt"].into_iter().any(is_there) {
            return Err(source.no_tokenizer(names));
        }
        let class = source.class(class_of_model);
        let rule = source.rule(&class)?;
        let mut published = source.model(names)?;
        let files = TokenizerFiles::parse(&published.vocabulary, &published.merges, config.vocabulary)
            .map_err(|error| source.refused(error))?;
        let mut facts = source.facts(rule).map_err(|error| source.refused(error))?;
        if rule == Rule::Rebuilt {
            let unused = source.unused(&facts);
            if !unused.is_empty() {
                published.notes.push(Note::TokenizerFactUnused { class, facts: unused });
            }
        }
        source.drop_default(&mut facts, &files);
        let ids = facts.ids(files.vocabulary()).into_iter().zip(&facts.added);
        let beyond = ids.filter(|(id, _)| *id as usize >= config.vocabulary);
        let unreachable: Vec<String> = beyond.map(|(_, token)| token.content.clone()).collect();
        if !unreachable.is_empty() {
            published.notes.push(Note::AddedTokenUnreachable { tokens: unreachable });
        }
        source.finish(published, files, facts)
    }
}

impl<'a> Source<'a> {
    fn open(folder: &'a Path, names: &[String], config: &'a ModelConfig) -> Result<Self, Error> {
        let mut files = Vec::new();
        let mut object = |name: &str| -> Result<Option<Map<String, Value>>, Error> {
            if !names.iter().any(|known| known == name) {
                return Ok(None);
            }
            let path = folder.join(name);
            let bytes = bounded::read(&path, bounded::TOKENIZER)?;
            let object = python_json::parse_object(&bytes).map_err(|source| malformed(&path, source))?;
            files.push(path);
            Ok(Some(object))
        };
        let tokenizer = object(TOKENIZER)?;
        let settings = object(SETTINGS)?.unwrap_or_default();
        let special = object(SPECIAL_TOKENS)?.unwrap_or_default();
        let added = object(ADDED_TOKENS)?.unwrap_or_default();
        Ok(Self { folder, config, tokenizer, settings, special, added, files })
    }

    fn refused(&self, source: TokenizerFilesError) -> Error {
        use tokenizer_files::TokenizerFile as F;
        let name = match source.file() {
            _ if self.tokenizer.is_some() => TOKENIZER,
            F::Vocabulary => "vocab.json",
            F::Merges => "merges.txt",
            F::Tokenizer => SETTINGS,
        };
        Error::Tokenizer { path: self.folder.join(name), source }
    }

    fn own_class(&self) -> &'static str {
        match self.config.architecture {
            Architecture::Gpt2 => "GPT2Tokenizer",
            Architecture::Gpt1 => "OpenAIGPTTokenizer",
        }
    }

    fn class(&self, of_model: Option<&str>) -> String {
        let named = self.settings.get("tokenizer_class").and_then(Value::as_str).or(of_model);
        let named = named.unwrap_or(self.own_class());
        named.strip_suffix("Fast").filter(|base| *base != "PreTrainedTokenizer").unwrap_or(named).to_owned()
    }

    fn rule(&self, class: &str) -> Result<Rule, Error> {
        let unsupported = |found: String| {
            self.refused(TokenizerFilesError::UnsupportedPart { part: "tokenizer's class", found })
        };
        if present(&self.settings, "split_special_tokens").and_then(Value::as_bool) == Some(true) {
            return Err(unsupported(format!("{class} with `split_special_tokens`")));
        }
        match class {
            _ if class == self.own_class() => Ok(Rule::Rebuilt),
            "PreTrainedTokenizer" | "PreTrainedTokenizerFast" | "TokenizersBackend" => {
                if self.tokenizer.is_none() {
                    return Err(
                        self.refused(TokenizerFilesError::MissingTokenizer { class: class.to_owned() })
                    );
                }
                Ok(Rule::AsItIs)
            }
            other => Err(unsupported(other.chars().take(80).flat_map(char::escape_debug).collect())),
        }
    }

    /// Returns the vocabulary and merges of `tokenizer.json`, with the bytes of the separate files if those are equal.
    fn model(&self, names: &[String]) -> Result<PublishedTokenizer, Error> {
        let has = |name: &str| names.iter().any(|known| known == name);
        let (vocabulary, merges) = (self.folder.join("vocab.json"), self.folder.join("merges.txt"));
        let Some(file) = &self.tokenizer else {
            let mut published = PublishedTokenizer::read_files(self.config, vocabulary, merges)?;
            published.files.extend(self.files.iter().cloned());
            return Ok(published);
        };
        let ModelBytes { vocabulary: vocabulary_bytes, merges: merges_bytes } =
            tokenizer_files::model_bytes(file).map_err(|error| self.refused(error))?;
        let own = TokenizerFiles::parse(&vocabulary_bytes, &merges_bytes, self.config.vocabulary)
            .map_err(|error| self.refused(error))?;
        let mut published = PublishedTokenizer {
            vocabulary: vocabulary_bytes,
            merges: merges_bytes,
            files: self.files.clone(),
            ..PublishedTokenizer::default()
        };
        if has("vocab.json") && has("merges.txt") {
            let beside = PublishedTokenizer::read_files(self.config, vocabulary, merges)?;
            let said = TokenizerFiles::parse(&beside.vocabulary, &beside.merges, self.config.vocabulary);
            if said.is_ok_and(|said| said == own) {
                (published.vocabulary, published.merges) = (beside.vocabulary, beside.merges);
            } else {
                published.notes.push(Note::TokenizerFilesDiffer);
            }
            published.files.splice(0..0, beside.files);
        }
        Ok(published)
    }

    /// Makes the error for a folder without a supported tokenizer.
    fn no_tokenizer(&self, names: &[String]) -> Error {
        let is_tokenizer = |foreign: &ForeignFormat| {
            matches!(
                foreign,
                ForeignFormat::BertVocabulary | ForeignFormat::SentencePiece | ForeignFormat::Tiktoken
            )
        };
        let found =
            names.iter().filter_map(|name| Some((name, foreign::recognize_name(name).filter(is_tokenizer)?)));
        match found.min_by_key(|(name, _)| *name) {
            Some((name, found)) => Error::OtherFormat { path: self.folder.join(name), found },
            None => Error::NoTokenizer { folder: self.folder.to_owned() },
        }
    }

    fn facts(&self, rule: Rule) -> Result<Facts, TokenizerFilesError> {
        let mut facts = match (rule, &self.tokenizer) {
            (Rule::AsItIs, Some(file)) => {
                refuse_model_options(file)?;
                Facts::parse(file)?
            }
            (_, file) => {
                let add_prefix_space =
                    present(&self.settings, "add_prefix_space").and_then(Value::as_bool).unwrap_or(false);
                let around = file.as_ref().map(post_processor).transpose()?;
                let (before, after) =
                    around.map_or_else(|| self.around(), |facts| Ok((facts.before, facts.after)))?;
                Facts {
                    added: Vec::new(),
                    normalizer: None,
                    pre_tokenizer: byte_level(add_prefix_space),
                    before,
                    after,
                    ignore_merges: false,
                }
            }
        };
        self.add_tokens(&mut facts, rule)?;
        Ok(facts)
    }

    /// Returns the tokens that `add_bos_token` and `add_eos_token` add to a text; transformers reads them only if there is no
    /// `tokenizer.json`.
    fn around(&self) -> Result<(Vec<u32>, Vec<u32>), TokenizerFilesError> {
        let wants = |flag: &str| present(&self.settings, flag).and_then(Value::as_bool).unwrap_or(false);
        let of = |flag: &str, name: &'static str| -> Result<Vec<u32>, TokenizerFilesError> {
            let Some(token) = self.named(name)?.filter(|_| wants(flag)) else {
                return Ok(Vec::new());
            };
            let vocabulary = bounded::read(&self.folder.join("vocab.json"), bounded::TOKENIZER).ok();
            let vocabulary = vocabulary.and_then(|bytes| python_json::parse_object(&bytes).ok());
            let id = vocabulary.and_then(|vocabulary| vocabulary.get(&token.content)?.as_u64());
            let id = id.and_then(|id| u32::try_from(id).ok());
            let found = format!("`{}`, which is not in the vocabulary", token.content.escape_debug());
            id.map(|id| vec![id])
                .ok_or(TokenizerFilesError::UnsupportedPart { part: "token around a text", found })
        };
        Ok((of("add_bos_token", "bos_token")?, of("add_eos_token", "eos_token")?))
    }

    /// Returns a named special token: from the settings, else from the map of special tokens, else the class's default.
    fn named(&self, name: &str) -> Result<Option<AddedToken>, TokenizerFilesError> {
        let with_decoder = self.settings.contains_key("added_tokens_decoder");
        let of_map = self.special.get(name).filter(|_| !with_decoder);
        let value = of_map.or_else(|| self.settings.get(name));
        match value {
            Some(value) => special_token(value),
            None if self.defaults().contains(&name) => {
                let content = match self.config.architecture {
                    Architecture::Gpt2 => "<|endoftext|>",
                    Architecture::Gpt1 => "<unk>",
                };
                Ok(Some(AddedToken::special(content.to_owned())))
            }
            None => Ok(None),
        }
    }

    /// The named tokens that the model's own class has by default.
    fn defaults(&self) -> &'static [&'static str] {
        match self.config.architecture {
            _ if self.is_as_it_is() => &[],
            Architecture::Gpt2 => &["bos_token", "eos_token", "unk_token"],
            Architecture::Gpt1 => &["unk_token"],
        }
    }

    fn is_as_it_is(&self) -> bool {
        let class = self.settings.get("tokenizer_class").and_then(Value::as_str).unwrap_or_default();
        class.starts_with("PreTrainedTokenizer") || class == "TokenizersBackend"
    }

    /// Adds tokens in transformers' order: listed ones by id, then named ones, then extra ones. Of equal tokens, the first counts.
    fn add_tokens(&self, facts: &mut Facts, rule: Rule) -> Result<(), TokenizerFilesError> {
        let mut listed: BTreeMap<u64, AddedToken> = BTreeMap::new();
        if let Some(decoder) = present(&self.settings, "added_tokens_decoder").and_then(Value::as_object) {
            for (id, token) in decoder {
                let malformed =
                    || TokenizerFilesError::MalformedPart { part: "id of an added token", found: id.clone() };
                listed.insert(id.parse().map_err(|_| malformed())?, AddedToken::parse(token)?);
            }
        } else {
            self.list_old_tokens(&mut listed)?;
        }
        let mut named = Vec::new();
        for name in NAMED {
            named.extend(self.named(name)?);
        }
        for list in EXTRA {
            for source in [&self.settings, &self.special] {
                named.extend(extra_tokens(source.get(list))?);
            }
        }
        for mut token in listed.into_values() {
            token.special |= named.iter().any(|named| named.content == token.content);
            push(&mut facts.added, token);
        }
        for mut token in named {
            token.special = true;
            match facts.added.iter_mut().find(|known| known.content == token.content) {
                // The library keeps the token's flags and only marks it as special.
                Some(known) if rule == Rule::AsItIs => known.special = true,
                Some(_) => {}
                None => push(&mut facts.added, token),
            }
        }
        Ok(())
    }

    /// Reads `added_tokens.json`, and over it the list in `tokenizer.json`.
    fn list_old_tokens(&self, listed: &mut BTreeMap<u64, AddedToken>) -> Result<(), TokenizerFilesError> {
        for (content, id) in &self.added {
            let found = || python_json::shown(id);
            let malformed =
                || TokenizerFilesError::MalformedPart { part: "id of an added token", found: found() };
            let token =
                AddedToken { special: false, normalized: true, ..AddedToken::special(content.clone()) };
            listed.insert(id.as_u64().ok_or_else(malformed)?, token);
        }
        let of_file = self.tokenizer.as_ref().and_then(|file| file.get("added_tokens")?.as_array());
        for token in of_file.into_iter().flatten() {
            let id = token.get("id").and_then(Value::as_u64);
            let malformed = || TokenizerFilesError::MalformedPart {
                part: "added token",
                found: python_json::shown(token),
            };
            listed.insert(id.ok_or_else(malformed)?, AddedToken::parse(token)?);
        }
        Ok(())
    }

    /// Removes the class's default special token if no file names it, the vocabulary does not have it and the model has no embedding for
    /// it: the model was not trained with it.
    fn drop_default(&self, facts: &mut Facts, files: &TokenizerFiles) {
        let is_named = |token: &AddedToken| {
            let own = [&self.settings, &self.special, &self.added].into_iter();
            let texts = own.flat_map(|object| object.values()).any(|value| *value == *token.content);
            let of_file = self.tokenizer.as_ref().and_then(|file| file.get("added_tokens")?.as_array());
            let listed = of_file
                .into_iter()
                .flatten()
                .any(|listed| listed.get("content") == Some(&token.content.clone().into()));
            texts || listed || self.settings.contains_key("added_tokens_decoder")
        };
        let own = AddedToken::special("<|endoftext|>".to_owned());
        let mut ids = facts.ids(files.vocabulary()).into_iter();
        facts.added.retain(|token| {
            let beyond = ids.next().is_some_and(|id| id as usize >= self.config.vocabulary);
            !beyond || *token != own || is_named(token)
        });
    }

    /// Lists the parts of `tokenizer.json` that the model's own class does not use.
    fn unused(&self, facts: &Facts) -> Vec<String> {
        let Some(file) = &self.tokenizer else {
            return Vec::new();
        };
        let mut unused = Vec::new();
        if let Some(normalizer) = present(file, "normalizer")
            && self.config.architecture == Architecture::Gpt2
        {
            unused.push(format!("the normalizer {}", type_of(normalizer)));
        }
        if let Some(pre_tokenizer) = present(file, "pre_tokenizer")
            && self.config.architecture == Architecture::Gpt2
        {
            let prefix =
                |part: &Value| part.get("add_prefix_space").and_then(Value::as_bool).unwrap_or(false);
            if type_of(pre_tokenizer) != "ByteLevel" {
                unused.push(format!("the pre-tokenizer {}", type_of(pre_tokenizer)));
            } else if prefix(pre_tokenizer) != prefix(&facts.pre_tokenizer) {
                unused.push(format!("add_prefix_space = {}", prefix(pre_tokenizer)));
            }
        }
        let model = file.get("model").and_then(Value::as_object);
        for option in ["dropout", "byte_fallback", "ignore_merges"] {
            let value = model.and_then(|model| present(model, option));
            if let Some(value) =
                value.filter(|value| **value != Value::Bool(false) && value.as_f64() != Some(0.0))
            {
                unused.push(format!("{option} = {}", python_json::shown(value)));
            }
        }
        unused
    }

    /// Writes `tokenizer.json` if vocabulary and merges do not describe the tokenizer completely.
    fn finish(
        &self,
        mut published: PublishedTokenizer,
        files: TokenizerFiles,
        facts: Facts,
    ) -> Result<PublishedTokenizer, Error> {
        let (special, is_gpt1) = match self.config.architecture {
            Architecture::Gpt2 => ("<|endoftext|>", false),
            Architecture::Gpt1 => ("<unk>", true),
        };
        if facts.are_plain(files.vocabulary(), special) {
            return Ok(published);
        }
        if is_gpt1 {
            let odd = facts.added.iter().find(|token| token.content != special);
            let found = odd.map_or_else(
                || "changed".to_owned(),
                |token| python_json::shown(&Value::from(token.content.as_str())),
            );
            let part = if odd.is_some() { "added token" } else { "tokenizer of GPT-1" };
            return Err(self.refused(TokenizerFilesError::UnsupportedPart { part, found }));
        }
        let tokenizer = facts.to_json(&files);
        files.with_facts(facts, self.config.vocabulary).map_err(|error| self.refused(error))?;
        published.tokenizer = Some(format!("{tokenizer}\n").into_bytes());
        Ok(published)
    }
}

fn malformed(path: &Path, source: JsonError) -> Error {
    Error::Tokenizer { path: path.to_owned(), source: source.into() }
}

/// Parses a special token, given by its text or with flags; null is none.
fn special_token(value: &Value) -> Result<Option<AddedToken>, TokenizerFilesError> {
    match value {
        Value::Null => Ok(None),
        Value::String(content) => Ok(Some(AddedToken::special(content.clone()))),
        token => {
            let mut token = AddedToken::parse(token)?;
            token.special = true;
            Ok(Some(token))
        }
    }
}

/// Parses a list of tokens, or an object from names to tokens.
fn extra_tokens(value: Option<&Value>) -> Result<Vec<AddedToken>, TokenizerFilesError> {
    let values: Vec<&Value> = match value {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(Value::Object(named)) => named.values().collect(),
        _ => Vec::new(),
    };
    let tokens: Vec<_> = values.into_iter().map(special_token).collect::<Result<_, _>>()?;
    Ok(tokens.into_iter().flatten().collect())
}

fn push(added: &mut Vec<AddedToken>, token: AddedToken) {
    if !token.content.is_empty() && !added.iter().any(|known| known.content == token.content) {
        added.push(token);
    }
}

/// Reads only the post-processor of `tokenizer.json`.
fn post_processor(file: &Map<String, Value>) -> Result<Facts, TokenizerFilesError> {
    let mut only = Map::new();
    only.insert("pre_tokenizer".to_owned(), byte_level(false));
    only.insert("decoder".to_owned(), byte_level(false));
    only.insert("post_processor".to_owned(), file.get("post_processor").cloned().unwrap_or(Value::Null));
    Facts::parse(&only)
}

/// Refuses options of the tokenizers library's BPE model that are not supported.
fn refuse_model_options(file: &Map<String, Value>) -> Result<(), TokenizerFilesError> {
    let model = file.get("model").and_then(Value::as_object);
    for option in ["dropout", "byte_fallback", "continuing_subword_prefix", "end_of_word_suffix"] {
        let Some(value) = model.and_then(|model| present(model, option)) else { continue };
        if *value != Value::Bool(false) && value.as_f64() != Some(0.0) && value.as_str() != Some("") {
            let found = format!("BPE with {option} = {}", python_json::shown(value));
            return Err(TokenizerFilesError::UnsupportedPart { part: "model", found });
        }
    }
    Ok(())
}
