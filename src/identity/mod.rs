//! Identities: a person's keys, the file that stores them, and their public half.
//!
//! An identity has two key pairs: Ed25519 (RFC 8032) to sign, X25519 (RFC 7748) to receive sealed messages. The secret keys are in an age
//! file under a passphrase; the signing key may be in an SSH agent instead. An attacker who can rewrite an identity file can only make it
//! unusable; one who can read it still needs the passphrase.

mod agent;
mod error;
mod file;
mod key;
mod sealing_key;
mod signer;

pub use agent::{AgentKey, AgentSigner};
pub use error::Error;
pub use file::{Identity, IdentityFile, Protection};
pub use key::{KeyError, KeyId, Signature, VerifyingKey};
pub use sealing_key::{OpeningKey, SealingKey};
pub use signer::{Signer, SigningKey};

use serde::{Deserialize, Serialize};

use crate::name::Label;
use crate::time::Timestamp;

/// The public half of an identity: the keys with which others verify its owner's signatures and seal messages to them.
///
/// Its owner's signature (`statement::card`) proves only that the keys and the name belong together. Whether the name is the person's is
/// for people to check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The owner's name.
    pub name: Label,
    /// The owner's organization, as they state it; only a registrar's affiliation confirms it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<Label>,
    /// The key that verifies the owner's signatures.
    pub verifying_key: VerifyingKey,
    /// The key to which messages for the owner are sealed.
    pub sealing_key: SealingKey,
    /// When the identity was created.
    pub created: Timestamp,
}
