//! Identities: a person's keys, the file that keeps them, the public half that others see.
//!
//! An identity has two pairs of keys: Ed25519 (RFC 8032) to sign with, X25519 (RFC 7748) to be sealed to. The secret halves
//! rest in an age file under a passphrase, or the signing half in an SSH agent. Whoever can rewrite an identity file can
//! deny its owner their own keys, and nothing more; whoever can read it needs the passphrase.

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

/// The public half of an identity: what others need to trust a signature and to seal something to its owner.
///
/// It is believed once its owner signed it (`statement::card`), and only that the two keys and the name belong together: who
/// the person is, is for people to find out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// What its owner is called.
    pub name: Label,
    /// For whom they work, as they say themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<Label>,
    /// What their signatures are checked with.
    pub verifying_key: VerifyingKey,
    /// What is sealed to them.
    pub sealing_key: SealingKey,
    /// When the identity was made.
    pub created: Timestamp,
}
