//! Advice on checkpoints' files: damaged, not supported, or something else.

use super::Advice;
use crate::checkpoint::config::ConfigError;
use crate::checkpoint::python_json::JsonError;
use crate::checkpoint::tensor_file::TensorFileError;
use crate::checkpoint::tensorflow::BundleError;
use crate::checkpoint::tokenizer_files::TokenizerFilesError;
use crate::checkpoint::{Error, ForeignFormat, TensorProblem};
use crate::cli::failure::Kind;

/// What to do about a file that is damaged.
const FETCH_AGAIN: &str = "fetch it again from where it was published, and import it again";

/// What to do about a sound file that this program does not support.
const NOT_SUPPORTED: &str = "the file is sound, and this program cannot do what it asks for: use transformers, or a checkpoint without it";

fn advice(kind: Kind, hint: &str) -> Advice {
    (kind, Some(hint.to_owned()))
}

/// Advice on whatever went wrong with a checkpoint.
pub(super) fn explain_checkpoint(error: &Error) -> Advice {
    use Error as E;
    let (kind, hint) = match error {
        E::Io { source, .. } => return (Kind::Unavailable, super::hint_for_io(source)),
        E::Fetch(error) => return super::explain_fetch(error),
        E::Name { .. } => {
            (Kind::Usage, "give it a name such as `my-gpt2` or a known one such as `gpt2-124m`")
        }
        E::NotACheckpoint { .. } => (
            Kind::Usage,
            "give the folder that holds config.json and model.safetensors, or hparams.json and model.ckpt.index",
        ),
        E::NotImported { .. } => {
            (Kind::Usage, "make it one with `portcullis import <id> <folder> --to <new folder>`")
        }
        E::Unofficial { .. } => (
            Kind::Unverified,
            "fetch the file again; if it is meant to be another build, say so with --unofficial",
        ),
        E::NotThatCheckpoint { .. } => (Kind::Unverified, "import it under an id of its own"),
        E::NotAFolderName { .. } => (Kind::Usage, "give --to the name of a folder that is not there yet"),
        E::DestinationExists { .. } => (Kind::Usage, "choose another --to, or remove that folder first"),
        E::Busy { .. } => (Kind::Unavailable, "wait until it ends, or choose another --to"),
        E::UntiedHead { .. } => {
            (Kind::Unverified, "set \"tie_word_embeddings\": false in config.json if that is meant")
        }
        E::Altered { .. } => {
            (Kind::Unverified, "import it again; `portcullis verify <folder>` lists everything that differs")
        }
        E::Header { .. } | E::Encode { .. } => (Kind::Internal, "this is a defect: please report it"),
        E::Manifest { .. } => {
            (Kind::Unverified, "import it again, or use the version of portcullis that wrote it")
        }
        E::TooLong { .. } => {
            (Kind::Unverified, "no such file is that long: check that it is the one that its name says")
        }
        E::TensorTwice { .. } => {
            (Kind::Unverified, "the folder holds that tensor under two names: save the model anew, once")
        }
        E::Json { .. } | E::ShardName { .. } | E::ShardCount { .. } | E::TensorChecksum { .. } => {
            (Kind::Unverified, FETCH_AGAIN)
        }
        other => return explain_content(other),
    };
    (kind, Some(hint.to_owned()))
}

/// Advice on what a folder or a file holds: another format, an adapter, or something that cannot be understood.
fn explain_content(error: &Error) -> Advice {
    use Error as E;
    let (kind, hint) = match error {
        E::OtherFormat { found, .. } => return explain_format(*found),
        E::AdapterBesideBase { .. } => (
            Kind::Denied,
            "merge it into the base (PEFT's `merge_and_unload`, then `save_pretrained`) and import that; or move the adapter's files away to import the base alone",
        ),
        E::AdapterTensor { .. } => (
            Kind::Denied,
            "merge the adapter into its base (PEFT's `merge_and_unload`, then `save_pretrained`) and import that",
        ),
        E::NoTokenizer { .. } => (
            Kind::Usage,
            "put vocab.json and merges.txt, or tokenizer.json, of the same model beside the weights",
        ),
        E::UnstatedSize { field, found, .. } => {
            let hint = format!("if the weights are whole, add \"{field}\": {found} to that file");
            return (Kind::Unverified, Some(hint));
        }
        E::Config { source, .. } => return explain_config(source),
        E::Weights { source, .. } => return explain_weights(source),
        E::TensorFlow { source, .. } => return explain_tensorflow(source),
        E::Tokenizer { source, .. } => return explain_tokenizer_files(source),
        E::Tensors { problems, .. } => return explain_tensors(problems),
        _ => (Kind::Internal, "this is a defect: please report it"),
    };
    (kind, Some(hint.to_owned()))
}

