//! The parsers of untrusted bytes, each as a function that must not panic, hang or exhaust memory on any input.
//!
//! `fuzz_targets/` feeds them from libFuzzer, `../hostile_files.rs` from the corpus under plain `cargo test`. To add
//! one: a function here, a line in [`PARSERS`], a file in `fuzz_targets/`, a `[[bin]]` in `Cargo.toml`, and a folder of
//! seeds in `corpus/`, all of one name. `hostile_files.rs` fails where one of them is missing.

use bech32::{Bech32m, Hrp};
use portcullis::access;
use portcullis::api;
use portcullis::catalogue::{
    Document, MAX_REGISTRARS, Organizations, Parcel, Role, RootRole, SnapshotRole, TargetPath, TargetsRole,
    TimestampRole, canonical_json,
};
use portcullis::checkpoint::config::{Architecture, ConfigError, ModelConfig};
use portcullis::checkpoint::manifest::{FILES, FILES_WITH_TOKENIZER, Manifest};
use portcullis::checkpoint::tokenizer_files::{self, Facts, TokenizerFiles};
use portcullis::checkpoint::{known, tensor_file, tensorflow};
use portcullis::client::Invitation;
use portcullis::digest::Sha256Digest;
use portcullis::inference::tokenizer::{SpecialTokens, Tokenizer};
use portcullis::log;
use portcullis::misuse::{Rules, Sketch};
use portcullis::policy::{self, Policy};
use portcullis::report::BundleReader;
use portcullis::seal::{SealedManifest, SealedShares};
use portcullis::statement::{CatalogueId, Envelope, verify_card};
use portcullis::time::Timestamp;
use portcullis::usage::SignedRecord;

#[path = "../../src/checkpoint/tensorflow/table_writer.rs"]
#[expect(dead_code, reason = "the parsers need only a part of it")]
mod table_writer;

use table_writer::{Compression, Handle, TableWriter};

/// A parser, made to look at all that came out of it.
pub(crate) type Parser = fn(&[u8]);

/// Every parser with the name that its target and its corpus have.
#[allow(dead_code, reason = "a fuzz target uses one of them")]
pub(crate) const PARSERS: &[(&str, Parser)] = &[
    ("api_answers", api_answers),
    ("config", config),
    ("invitation", invitation),
    ("manifest", manifest),
    ("misuse_rules", misuse_rules),
    ("organizations", organizations),
    ("policy", policy),
    ("record", record),
    ("safetensors_header", safetensors_header),
    ("sealed_manifest", sealed_manifest),
    ("statement", statement),
    ("tensorflow_index", tensorflow_index),
    ("tokenizer_files", tokenizer_files),
    ("tokenizer_json", tokenizer_json),
    ("tuf_metadata", tuf_metadata),
];

/// What a registry answers, and what it is sent, as JSON; what is accepted reads back as it is written.
pub(crate) fn api_answers(bytes: &[u8]) {
    fn reads_back<T: serde::Serialize + serde::de::DeserializeOwned>(bytes: &[u8]) {
        if let Ok(value) = serde_json::from_slice::<T>(bytes) {
            let written = serde_json::to_string(&value).unwrap();
            let again: T = serde_json::from_str(&written).unwrap();
            assert_eq!(serde_json::to_string(&again).unwrap(), written);
        }
    }
    reads_back::<api::Assignment>(bytes);
    reads_back::<api::Bearer>(bytes);
    reads_back::<api::CatalogueListing>(bytes);
    reads_back::<api::Challenge>(bytes);
    reads_back::<api::Decision>(bytes);
    reads_back::<api::Problem>(bytes);
    reads_back::<api::ProposalReceipt>(bytes);
    reads_back::<api::RegistryInfo>(bytes);
    reads_back::<api::RequestPage>(bytes);
    reads_back::<api::RequestStanding>(bytes);
    reads_back::<api::SealParcel>(bytes);
    reads_back::<api::SealReceipt>(bytes);
    reads_back::<api::StatementPage>(bytes);
    reads_back::<api::StatementReceipt>(bytes);
    reads_back::<Parcel>(bytes);
    if let Some(proof) = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<api::WorkProof>().ok())
    {
        assert_eq!(proof.to_header().parse(), Ok(proof));
    }
}

/// Both forms of a configuration; one that is accepted must read back as it is written.
pub(crate) fn config(bytes: &[u8]) {
    let reads_back = |parsed: Result<ModelConfig, ConfigError>| {
        if let Ok(config) = parsed {
            let written = config.to_hugging_face();
            let again = ModelConfig::from_hugging_face(written.as_bytes());
            assert_eq!(again.ok(), Some(config), "{written}");
        }
    };
    reads_back(ModelConfig::from_hugging_face(bytes));
    reads_back(ModelConfig::from_hyper_parameters(bytes));
}

