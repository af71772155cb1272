//! What a client knows of the log: the last head that it saw, and receipts of what it rests on (P3, P5, P7).
//!
//! ```text
//! head                              the newest head that was accepted, as the note that it came in
//! receipts/<kind>-<digest>.json     entries with their proofs, for use offline
//! ```
//!
//! A head is accepted if the registry's key signed it, enough witnesses cosigned it, and it continues the last one. Someone who can write to the
//! folder can make it forget; it is as private as the identity beside it.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::Error;
use super::remote::{RemoteError, RemoteRegistry};
use crate::api::LogReceipt;
use crate::digest::Sha256Digest;
use crate::log::{
    self, Entry, EntryKind, HeadNote, LogKey, Receipt, TreeHead, WitnessRule, prove_consistency,
};
use crate::statement::Quorum;

/// Longest file that is read.
const MAX_BYTES: u64 = 1 << 20;
/// How often a receipt is asked for while other commands accept newer heads.
const TRIES: usize = 4;

/// An entry of the log, by what it records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryRef {
    /// The kind of the entry.
    pub kind: EntryKind,
    /// The digest of the statement or the file that it records.
    pub statement: Sha256Digest,
}

/// A client's record of the log.
#[derive(Debug, Clone)]
pub struct Record {
    folder: PathBuf,
    witnesses: WitnessRule,
}

impl Record {
    /// The record in this folder, which need not be there yet; heads count that these witnesses vouch for.
    pub fn at(folder: PathBuf, witnesses: WitnessRule) -> Self {
        Self { folder, witnesses }
    }

    /// The head that was accepted last.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Log`].
    pub fn head(&self) -> Result<Option<HeadNote>, Error> {
        let bytes = self.read(&self.folder.join("head"))?;
        Ok(bytes.map(|bytes| HeadNote::parse(&bytes)).transpose()?)
    }

    /// The entry of a kind that records `statement`, from the receipt that is kept of it.
    ///
    /// # Errors
    /// [`Error::NotLogged`] if none is kept, [`Error::Log`] if it does not hold.
    pub fn require(&self, entry: EntryRef, registry: &Quorum) -> Result<Entry, Error> {
        let bytes = self.read(&self.receipt(entry))?;
        let bytes = bytes.ok_or(not_logged(entry))?;
        let receipt: LogReceipt = crate::json::from_slice(&bytes)
            .map_err(|error| log::Error::Proof { reason: error.to_string() })?;
        let receipt = Receipt::parse(receipt.entry.into_bytes(), &receipt.proof)?;
        Ok(self.check(&receipt, entry, registry)?.0)
    }

    /// Gets the receipt of an entry from the registry, unless one is kept; its head must continue the last one.
    ///
    /// # Errors
    /// [`Error::Remote`] if the registry has none, [`Error::Log`] if proof or head do not hold.
    pub fn fetch(&self, entry: EntryRef, remote: &RemoteRegistry, registry: &Quorum) -> Result<(), Error> {
        if self.require(entry, registry).is_ok() {
            return Ok(());
        }
        let mut tried = 0;
        loop {
            tried += 1;
            let wire = match remote.log_receipt(entry.kind, entry.statement) {
                Err(RemoteError::Refused { status: 404, .. }) => return Err(not_logged(entry)),
                wire => wire?,
            };
            let receipt = Receipt::parse(wire.entry.clone().into_bytes(), &wire.proof)?;
            let (_, head) = self.check(&receipt, entry, registry)?;
            match self.advance(&receipt.note, &head, remote) {
                // Another command accepted a newer head since this receipt was made.
                Err(Error::Log(log::Error::Shrunk { .. })) if tried < TRIES => continue,
                done => done?,
            }
            let bytes =
                serde_json::to_vec(&wire).map_err(|error| log::Error::Proof { reason: error.to_string() })?;
            return self.write(&self.receipt(entry), &bytes);
        }
    }

    /// Accepts the registry's newest head, if it continues the last one.
    ///
    /// # Errors
    /// [`Error::Remote`], [`Error::Log`].
    pub fn refresh(&self, remote: &RemoteRegistry, registry: &Quorum) -> Result<TreeHead, Error> {
        let note = HeadNote::parse(&remote.log_head()?)?;
        let head = self.check_note(&note, registry)?;
        self.advance(&note, &head, remote)?;
        Ok(head)
    }

    fn check(
        &self,
        receipt: &Receipt,
        expected: EntryRef,
        registry: &Quorum,
    ) -> Result<(Entry, TreeHead), Error> {
        self.check_note(&receipt.note, registry)?;
        let (entry, head) =
            self.verify_by_any(receipt.note.log(), registry, |key| receipt.verify(key, &self.witnesses))?;
        if (entry.kind, entry.statement) != (expected.kind, expected.statement) {
            return Err(not_logged(expected));
        }
        Ok((entry, head))
    }

    fn check_note(&self, note: &HeadNote, registry: &Quorum) -> Result<TreeHead, Error> {
        // The name of the log that was seen first stays.
        let name = self.head()?.map_or_else(|| note.log().to_owned(), |known| known.log().to_owned());
        let head = self.verify_by_any(&name, registry, |key| note.verify(key))?;
        self.witnesses.require(note)?;
        Ok(head)
    }

    /// What holds under any of the registry's keys; the last refusal if none does.
    fn verify_by_any<T>(
        &self,
        name: &str,
        registry: &Quorum,
        check: impl Fn(&LogKey) -> Result<T, log::Error>,
    ) -> Result<T, Error> {
        let mut refused = log::Error::Unsigned { name: name.to_owned() };
        for key in registry.keys() {
            match check(&LogKey::new(name, *key)?) {
                Ok(held) => return Ok(held),
                Err(error) => refused = error,
            }
        }
        Err(refused.into())
    }

    /// Keeps a head that was checked, if it continues the last one.
    fn advance(&self, note: &HeadNote, head: &TreeHead, remote: &RemoteRegistry) -> Result<(), Error> {
        let _lock = self.lock()?;
        if let Some(known) = self.head()? {
            let known = known.claim();
            if known == *head {
                return Ok(());
            }
            let proof = prove_consistency(head, known.size(), remote)?;
            proof.verify(&known, head)?;
        }
        self.write(&self.folder.join("head"), &note.to_bytes())
    }

    fn receipt(&self, EntryRef { kind, statement }: EntryRef) -> PathBuf {
        self.folder.join("receipts").join(format!("{kind}-{statement}.json"))
    }

    fn lock(&self) -> Result<File, Error> {
        let path = self.folder.join("lock");
        let lock = || -> io::Result<File> {
            fs::create_dir_all(&self.folder)?;
            let file = File::create(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|source| Error::Io { action: "lock", path: path.clone(), source })
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { action: "read", path: path.to_owned(), source }),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let folder = path.parent().unwrap_or(&self.folder);
        let write = || -> io::Result<()> {
            fs::create_dir_all(folder)?;
            let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|source| Error::Io { action: "write", path: path.to_owned(), source })
    }
}

fn not_logged(EntryRef { kind, statement }: EntryRef) -> Error {
    Error::NotLogged { kind, statement }
}