fn explain_format(found: ForeignFormat) -> Advice {
    match found {
        ForeignFormat::GitLfsPointer => {
            advice(Kind::Unverified, "run `git lfs pull` in that folder, or fetch the file by `hf download`")
        }
        ForeignFormat::WebPage => {
            advice(Kind::Unverified, "the server sent a page, perhaps one to log in at: fetch the file again")
        }
        ForeignFormat::Adapter => advice(
            Kind::Denied,
            "merge it into its base (PEFT's `merge_and_unload`, then `save_pretrained`) and import that",
        ),
        ForeignFormat::Gguf
        | ForeignFormat::Ggml
        | ForeignFormat::Onnx
        | ForeignFormat::CoreMl
        | ForeignFormat::Numpy
        | ForeignFormat::SavedModel => {
            advice(Kind::Denied, "import what it was made from: model.safetensors of the same model")
        }
        ForeignFormat::Archive => advice(Kind::Usage, "unpack it, and give the folder that has config.json"),
        ForeignFormat::Pickle | ForeignFormat::Hdf5 | ForeignFormat::MessagePack | ForeignFormat::RustOt => {
            advice(
                Kind::Denied,
                "fetch model.safetensors of the same repository instead, or convert the file where running it is safe",
            )
        }
        ForeignFormat::BertVocabulary | ForeignFormat::SentencePiece | ForeignFormat::Tiktoken => advice(
            Kind::Denied,
            "put GPT-2's own vocab.json and merges.txt, or the tokenizer.json with which the model was trained, beside the weights",
        ),
    }
}

fn explain_config(error: &ConfigError) -> Advice {
    match error {
        ConfigError::UnsupportedModel { .. } | ConfigError::UnsupportedSetting { .. } => {
            advice(Kind::Denied, NOT_SUPPORTED)
        }
        ConfigError::Malformed(JsonError::ByteOrderMark) => advice(
            Kind::Unverified,
            "save the file as UTF-8 without a byte order mark; transformers refuses it, too",
        ),
        ConfigError::Missing { .. }
        | ConfigError::WrongType { .. }
        | ConfigError::Contradiction { .. }
        | ConfigError::OutOfRange { .. }
        | ConfigError::UnevenHeads { .. } => advice(
            Kind::Unverified,
            "correct that setting, or fetch the file again from where it was published",
        ),
        ConfigError::Malformed(_) => advice(Kind::Unverified, FETCH_AGAIN),
    }
}

fn explain_weights(error: &TensorFileError) -> Advice {
    match error {
        TensorFileError::UnsupportedDtype { .. } => advice(
            Kind::Denied,
            "the file is sound, but its weights are quantized or in another type: import the checkpoint in F32, F16 or BF16 that it was made from",
        ),
        _ => advice(Kind::Unverified, FETCH_AGAIN),
    }
}

fn explain_tensorflow(error: &BundleError) -> Advice {
    match error {
        BundleError::UnsupportedDtype { .. }
        | BundleError::Sliced { .. }
        | BundleError::Shards { .. }
        | BundleError::ByteOrder { .. }
        | BundleError::Version { .. } => advice(
            Kind::Denied,
            "the file is sound, but TensorFlow wrote it in a way that is not read here: save it anew in float32, whole, in one file",
        ),
        _ => advice(Kind::Unverified, FETCH_AGAIN),
    }
}

fn explain_tokenizer_files(error: &TokenizerFilesError) -> Advice {
    match error {
        TokenizerFilesError::UnsupportedPart { .. } | TokenizerFilesError::Library { .. } => advice(
            Kind::Denied,
            "the file is sound, but its ids would differ here: use transformers, or a byte-level BPE tokenizer without that part",
        ),
        TokenizerFilesError::MissingTokenizer { .. } => {
            advice(Kind::Usage, "put the tokenizer.json of the same model beside the weights")
        }
        TokenizerFilesError::TooManyTokens { .. } | TokenizerFilesError::TokenBeyond { .. } => {
            advice(Kind::Unverified, "give the model and the tokenizer that belong together")
        }
        TokenizerFilesError::ByteOrderMark { .. }
        | TokenizerFilesError::MalformedTokenizer(JsonError::ByteOrderMark) => advice(
            Kind::Unverified,
            "save the file as UTF-8 without a byte order mark; transformers refuses it, too",
        ),
        _ => advice(Kind::Unverified, FETCH_AGAIN),
    }
}

/// Tensors that the configuration does not have are another model's; what is missing or misshapen is damaged, or another's.
fn explain_tensors(problems: &[TensorProblem]) -> Advice {
    let is_extra = |problem: &TensorProblem| matches!(problem, TensorProblem::Extra { .. });
    if problems.iter().all(is_extra) {
        return advice(
            Kind::Denied,
            "the weights have parts that this architecture does not: give the config.json that belongs to them, or use transformers",
        );
    }
    advice(
        Kind::Unverified,
        "give the config.json that belongs to these weights, or fetch both again from where they were published",
    )
}
