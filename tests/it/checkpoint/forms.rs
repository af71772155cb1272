//! Checkpoints in the forms that people have them, beside what Hugging Face transformers answers for the same files.
//!
//! `fixtures/people/*/transformers.json` holds transformers 5.23's answers: logits in f32, ids of texts, or that it refuses. Ids in
//! this file's own tables are transformers', too, asked with the same files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::*;
use portcullis::checkpoint::config::ModelConfig;
use portcullis::checkpoint::{Checkpoint, ImportOutcome, ImportRequest, ImportSource, import};
use portcullis::inference::tokenizer::{SpecialTokens, Tokenizer};
use portcullis::inference::{Arithmetic, LoadOptions, Model, Precision};
use portcullis::progress::NoProgress;
use serde_json::{Map, Value, json};

/// A checkpoint that was imported, and the folder that it lies in.
struct Form {
    _folder: tempfile::TempDir,
    source: PathBuf,
    imported: ImportOutcome,
}

impl Form {
    fn of(case: &str) -> Self {
        Self::edited(case, |_| {})
    }

    /// Imports a case once `edit` has changed its folder.
    fn edited(case: &str, edit: impl FnOnce(&Path)) -> Self {
        let folder = workplace();
        let source = folder.path().join("source");
        copy(&fixture("people").join(case), &source);
        edit(&source);
        let request = ImportRequest {
            checkpoint: "mine".parse().unwrap(),
            source: ImportSource::Folder(source.clone()),
            destination: folder.path().join("imported"),
            unofficial: false,
        };
        let imported = import(&request, &NoProgress).unwrap_or_else(|error| panic!("{case}: {error}"));
        Self { _folder: folder, source, imported }
    }

    fn checkpoint(&self) -> &Checkpoint {
        &self.imported.checkpoint
    }

    fn config(&self) -> &ModelConfig {
        self.checkpoint().config()
    }

    fn logits(&self, ids: &[u32], precision: Option<Precision>, arithmetic: Arithmetic) -> Vec<f32> {
        let options = LoadOptions { precision, arithmetic, threads: Some(2), ..LoadOptions::default() };
        let weights = self.checkpoint().weights().unwrap();
        let model = Model::load(self.config(), &weights, &options, &NoProgress).unwrap();
        model.forward(ids, &mut model.cache(ids.len()).unwrap()).unwrap()
    }

    fn tokenizer(&self) -> Tokenizer {
        let files = self.checkpoint().tokenizer_files().unwrap();
        Tokenizer::new(self.config().architecture, files).unwrap()
    }

    fn ids(&self, text: &str) -> Vec<u32> {
        self.tokenizer().encode(text, SpecialTokens::Parse)
    }

