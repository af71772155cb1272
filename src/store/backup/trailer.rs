//! The last line of a backup: how many rows it has, the SHA-256 of all lines before it, and the registry's signature over both.
//!
//! Who can write to the place where backups lie could otherwise take a revocation out, make the sum anew, and wait for a restore.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::Error;
use super::FORMS;
use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::identity::{KeyId, Signer, VerifyingKey};
use crate::statement::{Envelope, Predicate, Quorum, Statement, Subject};
use crate::time::Timestamp;

/// Longest last line.
const MAX_TRAILER: u64 = 64 << 10;
/// Longest first line.
const MAX_FIRST: u64 = 1 << 10;
/// Bytes that are hashed at once.
const PIECE: usize = 1 << 20;

/// The registry took a backup. Its subject is the digest of the backup's lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Backup {
    /// How many rows it has.
    rows: u64,
    /// When it was taken.
    created: Timestamp,
}

impl Predicate for Backup {
    const KIND: &'static str = "backup";
    // A registry keeps backups before it has a catalogue, too; its key says whose it is.
    const IN_CATALOGUE: bool = false;
}

/// Which backups are brought in.
#[derive(Debug, Clone, Copy)]
pub struct BackupTrust {
    /// The key that must have signed it.
    pub registry: VerifyingKey,
    /// Whether one of an earlier release, which nobody signed, will do.
    pub accepts_unsigned: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trailer {
    pub(super) rows: u64,
    pub(super) sha256: Sha256Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed: Option<Envelope>,
}

impl Trailer {
    pub(super) fn sign(
        rows: u64,
        sha256: Sha256Digest,
        by: &dyn Signer,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let subject = Subject { name: Backup::KIND.to_owned(), digest: sha256 };
        let statement = Statement::without_catalogue(subject, Backup { rows, created: now });
        let signed = statement.sign(by).map_err(|error| Error::Backup { reason: error.to_string() })?;
        Ok(Self { rows, sha256, signed: Some(signed) })
    }

    /// Refuses a backup that the trusted key did not sign as it is.
    fn require_signed(&self, trust: &BackupTrust) -> Result<(), Error> {
        let Some(signed) = &self.signed else {
            return if trust.accepts_unsigned { Ok(()) } else { Err(Error::BackupUnsigned) };
        };
        let quorum = Quorum::from_key("the registry", trust.registry);
        let statement = signed
            .statement::<Backup>(&quorum)
            .map_err(|_| Error::BackupForeign { expected: trust.registry.id(), named: self.named() })?;
        if statement.subject.digest != self.sha256 || statement.predicate.rows != self.rows {
            return Err(Error::Backup { reason: "its signature is over other lines".to_owned() });
        }
        Ok(())
    }

    /// Whose signature it says that it carries.
    fn named(&self) -> Option<KeyId> {
        self.signed.as_ref()?.signatures().first()?.key_id
    }
}

/// A backup whose lines are those that the registry signed, or, of an earlier release, those that it counts.
pub(super) struct Trusted {
    pub(super) form: u64,
    pub(super) trailer: Trailer,
}

/// Checks a whole backup before any row of it is read, in pieces of a bounded length.
pub(super) fn check(from: &Path, trust: &BackupTrust) -> Result<Trusted, Error> {
    let mut file = File::open(from)?;
    let form = form(&mut file)?;
    let (trailer, begins) = last_line(&mut file)?;
    let trailer: Trailer = crate::json::from_slice(&trailer).map_err(|_| cut_off())?;
    // Whoever cannot sign might take the signature off and call it a backup of before; that takes the operator's word.
    if (form > 1) != trailer.signed.is_some() {
        return Err(Error::Backup { reason: "its signature or its form was changed".to_owned() });
    }
    trailer.require_signed(trust)?;
    if hash(&mut file, begins)? != trailer.sha256 {
        return Err(Error::Backup { reason: "its SHA-256 is not that of its lines".to_owned() });
    }
    Ok(Trusted { form, trailer })
}

fn form(file: &mut File) -> Result<u64, Error> {
    let mut first = String::new();
    let read = BufReader::new(&mut *file).take(MAX_FIRST).read_line(&mut first);
    if read.is_ok_and(|length| length == 0) {
        return Err(cut_off());
    }
    let first: serde_json::Value = crate::json::from_str(&first).unwrap_or_default();
    match first["portcullis-backup"].as_u64() {
        Some(form) if FORMS.contains(&form) => Ok(form),
        Some(form) => {
            let (from, to) = (FORMS.start(), FORMS.end());
            Err(Error::Backup { reason: format!("it has form {form}; this version knows {from} to {to}") })
        }
        None => Err(Error::Backup { reason: "it is no backup of a registry".to_owned() }),
    }
}

/// The last line, and where it begins.
fn last_line(file: &mut File) -> Result<(Vec<u8>, u64), Error> {
    let length = file.metadata()?.len();
    let begins = length.saturating_sub(MAX_TRAILER);
    file.seek(SeekFrom::Start(begins))?;
    let mut end = Vec::new();
    file.take(MAX_TRAILER).read_to_end(&mut end)?;
    let line = end.strip_suffix(b"\n").ok_or_else(cut_off)?;
    let at = line.iter().rposition(|byte| *byte == b'\n').ok_or_else(cut_off)? + 1;
    Ok((line[at..].to_vec(), begins + at as u64))
}

fn hash(file: &mut File, length: u64) -> Result<Sha256Digest, Error> {
    file.rewind()?;
    let (mut hasher, mut piece) = (Sha256Hasher::default(), vec![0; PIECE]);
    let mut lines = file.take(length);
    loop {
        match lines.read(&mut piece)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&piece[..count]),
        }
    }
}

fn cut_off() -> Error {
    Error::Backup { reason: "it was cut off".to_owned() }
}
