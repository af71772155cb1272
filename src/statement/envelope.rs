//! DSSE v1 envelopes with several signatures (secure-systems-lab/dsse, `protocol.md` and `envelope.md`).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};

use super::Error;
use super::quorum::{Quorum, Verified};
use crate::digest::Sha256Digest;
use crate::identity::{KeyId, Signature, Signer, VerifyingKey};

/// Longest accepted envelope and payload, in bytes.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Maximum number of signatures in an envelope.
const MAX_SIGNATURES: usize = 64;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// A payload and its signatures, unverified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeSignature {
    /// The id of the signing key: an unsigned hint.
    pub key_id: Option<KeyId>,
    /// The Ed25519 signature over [`Envelope::message`].
    pub signature: Signature,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
struct WireSignature {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyid: Option<String>,
    sig: String,
}

impl From<Envelope> for Wire {
    fn from(envelope: Envelope) -> Self {
        let signatures = envelope.signatures.iter().map(|signature| WireSignature {
            keyid: signature.key_id.map(|id| id.to_string()),
            sig: BASE64.encode(signature.signature.as_bytes()),
        });
        Self {
            payload: BASE64.encode(&envelope.payload),
            signatures: signatures.collect(),
            payload_type: envelope.payload_type,
        }
    }
}

impl TryFrom<Wire> for Envelope {
    type Error = Error;

    fn try_from(wire: Wire) -> Result<Self, Error> {
        if wire.signatures.is_empty() || wire.signatures.len() > MAX_SIGNATURES {
            let reason = format!("it has {} signatures, not 1 to {MAX_SIGNATURES}", wire.signatures.len());
            return Err(Error::Envelope { reason });
        }
        let mut signatures = Vec::with_capacity(wire.signatures.len());
        for signature in wire.signatures {
            if let Ok(bytes) = decode(&signature.sig, "signature")?.try_into() {
                let key_id = signature.keyid.and_then(|id| id.parse().ok());
                signatures.push(EnvelopeSignature { key_id, signature: Signature::from_bytes(bytes) });
            }
        }
        Ok(Self { payload: decode(&wire.payload, "payload")?, payload_type: wire.payload_type, signatures })
    }
}

/// DSSE's pre-authentication encoding: `"DSSEv1" SP LEN(type) SP type SP LEN(body) SP body`.
pub(super) fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut encoded = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    encoded.extend_from_slice(payload);
    encoded
}

fn decode(text: &str, what: &str) -> Result<Vec<u8>, Error> {
    // DSSE requires that readers accept both alphabets.
    BASE64
        .decode(text)
        .or_else(|_| BASE64_URL.decode(text))
        .map_err(|error| Error::Envelope { reason: format!("its {what} is not base64: {error}") })
}

impl Envelope {
    /// Wraps a payload without signatures.
    pub fn new(payload_type: impl Into<String>, payload: Vec<u8>) -> Self {
        Self { payload_type: payload_type.into(), payload, signatures: Vec::new() }
    }

    /// Parses an envelope in JSON. As DSSE specifies, unknown fields are ignored. Signatures that do not have the length of Ed25519's are
    /// dropped.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Envelope`].
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        if json.len() > MAX_BYTES {
            return Err(Error::TooLong { size: json.len(), max: MAX_BYTES });
        }
        let wire: Wire =
            crate::json::from_slice(json).map_err(|error| Error::Envelope { reason: error.to_string() })?;
        Self::try_from(wire)
    }

    /// Serializes the envelope as indented JSON that ends with a newline.
    pub fn to_json(&self) -> String {
        // Strings and lists of strings always serialize.
        serde_json::to_string_pretty(&Wire::from(self.clone())).unwrap_or_default() + "\n"
    }

    /// Signs the payload and adds the signature, in place of an earlier one by the same key.
    ///
    /// # Errors
    /// [`Error::Signer`].
    pub fn sign(&mut self, signer: &dyn Signer) -> Result<(), Error> {
        let signature = signer.sign(&self.message())?;
        let key_id = Some(signer.verifying_key().id());
        self.signatures.retain(|other| other.key_id != key_id);
        self.signatures.push(EnvelopeSignature { key_id, signature });
        Ok(())
    }

    /// Adds the signatures of another envelope with the same payload.
    ///
    /// # Errors
    /// [`Error::OtherPayload`].
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        if (&self.payload_type, &self.payload) != (&other.payload_type, &other.payload) {
            return Err(Error::OtherPayload);
        }
        for signature in &other.signatures {
            if !self.signatures.contains(signature) && self.signatures.len() < MAX_SIGNATURES {
                self.signatures.push(signature.clone());
            }
        }
        Ok(())
    }

    /// Returns a copy that has only the signatures made by a key of `quorum`.
    #[must_use]
    pub fn with_signatures_by(&self, quorum: &Quorum) -> Self {
        let message = self.message();
        let holds = |signature: &&EnvelopeSignature| {
            candidates(signature, quorum).any(|(key, signature)| key.has_signed(&message, signature))
        };
        let signatures = self.signatures.iter().filter(holds).cloned().collect();
        Self { payload_type: self.payload_type.clone(), payload: self.payload.clone(), signatures }
    }

    /// Returns the payload's type.
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// Returns the payload, unverified.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Returns the SHA-256 of the payload, by which other statements refer to this one.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::compute(&self.payload)
    }

    /// Returns the signatures, unverified.
    pub fn signatures(&self) -> &[EnvelopeSignature] {
        &self.signatures
    }

    /// Returns the signed bytes: DSSE's pre-authentication encoding of type and payload.
    pub fn message(&self) -> Vec<u8> {
        pre_authentication_encoding(&self.payload_type, &self.payload)
    }

    /// Returns `value`, which must have been parsed from this payload, if `quorum` signed the envelope.
    pub(super) fn verify<T>(&self, quorum: &Quorum, value: T) -> Result<Verified<T>, Error> {
        let candidates = self.signatures.iter().flat_map(|signature| candidates(signature, quorum));
        let verified = quorum.verify(value, &self.message(), candidates)?;
        Ok(verified.with_digest(self.digest()))
    }

    /// Returns the distinct keys of `quorum` that signed, whether or not they meet its threshold.
    pub fn signers(&self, quorum: &Quorum) -> BTreeSet<VerifyingKey> {
        self.new_signers(&BTreeSet::new(), quorum)
    }

    /// Returns the distinct keys of `quorum` that signed, without verifying again those in `known`.
    pub fn new_signers(&self, known: &BTreeSet<VerifyingKey>, quorum: &Quorum) -> BTreeSet<VerifyingKey> {
        let candidates = self.signatures.iter().flat_map(|signature| candidates(signature, quorum));
        quorum.signers(&self.message(), candidates.filter(|(key, _)| !known.contains(key)))
    }
}