/// An invitation as text, and as what a checksum that holds guards; what is accepted reads back as it is written.
pub(crate) fn invitation(bytes: &[u8]) {
    let guarded = Hrp::parse("portcullis-invite").map(|prefix| bech32::encode::<Bech32m>(prefix, bytes));
    let texts = [Some(String::from_utf8_lossy(bytes).into_owned()), guarded.ok().and_then(Result::ok)];
    for text in texts.into_iter().flatten() {
        match text.parse::<Invitation>() {
            Ok(invitation) => {
                assert!(Invitation::is_meant_by(&text) && !invitation.registry().is_empty());
                assert_eq!(invitation.to_string().parse(), Ok(invitation));
            }
            Err(error) => assert!(error.to_string().len() < 400, "{error}"),
        }
    }
}

/// The registrars of organizations; what is accepted reads back as it is written.
pub(crate) fn organizations(bytes: &[u8]) {
    if let Ok(organizations) = Organizations::parse(bytes) {
        assert!(organizations.iter().all(|(_, keys)| (1..=MAX_REGISTRARS).contains(&keys.len())));
        let written = organizations.to_bytes().unwrap();
        assert_eq!(Organizations::parse(&written).unwrap(), organizations);
    }
}

/// A manifest, and its comparison with the public record.
pub(crate) fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert!([FILES.len(), FILES_WITH_TOKENIZER.len()].contains(&manifest.files.len()));
        for checkpoint in &known::ALL {
            let standing = manifest.compare_with_record(checkpoint);
            assert!(standing.tensors.is_none_or(|tensors| tensors.equal <= tensors.compared));
        }
    }
}

/// A vocabulary and merges, parted by the first NUL; what is accepted makes a tokenizer or a refusal, and encodes.
pub(crate) fn tokenizer_files(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (vocabulary, merges) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let Ok(files) = TokenizerFiles::parse(vocabulary, merges, usize::MAX) else {
        return;
    };
    for architecture in [Architecture::Gpt1, Architecture::Gpt2] {
        if let Ok(tokenizer) = Tokenizer::new(architecture, files.clone()) {
            let ids = tokenizer.encode("In the beginning <|endoftext|> é", SpecialTokens::Parse);
            assert!(ids.iter().all(|id| (*id as usize) < files.vocabulary().len()));
            let _ = tokenizer.decode(&ids);
        }
    }
}

/// A `tokenizer.json`; what is accepted encodes to ids that it has, and says the same once it is written in the normal form.
pub(crate) fn tokenizer_json(bytes: &[u8]) {
    let Ok(file) = tokenizer_files::parse_tokenizer(bytes) else {
        return;
    };
    let (files, facts) = (TokenizerFiles::parse_model(&file, 4096), Facts::parse(&file));
    let (Ok(files), Ok(facts)) = (files, facts) else {
        return;
    };
    let written = facts.to_json(&files);
    let again = Facts::parse(written.as_object().unwrap()).unwrap();
    assert_eq!((&again.added, &again.before, &again.after), (&facts.added, &facts.before, &facts.after));
    let Ok(files) = files.with_facts(facts, 4096) else {
        return;
    };
    if let Ok(tokenizer) = Tokenizer::new(Architecture::Gpt2, files) {
        for special in [SpecialTokens::Parse, SpecialTokens::Escape] {
            let ids = tokenizer.encode("In the beginning <|endoftext|> gate \u{e9} 1984", special);
            // An added token may be one that the model has no embedding for.
            assert!(ids.iter().all(|id| *id < 4096 + 10_000));
            let _ = tokenizer.decode(&ids);
        }
    }
}

/// A policy; one that is accepted is checked, differs from itself in nothing, and admits its own stages. A refusal is
/// short, whatever the line that it shows.
pub(crate) fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Policy::parse(text) {
        Ok(policy) => {
            let now = Timestamp::from_unix_seconds(1_800_000_000);
            assert!(policy::diff(&policy, &policy).is_empty());
            let _ = policy::check(&policy, &[].into(), now);
            for stage in &policy.stages {
                let entry = policy::may_enter(&policy, None, &stage.name, &[], now);
                assert!(entry.rules().iter().all(|rule| !rule.to_string().is_empty()));
            }
        }
        Err(error) => assert!(error.to_string().len() < 4000, "{error}"),
    }
}

/// A sealed manifest, and sealed shares; a manifest that is accepted reads back as it is written.
pub(crate) fn sealed_manifest(bytes: &[u8]) {
    if let Ok(manifest) = SealedManifest::parse(bytes) {
        assert!(manifest.chunks().count() >= FILES.len());
        let written = manifest.to_json().unwrap_or_default();
        assert_eq!(SealedManifest::parse(written.as_bytes()).ok(), Some(manifest));
    }
    let _ = SealedShares::parse(bytes);
}

