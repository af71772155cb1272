//! The identity file: the secret keys, encrypted under a passphrase (age, scrypt recipient) or, for servers, protected by mode 0600 only.
//!
//! A file is written to a temporary name, synced and renamed, so that a kill leaves the old file or the new one. As in OpenSSH, a file that
//! other users can read is refused, encrypted or not.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use age::secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::{AgentSigner, Card, Error, OpeningKey, Signer, SigningKey, VerifyingKey};
use crate::hex;
use crate::name::Label;
use crate::time::Timestamp;

/// Longest accepted identity file, in bytes; a real one has less than 1 kB.
const MAX_BYTES: u64 = 64 << 10;

/// scrypt's work factor, log2: about half a second on a small machine.
const WORK_FACTOR: u8 = 17;
/// Highest accepted work factor, log2: sixteen times as much work.
const MAX_WORK: u8 = 21;

const AGE_MAGIC: &[u8] = b"age-encryption.org/";

/// How an identity file is protected.
#[derive(Clone)]
pub enum Protection {
    /// Encrypted with age's scrypt recipient under this passphrase.
    Passphrase(SecretString),
    /// Not encrypted: mode 0600 only.
    None,
}

/// A person's keys in memory; secrets are zeroized on drop.
#[derive(Debug)]
pub struct Identity {
    card: Card,
    signing: SigningHalf,
    opening_key: OpeningKey,
}

#[derive(Debug)]
enum SigningHalf {
    // Boxed, since the other variant is empty.
    Key(Box<SigningKey>),
    Agent,
}

impl Identity {
    /// Makes an identity from two secrets of 32 random bytes each.
    pub fn new(
        name: Label,
        organization: Option<Label>,
        signing: &[u8; 32],
        opening: &[u8; 32],
        created: Timestamp,
    ) -> Self {
        let key = SigningKey::from_bytes(signing);
        let mut identity = Self::with_agent(name, organization, key.verifying_key(), opening, created);
        identity.signing = SigningHalf::Key(Box::new(key));
        identity
    }

    /// Makes an identity whose signing key is in an SSH agent.
    pub fn with_agent(
        name: Label,
        organization: Option<Label>,
        verifying_key: VerifyingKey,
        opening: &[u8; 32],
        created: Timestamp,
    ) -> Self {
        let opening_key = OpeningKey::from_bytes(opening);
        let sealing_key = opening_key.sealing_key();
        let card = Card { name, organization, verifying_key, sealing_key, created };
        Self { card, signing: SigningHalf::Agent, opening_key }
    }

    /// Returns the public half.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Returns the key that opens messages sealed to this identity.
    pub fn opening_key(&self) -> &OpeningKey {
        &self.opening_key
    }

    /// Whether the signing key is in an SSH agent.
    pub fn has_agent_key(&self) -> bool {
        matches!(self.signing, SigningHalf::Agent)
    }

    /// Returns the signer of this identity; `agent` is the socket of an SSH agent, required only if the key is in one.
    ///
    /// # Errors
    /// [`Error::NoAgent`], [`Error::Agent`], [`Error::NotInAgent`].
    pub fn signer(&self, agent: Option<&Path>) -> Result<Box<dyn Signer>, Error> {
        match &self.signing {
            SigningHalf::Key(key) => Ok(Box::new(SigningKey::from_bytes(&key.to_bytes()))),
            SigningHalf::Agent => {
                let signer = AgentSigner::new(agent.ok_or(Error::NoAgent)?, self.card.verifying_key)?;
                Ok(Box::new(signer))
            }
        }
    }
}

/// An identity file.
#[derive(Debug, Clone)]
pub struct IdentityFile {
    path: PathBuf,
}

impl IdentityFile {
    /// The file at this path, which need not exist yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a passphrase protects it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Readable`], [`Error::Malformed`], [`Error::Io`].
    pub fn is_protected(&self) -> Result<bool, Error> {
        Ok(self.bytes()?.starts_with(AGE_MAGIC))
    }

    /// Reads and decrypts the identity.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Readable`], [`Error::Malformed`], [`Error::PassphraseNeeded`], [`Error::WrongPassphrase`],
    /// [`Error::Io`].
    pub fn read(&self, passphrase: Option<SecretString>) -> Result<Identity, Error> {
        let bytes = self.bytes()?;
        let plain = if bytes.starts_with(AGE_MAGIC) {
            let passphrase = passphrase.ok_or_else(|| Error::PassphraseNeeded { path: self.path.clone() })?;
            Zeroizing::new(self.decrypt(&bytes, passphrase)?)
        } else {
            bytes
        };
        let stored: FileContents = crate::json::from_slice(&plain).map_err(|error| {
            // serde's message may quote a secret.
            self.malformed(format!("its contents do not parse at line {}", error.line()))
        })?;
        stored.identity().map_err(|reason| self.malformed(reason))
    }