    fn notes(&self) -> Vec<String> {
        self.imported.notes.iter().map(ToString::to_string).collect()
    }
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn answers(case: &str) -> Value {
    json_of(&fixture("people").join(case).join("transformers.json"))
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn token_ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Changes an object in a JSON file, which need not be there.
fn edit_json(path: &Path, edit: impl FnOnce(&mut Map<String, Value>)) {
    let mut object = if path.exists() { json_of(path) } else { json!({}) };
    edit(object.as_object_mut().unwrap());
    fs::write(path, object.to_string()).unwrap();
}

fn set(source: &Path, file: &str, pairs: &Value) {
    let pairs = pairs.as_object().unwrap().clone();
    edit_json(&source.join(file), |object| object.extend(pairs));
}

const LOADED: [&str; 15] = [
    "a01-inverse-layer",
    "a03-noscale",
    "a04-gelu",
    "a04-quick_gelu",
    "a04-relu",
    "a10-score",
    "a12-mixed-norms-f32",
    "a13-extra-i64",
    "a13-f64one",
    "a14-prefix-module",
    "b01-v5-tokjson-only",
    "b03-v4-added",
    "b07-prefix-space",
    "b17-lower",
    "f02-tf-adam",
];

#[test]
fn what_transformers_loads_loads_with_its_logits_and_ids() {
    for case in LOADED {
        let form = Form::of(case);
        let answers = answers(case);
        // transformers makes random weights of names under `module.`, and does not read TensorFlow; it has read the same weights
        // under other names.
        let reference = match case {
            "a14-prefix-module" => self::answers("a10-score")["logits"].clone(),
            "f02-tf-adam" => {
                let golden = json_of(&fixture("tf-bundle/golden.json"))["cases"][0].clone();
                json!({"ids": golden["prompt"], "last_logits": golden["last_logits"]})
            }
            _ => answers["logits"].clone(),
        };
        let (ids, expected) = (token_ids(&reference["ids"]), numbers(&reference["last_logits"]));
        for arithmetic in [Arithmetic::Native, Arithmetic::Candle] {
            let found = form.logits(&ids, Some(Precision::F32), arithmetic);
            let off = distance(&found, &expected);
            assert!(off < 1e-4, "{case}, {arithmetic:?}: off by {off}");
        }
        for tokens in answers["tokens"].as_array().into_iter().flatten() {
            let text = tokens["text"].as_str().unwrap();
            assert_eq!(form.ids(text), token_ids(&tokens["ids"]), "{case}: {text:?}");
        }
        let report =
            portcullis::checkpoint::verify(&form.source.with_file_name("imported"), &NoProgress).unwrap();
        assert!(report.is_sound() && report.strangers.is_empty(), "{case}: {report:?}");
    }
}

#[test]
fn every_precision_computes_scales_and_activations() {
    let off = |case: &str, precision: Precision| {
        let expected = numbers(&answers(case)["logits"]["last_logits"]);
        distance(&Form::of(case).logits(&[10, 20, 30], Some(precision), Arithmetic::Native), &expected)
    };
    for precision in [Precision::F16, Precision::BF16, Precision::Q8, Precision::Q4] {
        // Rounding costs about as much as it does in a model with the usual scale and activation.
        let usual = off("a10-score", precision);
        for case in ["a01-inverse-layer", "a03-noscale", "a04-gelu", "a04-quick_gelu", "a04-relu"] {
            let off = off(case, precision);
            assert!(off < 2.5 * usual, "{case} in {precision}: off by {off}, and {usual} is usual");
        }
    }
}

#[test]
fn what_is_left_out_is_said() {
    let notes = |case: &str| format!("{case}: {}", Form::of(case).notes().join("; "));
    let cases = [
        "a10-score",
        "a12-mixed-norms-f32",
        "a13-extra-i64",
        "a13-f64one",
        "b03-v4-added",
        "b17-lower",
        "f02-tf-adam",
    ];
    insta::assert_snapshot!(cases.map(notes).join("\n"), @"
    a10-score: left out score.weight: a head that does not predict the next token
    a12-mixed-norms-f32: stored every tensor as F32: the file mixes F16, F32
    a13-extra-i64: 
    a13-f64one: stored every tensor as F32: the file mixes F16, F64
    b03-v4-added: 
    b17-lower: tokenizer.json has the normalizer Lowercase, which GPT2Tokenizer ignores in transformers and here; the tokenizers library does not
    f02-tf-adam: left out beta1_power, beta2_power, model/ln_f/g/Adam, model/ln_f/g/Adam_1: training state, not weights
    ");
    let edited = Form::edited("a10-score", |source| {
        set(source, "config.json", &json!({"eos_token_id": [50256, 7], "bos_token_id": 50256}));
        set(source, "generation_config.json", &json!({"eos_token_id": [9, 8], "repetition_penalty": 1.3}));
        edit_json(&source.join("config.json"), |config| _ = config.remove("n_head"));
        set(source, "config.json", &json!({"num_attention_heads": 4}));
    });
    assert_eq!((edited.config().end_tokens.as_slice(), edited.config().begin_token), (&[9, 8][..], None));
    insta::assert_snapshot!(edited.notes().join("\n"), @"
    generation_config.json sets `repetition_penalty`, which is ignored: `run` takes its settings from the command line
    left out score.weight: a head that does not predict the next token
    ignored the begin or end token 50256: it is not in the vocabulary
    ");
}

#[test]
fn names_and_numbers_of_a_configuration_are_those_of_transformers() {
    let expected = numbers(&answers("a10-score")["logits"]["last_logits"]);
    let form = Form::edited("a10-score", |source| {
        let path = source.join("config.json");
        edit_json(&path, |config| {
            for (name, alias) in [
                ("n_embd", "hidden_size"),
                ("n_head", "num_attention_heads"),
                ("n_layer", "num_hidden_layers"),
                ("n_positions", "max_position_embeddings"),
            ] {
                let value = config.remove(name).unwrap();
                config.insert(alias.to_owned(), value);
            }
            config.insert("eos_token_id".to_owned(), json!(50256));
            config.remove("bos_token_id");
        });
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen('{', "{\"summary_scale\": NaN, \"a\": [-Infinity, Infinity],", 1))
            .unwrap();
    });
    let found = form.logits(&[10, 20, 30], Some(Precision::F32), Arithmetic::Native);
    assert!(distance(&found, &expected) < 1e-4);
    assert_eq!((form.config().end_tokens.as_slice(), form.config().begin_token), (&[][..], None));
}

/// A tokenizer as someone saved it: how the folder is changed, and what transformers says of two texts.
type Saved = (&'static str, fn(&Path), [&'static [u32]; 2]);

const AND: &str = "AND 1984";
const MIXED: &str = "x <|endoftext|>gatekeeper <|pad|>";

fn as_it_is(source: &Path) {
    set(source, "tokenizer_config.json", &json!({"tokenizer_class": "PreTrainedTokenizerFast"}));
}

fn tokenizer(source: &Path, edit: impl FnOnce(&mut Map<String, Value>)) {
    edit_json(&source.join("tokenizer.json"), edit);
}

fn with_digits(source: &Path) {
    tokenizer(source, |file| {
        let parts = json!([{"type": "Digits", "individual_digits": true}, file["pre_tokenizer"]]);
        file["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": parts});
    });
}

fn with_begin(source: &Path) {
    let special =
        json!({"<|endoftext|>": {"id": "<|endoftext|>", "ids": [511], "tokens": ["<|endoftext|>"]}});
    let single = json!([{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]);
    let template =
        json!({"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": special});
    tokenizer(source, |file| file["post_processor"] = template);
}

const PLAIN_MIXED: &[u32] = &[87, 220, 511, 70, 378, 365, 68, 79, 263, 220, 27, 91, 79, 324, 91, 29];
const PLAIN_AND: &[u32] = &[32, 45, 35, 352, 24, 23, 19];

#[test]
#[expect(clippy::too_many_lines, reason = "a table, or what is printed")]
fn a_tokenizer_gives_the_ids_that_it_gives_in_transformers() {
    let saved: [Saved; 11] = [
        (
            "b17-lower",
            as_it_is,
            [
                &[392, 352, 24, 23, 19],
                &[
                    87, 220, 27, 91, 437, 78, 69, 83, 68, 87, 83, 91, 29, 70, 378, 365, 68, 79, 263, 220, 27,
                    91, 79, 324, 91, 29,
                ],
            ],
        ),
        (
            "b17-lower",
            |source| fs::remove_file(source.join("tokenizer_config.json")).unwrap(),
            [PLAIN_AND, PLAIN_MIXED],
        ),
        ("b03-v4-added", |_| {}, [PLAIN_AND, &[87, 220, 511, 514, 220, 512]]),
        (
            "b01-v5-tokjson-only",
            |source| {
                tokenizer(source, |file| {
                    file["added_tokens"].as_array_mut().unwrap().push(json!({"id": 512, "content": "gatekeeper",
                        "single_word": false, "lstrip": true, "rstrip": true, "normalized": true, "special": false}));
                })
            },
            [PLAIN_AND, &[87, 220, 511, 512, 27, 91, 79, 324, 91, 29]],
        ),
        (
            "b01-v5-tokjson-only",
            |source| {
                let tokens =
                    json!({"tokenizer_class": "GPT2Tokenizer", "eos_token": "</s>", "pad_token": "<|pad|>"});
                set(source, "tokenizer_config.json", &tokens);
            },
            [PLAIN_AND, &[87, 220, 511, 70, 378, 365, 68, 79, 263, 220, 513]],
        ),
        (
            "b07-prefix-space",
            |_| {},
            [
                &[317, 45, 35, 352, 24, 23, 19],
                &[220, 87, 220, 511, 308, 378, 365, 68, 79, 263, 220, 27, 91, 79, 324, 91, 29],
            ],
        ),
        ("b01-v5-tokjson-only", with_digits, [PLAIN_AND, PLAIN_MIXED]),
        (
            "b01-v5-tokjson-only",
            |source| {
                with_digits(source);
                as_it_is(source);
            },
            [&[32, 45, 35, 220, 16, 24, 23, 19], PLAIN_MIXED],
        ),
        (
            "b01-v5-tokjson-only",
            with_begin,
            [
                &[511, 32, 45, 35, 352, 24, 23, 19],
                &[511, 87, 220, 511, 70, 378, 365, 68, 79, 263, 220, 27, 91, 79, 324, 91, 29],
            ],
        ),
        (
            "a10-score",
            |source| set(source, "tokenizer_config.json", &json!({"add_bos_token": true})),
            [
                &[511, 32, 45, 35, 352, 24, 23, 19],
                &[511, 87, 220, 511, 70, 378, 365, 68, 79, 263, 220, 27, 91, 79, 324, 91, 29],
            ],
        ),
        (
            "b01-v5-tokjson-only",
            |source| {
                tokenizer(source, |file| {
                    file["truncation"] = json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
                })
            },
            [PLAIN_AND, PLAIN_MIXED],
        ),
    ];
    for (case, edit, [and, mixed]) in saved {
        let form = Form::edited(case, edit);
        assert_eq!(form.ids(AND), and, "{case}");
        assert_eq!(form.ids(MIXED), mixed, "{case}");
    }
}

#[test]
fn added_tokens_are_decoded_and_are_special_only_for_who_may() {
    let form = Form::of("b03-v4-added");
    let tokenizer = form.tokenizer();
    let ids = tokenizer.encode(MIXED, SpecialTokens::Escape);
    assert!(ids.contains(&514) && !ids.contains(&512) && !ids.contains(&511), "{ids:?}");
    assert_eq!(tokenizer.decode(&ids), MIXED);
    assert_eq!(tokenizer.decode(&[514, 512]), "gatekeeper<|pad|>");
    assert_eq!(tokenizer.token_text(513).as_deref(), Some("[SEP]"));
    assert_eq!(tokenizer.token_text(515), None);
}

#[test]
fn an_imported_tokenizer_is_sealed_facts_and_all_in_a_folder_that_others_read() {
    let form = Form::of("b07-prefix-space");
    let imported = form.source.with_file_name("imported");
    let names =
        ["config.json", "manifest.json", "merges.txt", "model.safetensors", "tokenizer.json", "vocab.json"];
    let mut found: Vec<_> = fs::read_dir(&imported)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, names);
    assert_eq!(json_of(&imported.join("config.json"))["tokenizer_class"], "PreTrainedTokenizerFast");
    // The normal form of a normal form is the same.
    let again = Form::edited("b07-prefix-space", |source| {
        fs::remove_dir_all(source).unwrap();
        copy(&imported, source);
    });
    for name in ["config.json", "tokenizer.json", "vocab.json", "merges.txt"] {
        let read = |folder: &Path| fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(read(&imported), read(&again.source.with_file_name("imported")), "{name}");
    }
    // What lies in `tokenizer.json` must be what lies beside it.
    tokenizer(&imported, |file| file["model"]["merges"].as_array_mut().unwrap().truncate(9));
    let report = portcullis::checkpoint::verify(&imported, &NoProgress).unwrap();
    assert_eq!(report.files.iter().map(|problem| problem.name()).collect::<Vec<_>>(), ["tokenizer.json"]);
}

/// What the command line says of a case that is refused.
fn refused(case: &str, edit: impl FnOnce(&Path)) -> String {
    let folder = workplace();
    let source = folder.path().join("source");
    copy(&fixture("people").join(case), &source);
    edit(&source);
    let message = refuse(folder.path(), "import mine source --to imported");
    assert!(!folder.path().join("imported").exists() && !folder.path().join("imported.partial").exists());
    format!("{case}: {message}")
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, or what is printed")]
fn what_is_something_else_is_named_with_what_to_do() {
    let cases = [
        "a06-no-positions",
        "b10-config-bom",
        "b11-bert-vocab",
        "b12-spiece",
        "c04-lora",
        "c05-gguf",
        "c06-lfs",
    ];
    let mut messages = cases.map(|case| refused(case, |_| {})).to_vec();
    messages.push(refused("a10-score", |source| {
        let path = source.join("merges.txt");
        fs::write(&path, [b"\xef\xbb\xbf", fs::read(&path).unwrap().as_slice()].concat()).unwrap();
    }));
    messages.push(refused("a10-score", |source| {
        fs::write(source.join("vocab.json"), fs::read(fixture("people/c06-lfs/model.safetensors")).unwrap())
            .unwrap();
    }));
    messages.push(refused("a10-score", |source| {
        fs::write(source.join("config.json"), "<!DOCTYPE html><html>Log in</html>").unwrap();
    }));
    messages.push(refused("a10-score", |source| {
        fs::rename(source.join("model.safetensors"), source.join("model.onnx")).unwrap();
    }));
    messages.push(refused("a10-score", |source| set(source, "config.json", &json!({"model_type": "llama"}))));
    insta::assert_snapshot!(messages.join("\n"), @r#"
    a06-no-positions: exit 4
    error: source/config.json does not set `n_positions`, so it is 1024, as in transformers; the weights have 128
      next: if the weights are whole, add "n_positions": 128 to that file

    b10-config-bom: exit 4
    error: source/config.json: not a model configuration: it begins with a byte order mark, which JSON does not allow
      next: save the file as UTF-8 without a byte order mark; transformers refuses it, too

    b11-bert-vocab: exit 3
    error: source/vocab.txt is BERT's vocabulary (WordPiece), which is not supported
      next: put GPT-2's own vocab.json and merges.txt, or the tokenizer.json with which the model was trained, beside the weights

    b12-spiece: exit 3
    error: source/spiece.model is a sentencepiece model, which is not supported
      next: put GPT-2's own vocab.json and merges.txt, or the tokenizer.json with which the model was trained, beside the weights

    c04-lora: exit 3
    error: source/adapter_model.safetensors is an adapter (LoRA or another of PEFT's) to a base model, not a checkpoint
      next: merge it into its base (PEFT's `merge_and_unload`, then `save_pretrained`) and import that

    c05-gguf: exit 3
    error: source/gpt2.Q8_0.gguf is GGUF, a format of llama.cpp, which is not supported
      next: import what it was made from: model.safetensors of the same model

    c06-lfs: exit 4
    error: source/model.safetensors is a git LFS pointer, not the file itself
      next: run `git lfs pull` in that folder, or fetch the file by `hf download`

    a10-score: exit 4
    error: source/merges.txt: the merges file begins with a byte order mark
      next: save the file as UTF-8 without a byte order mark; transformers refuses it, too

    a10-score: exit 4
    error: source/vocab.json is a git LFS pointer, not the file itself
      next: run `git lfs pull` in that folder, or fetch the file by `hf download`

    a10-score: exit 4
    error: source/config.json is a web page, not the expected file
      next: the server sent a page, perhaps one to log in at: fetch the file again

    a10-score: exit 3
    error: source/model.onnx is ONNX, which is not supported
      next: import what it was made from: model.safetensors of the same model

    a10-score: exit 3
    error: source/config.json: `model_type` is `llama`; only `gpt2` and `openai-gpt` are supported
      next: the file is sound, and this program cannot do what it asks for: use transformers, or a checkpoint without it
    "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, or what is printed")]
fn a_tokenizer_that_cannot_be_had_is_refused_by_name() {
    let of = |edit: fn(&mut Map<String, Value>)| {
        refused("b01-v5-tokjson-only", |source| {
            as_it_is(source);
            tokenizer(source, edit);
        })
    };
    insta::assert_snapshot!([
        of(|file| file["model"]["dropout"] = json!(0.1)),
        of(|file| file["model"]["byte_fallback"] = json!(true)),
        of(|file| file["model"]["type"] = json!("Unigram")),
        of(|file| file["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": "AA=="})),
        of(|file| file["pre_tokenizer"] = json!({"type": "Metaspace"})),
        of(|file| file["pre_tokenizer"] = json!({"type": "Whitespace"})),
        of(|file| file["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]})),
        of(|file| file["decoder"] = json!({"type": "WordPiece"})),
        of(|file| file["post_processor"] = json!({"type": "TemplateProcessing", "single": [], "pair": []})),
        of(|file| file["added_tokens"] = json!([{"id": 511}])),
        refused("a10-score", |source| set(source, "tokenizer_config.json", &json!({"tokenizer_class": "LlamaTokenizer"}))),
        refused("a10-score", as_it_is),
        refused("b01-v5-tokjson-only", |source| fs::write(source.join("tokenizer.json"), "[]").unwrap()),
    ].join("\n"), @r#"
    b01-v5-tokjson-only: exit 3
    error: source/tokenizer.json: the model is BPE with dropout = 0.1, which is not supported
      next: the file is sound, but its ids would differ here: use transformers, or a byte-level BPE tokenizer without that part

    b01-v5-tokjson-only: exit 3
    error: source/tokenizer.json: the model is BPE with byte_fallback = true, which is not supported
      next: the file is sound, but its ids would differ here: use transformers, or a byte-level BPE tokenizer without that part

    b01-v5-tokjson-only: exit 3
    error: source/tokenizer.json: the model is Unigram, which is not supported
      next: the file is sound, but its ids would differ here: use transformers, or a byte-level BPE tokenizer without that part

    b01-v5-tokjson-only: exit 3
    error: source/tokenizer.json: the normalizer is Precompiled, which is not supported
      next: the file is sound, but its ids would differ here: use transformers, or a byte-level BPE tokenizer without that part

    b01-v5-tokjson-only: exit 3
    error: source/tokenizer.json: the pre-tokenizer is Metaspace, which is not supported
      next: the file is sound, but its ids would differ here: use transformers, or a byte-level BPE tokenizer without that part

    b01-v5-tokjson-only: exit 3
    error: source/tokenizer.json: the pre-tokenizer is Whitespace, without ByteLevel, which is not supported
      next: the file is sound, but its ids would differ here: use transformers, or a byte-level BPE tokenizer without that part

    b01-v5-tokjson-only: exit 3
    error: source/tokenizer.json: the tokenizers library refuses the pre-tokenizer: Parsing error at position 1: Opening parenthesis without closing parenthesis
      next: the file is sound, but its ids would differ here: use transformers, or a byte-level BPE tokenizer without that part

    b01-v5-tokjson-only: exit 3
    error: source/tokenizer.json: the decoder is WordPiece, which is not supported
      next: the file is sound, but its ids would differ here: use transformers, or a byte-level BPE tokenizer without that part

    b01-v5-tokjson-only: exit 4
    error: source/tokenizer.json: the post-processor is malformed: TemplateProcessing
      next: fetch it again from where it was published, and import it again

    b01-v5-tokjson-only: exit 4
    error: source/tokenizer.json: the added token is malformed: {"id":511}
      next: fetch it again from where it was published, and import it again

    a10-score: exit 3
    error: source/tokenizer_config.json: the tokenizer's class is LlamaTokenizer, which is not supported
      next: the file is sound, but its ids would differ here: use transformers, or a byte-level BPE tokenizer without that part

    a10-score: exit 2
    error: source/tokenizer_config.json: the tokenizer's class PreTrainedTokenizerFast requires tokenizer.json, which is missing
      next: put the tokenizer.json of the same model beside the weights

    b01-v5-tokjson-only: exit 4
    error: source/tokenizer.json: not a tokenizer: it is a list, not an object
      next: fetch it again from where it was published, and import it again
    "#);
}