/// Metadata of each of TUF's roles, whose accepted form reads back; a delegation matches paths in no time worth noting.
pub(crate) fn tuf_metadata(bytes: &[u8]) {
    fn reads_back<T: Role + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<Document<T>> {
        let document = Document::<T>::parse("metadata.json", bytes.to_vec()).ok()?;
        let again = Document::new_unsigned(
            "again.json",
            document.role(),
            document.version(),
            document.expires(),
            document.catalogue(),
        );
        assert_eq!(again.unwrap().role(), document.role());
        Some(document)
    }
    reads_back::<RootRole>(bytes);
    reads_back::<TimestampRole>(bytes);
    reads_back::<SnapshotRole>(bytes);
    if let Some(targets) = reads_back::<TargetsRole>(bytes) {
        let path: TargetPath = "gpt2-124m/policy.toml".parse().unwrap();
        for role in targets.role().delegations.iter().flat_map(|delegations| &delegations.roles) {
            let _ = role.covers(path.as_str());
        }
    }
    if let Ok(value) = serde_json::from_slice(bytes) {
        let _ = canonical_json(&value);
    }
}

/// A signed statement of any kind; an envelope that is accepted reads back as it is written, and claims no more than its kind has.
pub(crate) fn statement(bytes: &[u8]) {
    let Ok(envelope) = Envelope::parse(bytes) else {
        return;
    };
    // Signatures of other schemes are passed over; an envelope with nothing else is refused when it is read again.
    if envelope.signatures().is_empty() {
        return;
    }
    let written = envelope.to_json();
    let again = Envelope::parse(written.as_bytes()).ok().map(|again| again.to_json());
    assert_eq!(again, Some(written));
    if let Ok(index) = access::index(&envelope) {
        assert!(access::KINDS.contains(&index.kind));
    }
    let _ = verify_card(&envelope);
    let _ = access::verify_request(&envelope, CatalogueId::new(Sha256Digest::compute(b"")));
}

/// Misuse rules; a refusal is short, whatever the line that it shows.
pub(crate) fn misuse_rules(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Err(error) = Rules::parse(text)
    {
        assert!(error.to_string().len() < 4000, "{error}");
    }
}

/// A safetensors file.
pub(crate) fn safetensors_header(bytes: &[u8]) {
    let _ = tensor_file::parse_bytes(bytes);
}

/// A TensorFlow checkpoint's two files of structure. The checksums keep a fuzzer out of an index, so the bytes also
/// stand for each part of one that is put together with checksums that hold.
pub(crate) fn tensorflow_index(bytes: &[u8]) {
    let _ = tensorflow::parse_state(bytes);
    let as_index_block = {
        let mut writer = TableWriter::default();
        writer.block(bytes, Compression::None);
        writer.finish(bytes, Compression::None)
    };
    let as_one_entry = TableWriter::table(
        &[(vec![], b"\x08\x01".to_vec()), (b"tensor".to_vec(), bytes.to_vec())],
        1,
        Compression::Snappy,
    );
    for index in [
        bytes.to_vec(),
        around(|writer| writer.block(bytes, Compression::None)),
        around(|writer| writer.stored(bytes, 1)),
        as_index_block,
        as_one_entry,
    ] {
        if let Ok(tensors) = tensorflow::parse_index(&index) {
            // What is no binary32 is never read, and its length is not compared with its shape.
            for tensor in tensors.iter().filter(|tensor| tensor.require_floats().is_ok()) {
                let count: usize = tensor.shape.iter().product();
                assert_eq!(tensor.length, count as u64 * 4, "{tensor:?}");
            }
        }
    }
}

/// A table of one data block.
fn around(data: impl FnOnce(&mut TableWriter) -> Handle) -> Vec<u8> {
    let mut writer = TableWriter::default();
    let handle = table_writer::handle_bytes(data(&mut writer));
    let index = table_writer::contents(&[(b"~".to_vec(), handle)]);
    writer.finish(&index, Compression::None)
}

/// What the log, a witness, a journal and an auditor read; what is accepted reads back as it is written.
pub(crate) fn record(bytes: &[u8]) {
    if let Ok(entry) = log::Entry::parse(bytes) {
        assert_eq!(entry.to_json().as_bytes(), bytes);
    }
    if let Ok(note) = log::HeadNote::parse(bytes) {
        assert_eq!(log::HeadNote::parse(&note.to_bytes()).unwrap(), note);
    }
    if let Ok(bundle) = log::Bundle::parse(bytes) {
        assert_eq!(bundle.to_bytes().unwrap(), bytes);
    }
    drop(log::CosignRequest::parse(bytes));
    let text = String::from_utf8_lossy(bytes);
    if let Ok(receipt) = log::Receipt::parse(Vec::new(), &text) {
        assert_eq!(log::Receipt::parse(Vec::new(), &receipt.proof_text()).unwrap(), receipt);
    }
    if let Ok(part) = text.parse::<log::Part>() {
        assert_eq!(part.to_string(), text);
    }
    drop((text.parse::<log::LogKey>(), text.parse::<log::WitnessKey>()));
    if let Ok(record) = SignedRecord::parse(&text, 0) {
        assert_eq!(record.line(), text);
    }
    if let Ok(sketch) = text.parse::<Sketch>() {
        assert_eq!(sketch.to_string().parse::<Sketch>().unwrap(), sketch);
    }
    if let Ok(mut bundle) = BundleReader::open(bytes) {
        while bundle.next_texts(16).is_ok_and(|texts| !texts.is_empty()) {}
    }
}