    /// Writes a new identity; never replaces one.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Protect`], [`Error::Io`].
    pub fn create(&self, identity: &Identity, protection: &Protection) -> Result<(), Error> {
        if self.path.symlink_metadata().is_ok() {
            return Err(Error::Exists { path: self.path.clone() });
        }
        self.replace(identity, protection)
    }

    /// Replaces the file, for example to change the passphrase.
    ///
    /// # Errors
    /// [`Error::Protect`], [`Error::Io`].
    pub fn replace(&self, identity: &Identity, protection: &Protection) -> Result<(), Error> {
        let plain = FileContents::from_identity(identity).to_json()?;
        let bytes = match protection {
            Protection::None => plain,
            Protection::Passphrase(passphrase) => Zeroizing::new(encrypt(&plain, passphrase.clone())?),
        };
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let new = PathBuf::from(name);
        write_private(&new, &bytes).map_err(Error::io("write", &new))?;
        std::fs::rename(&new, &self.path).map_err(Error::io("write", &self.path))?;
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        File::open(parent).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", parent))
    }

    fn bytes(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let file = File::open(&self.path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => Error::NotFound { path: self.path.clone() },
            _ => Error::io("open", &self.path)(source),
        })?;
        let mode = file.metadata().map_err(Error::io("read", &self.path))?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(Error::Readable { path: self.path.clone(), mode });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(Error::io("read", &self.path))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(self.malformed(format!("it is longer than {MAX_BYTES} bytes")));
        }
        Ok(bytes)
    }

    fn decrypt(&self, bytes: &[u8], passphrase: SecretString) -> Result<Vec<u8>, Error> {
        let mut key = age::scrypt::Identity::new(passphrase);
        key.set_max_work_factor(MAX_WORK);
        age::decrypt(&key, bytes).map_err(|error| match error {
            age::DecryptError::DecryptionFailed
            | age::DecryptError::KeyDecryptionFailed
            | age::DecryptError::NoMatchingKeys => Error::WrongPassphrase { path: self.path.clone() },
            error => self.malformed(error.to_string()),
        })
    }

    fn malformed(&self, reason: String) -> Error {
        Error::Malformed { path: self.path.clone(), reason }
    }
}

fn encrypt(plain: &[u8], passphrase: SecretString) -> Result<Vec<u8>, Error> {
    let mut recipient = age::scrypt::Recipient::new(passphrase);
    recipient.set_work_factor(WORK_FACTOR);
    age::encrypt(&recipient, plain).map_err(|error| Error::Protect { reason: error.to_string() })
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The contents of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileContents {
    schema: u32,
    name: Label,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    organization: Option<Label>,
    created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signing_key: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent_key: Option<VerifyingKey>,
    opening_key: Secret,
}

const SCHEMA: u32 = 1;

impl FileContents {
    fn from_identity(identity: &Identity) -> Self {
        let (signing_key, agent_key) = match &identity.signing {
            SigningHalf::Key(key) => (Some(Secret(key.to_bytes())), None),
            SigningHalf::Agent => (None, Some(identity.card.verifying_key)),
        };
        Self {
            schema: SCHEMA,
            name: identity.card.name.clone(),
            organization: identity.card.organization.clone(),
            created: identity.card.created,
            signing_key,
            agent_key,
            opening_key: Secret(identity.opening_key.to_bytes()),
        }
    }

    fn to_json(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        // Large enough: growth would leave copies of secrets behind.
        let mut json = Zeroizing::new(Vec::with_capacity(8192));
        serde_json::to_writer_pretty(&mut *json, self)
            .map_err(|error| Error::Protect { reason: error.to_string() })?;
        json.push(b'\n');
        Ok(json)
    }

    fn identity(self) -> Result<Identity, String> {
        if self.schema != SCHEMA {
            return Err(format!("schema {} is not supported; this version reads {SCHEMA}", self.schema));
        }
        let (name, organization, opening) = (self.name, self.organization, &self.opening_key.0);
        match (self.signing_key, self.agent_key) {
            (Some(signing), None) => Ok(Identity::new(name, organization, &signing.0, opening, self.created)),
            (None, Some(agent)) => Ok(Identity::with_agent(name, organization, agent, opening, self.created)),
            _ => Err("it must have either a signing key or an agent key".to_owned()),
        }
    }
}

/// 32 secret bytes, in hexadecimal digits.
struct Secret(Zeroizing<[u8; 32]>);

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut digits = Zeroizing::new([0; 64]);
        let text = base16ct::lower::encode_str(&*self.0, &mut *digits).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(text)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 hexadecimal digits")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Secret, E> {
                let bytes = hex::parse(text).ok_or_else(|| E::custom("not 64 hexadecimal digits"))?;
                Ok(Secret(Zeroizing::new(bytes)))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}