/// The keys that may have made a signature: the one that it names, or all of the quorum's if it names none of them.
fn candidates<'a>(
    signature: &'a EnvelopeSignature,
    quorum: &'a Quorum,
) -> impl Iterator<Item = (VerifyingKey, &'a Signature)> {
    let named = quorum.keys().iter().find(|key| Some(key.id()) == signature.key_id);
    let others = quorum.keys().iter().filter(move |_| named.is_none());
    named.into_iter().chain(others).map(|key| (*key, &signature.signature))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SigningKey;

    #[test]
    fn the_encoding_is_that_of_the_dsse_test_vector() {
        // protocol.md, "Test Vectors".
        let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    fn envelope() -> Envelope {
        let mut envelope = Envelope::new("text/plain", b"hello".to_vec());
        envelope.sign(&SigningKey::from_bytes(&[1; 32])).unwrap();
        envelope
    }

    #[test]
    fn an_envelope_reads_back_the_same() {
        let envelope = envelope();
        assert_eq!(Envelope::parse(envelope.to_json().as_bytes()).unwrap(), envelope);
    }

    #[test]
    fn a_signature_holds_for_its_payload_type_only() {
        let quorum = Quorum::from_key("the signer", SigningKey::from_bytes(&[1; 32]).verifying_key());
        let mut other = envelope();
        assert!(other.verify(&quorum, ()).is_ok());
        other.payload_type = "text/html".to_owned();
        let error = other.verify(&quorum, ()).unwrap_err();
        assert_eq!(error.to_string(), "the signer must sign; the signature is missing");
    }

    #[test]
    fn a_wrong_or_missing_hint_does_not_hide_a_signature() {
        let quorum = Quorum::from_key("the signer", SigningKey::from_bytes(&[1; 32]).verifying_key());
        let mut envelope = envelope();
        for hint in [None, Some(SigningKey::from_bytes(&[2; 32]).verifying_key().id())] {
            envelope.signatures[0].key_id = hint;
            assert!(envelope.verify(&quorum, ()).is_ok());
        }
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let json = envelope().to_json();
        let refusal = |text: &str| Envelope::parse(text.as_bytes()).unwrap_err().to_string();
        let many = vec![r#"{"sig":""}"#; 65].join(",");
        insta::assert_snapshot!([
            refusal(""),
            refusal(&json.replace("payloadType", "type")),
            refusal(&json.replace("aGVsbG8=", "aGVs bG8")),
            refusal(r#"{"payload":"","payloadType":"","signatures":[]}"#),
            refusal(&format!(r#"{{"payload":"","payloadType":"","signatures":[{many}]}}"#)),
            refusal(&" ".repeat(MAX_BYTES + 1)),
        ].join("\n"), @"
        not a signed statement: EOF while parsing a value at line 1 column 0
        not a signed statement: missing field `payloadType` at line 10 column 1
        not a signed statement: its payload is not base64: Invalid symbol 32, offset 4.
        not a signed statement: it has 0 signatures, not 1 to 64
        not a signed statement: it has 65 signatures, not 1 to 64
        the statement has 1048577 bytes; at most 1048576 are accepted
        ");
    }
}
