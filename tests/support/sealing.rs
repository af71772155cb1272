//! A board, a registry and a researcher, and checkpoints for them to seal.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test that wants it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis::checkpoint::{self, ImportRequest, ImportSource};
use portcullis::digest::Sha256Digest;
use portcullis::identity::Identity;
use portcullis::progress::{NoProgress, Progress};
use portcullis::seal::{
    BoardKey, ChunkSize, ContentKey, Error, OpenedCheckpoint, Recipient, Recipients, RegistryKey,
    SealOutcome, SealRequest, SealedCheckpoint, Share, combine, seal_checkpoint,
};
use portcullis::time::Timestamp;
use rand::SeedableRng as _;
use rand::rngs::ChaCha20Rng;
use serde_json::{Value, json};

use super::{fixture, write_safetensors};

/// The smallest chunks that are allowed, so that small checkpoints have several.
pub(crate) fn small_chunks() -> ChunkSize {
    ChunkSize::try_from(64 << 10).unwrap()
}

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(crate) fn person(name: &str, seed: u8) -> Identity {
    let name = name.parse().unwrap();
    Identity::new(name, None, &[seed; 32], &[seed ^ 0xff; 32], Timestamp::from_unix_seconds(0))
}

/// Those who hold the locks.
pub(crate) struct Holders {
    pub(crate) board: Vec<Identity>,
    pub(crate) registry: Identity,
    pub(crate) recipients: Recipients,
}

impl Holders {
    pub(crate) fn new(threshold: u8, members: u8) -> Self {
        let board: Vec<_> = (1..=members).map(|i| person(&format!("member {i}"), i)).collect();
        let registry = person("registry", 99);
        let members = board.iter().map(|member| Recipient::from(member.card())).collect();
        let recipients = Recipients::new(threshold, members, registry.card().into()).unwrap();
        Self { board, registry, recipients }
    }

    /// Seals `source` to `destination` in small chunks; the first member does it.
    pub(crate) fn seal(&self, source: &Path, destination: &Path, seed: u64) -> Result<SealOutcome, Error> {
        self.seal_watched((source, destination), seed, &NoProgress)
    }

    pub(crate) fn seal_watched(
        &self,
        (source, destination): (&Path, &Path),
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<SealOutcome, Error> {
        let request = SealRequest {
            source,
            destination,
            recipients: &self.recipients,
            chunk_size: small_chunks(),
            sealer: self.board[0].opening_key(),
        };
        seal_checkpoint(&request, &mut rng(seed), progress)
    }

    /// The share of the member at `position`.
    pub(crate) fn share(&self, sealed: &SealedCheckpoint, position: usize) -> Result<Share, Error> {
        let member = &self.board[position];
        let key_id = member.card().verifying_key.id();
        sealed.shares()?.open_share(sealed.manifest(), key_id, member.opening_key())
    }

    pub(crate) fn board_key(&self, sealed: &SealedCheckpoint, who: &[usize]) -> Result<BoardKey, Error> {
        let shares = who.iter().map(|position| self.share(sealed, *position)).collect::<Result<_, _>>()?;
        let manifest = sealed.manifest();
        combine(shares, &manifest.seal.board, &manifest.plain.checkpoint, &mut rng(0))
    }

    pub(crate) fn registry_key(&self, sealed: &SealedCheckpoint) -> Result<RegistryKey, Error> {
        sealed.shares()?.open_registry_key(sealed.manifest(), self.registry.opening_key())
    }

    /// Opens a sealed folder with the shares of these members and the registry's key.
    pub(crate) fn open(&self, folder: &Path, who: &[usize]) -> Result<OpenedCheckpoint, Error> {
        let sealed = sealed(folder)?;
        let (board, registry) = (self.board_key(&sealed, who)?, self.registry_key(&sealed)?);
        let key = ContentKey::derive(&board, &registry, &sealed.manifest().plain.checkpoint);
        sealed.unlock(&key)
    }
}

/// A sealed folder, whose manifest is taken as it is.
pub(crate) fn sealed(folder: &Path) -> Result<SealedCheckpoint, Error> {
    let manifest = SealedCheckpoint::manifest_bytes(folder)?;
    SealedCheckpoint::open(folder, &manifest, Sha256Digest::compute(&manifest))
}

/// Imports a published folder as `mine` to `folder/imported`.
pub(crate) fn import(folder: &Path, source: &Path) -> PathBuf {
    let destination = folder.join("imported");
    let request = ImportRequest {
        checkpoint: "mine".parse().unwrap(),
        source: ImportSource::Folder(source.to_owned()),
        destination: destination.clone(),
        unofficial: false,
    };
    checkpoint::import(&request, &NoProgress).unwrap();
    destination
}

/// A golden checkpoint of 190 kB, imported.
pub(crate) fn golden(folder: &Path) -> PathBuf {
    import(folder, &fixture("golden/f32"))
}

/// A checkpoint of 3.4 MB, imported: dozens of small chunks.
pub(crate) fn medium(folder: &Path) -> PathBuf {
    let source = folder.join("source");
    fs::create_dir_all(&source).unwrap();
    let mut config: Value =
        serde_json::from_slice(&fs::read(fixture("golden/f32/config.json")).unwrap()).unwrap();
    config["n_embd"] = json!(256);
    config["n_head"] = json!(4);
    fs::write(source.join("config.json"), config.to_string()).unwrap();
    for name in ["vocab.json", "merges.txt"] {
        fs::copy(fixture("golden/f32").join(name), source.join(name)).unwrap();
    }
    let parsed = checkpoint::config::ModelConfig::from_hugging_face(config.to_string().as_bytes()).unwrap();
    let (mut header, mut end) = (BTreeMap::new(), 0);
    for tensor in checkpoint::layout::tensors(&parsed) {
        let length: usize = tensor.shape.iter().product::<usize>() * 2;
        let offsets = [end, end + length];
        header.insert(tensor.name, json!({"dtype": "BF16", "shape": tensor.shape, "data_offsets": offsets}));
        end += length;
    }
    let data: Vec<u8> = (0..end as u32 / 2).flat_map(|i| (i as u16 & 0x3fff).to_le_bytes()).collect();
    write_safetensors(&source.join("model.safetensors"), &header, &data);
    import(folder, &source)
}

/// Every file of a folder with its digest, folders included.
pub(crate) fn digests(folder: &Path) -> BTreeMap<String, Sha256Digest> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let digest = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, Sha256Digest::compute(&fs::read(path).unwrap()))
    };
    files.filter(|path| path.is_file()).map(digest).collect()
}
