//! in-toto Statement v1 (in-toto/attestation, `spec/v1/statement.md`): a subject by digest, and a typed predicate about it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Error;
use super::catalogue_id::CatalogueId;
use super::envelope::{Envelope, MAX_BYTES};
use super::quorum::{Quorum, Verified};
use crate::digest::Sha256Digest;
use crate::identity::Signer;
use crate::visible::{is_plain, one_line};

/// The DSSE payload type of every statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATES: &str = "https://portcullis.dev/";

/// The predicate of one kind of statement. Implementations should refuse unknown fields.
pub trait Predicate: Serialize + DeserializeOwned {
    /// The kind, such as `grant`; `predicateType` is `https://portcullis.dev/<kind>/v1`.
    const KIND: &'static str;
    /// Whether statements of this kind must name a catalogue. Cards exist before any catalogue; answers to a challenge name the registry
    /// and its challenge instead.
    const IN_CATALOGUE: bool = true;
}

/// The subject of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The name, for people: at most 2,048 visible bytes on one line.
    pub name: String,
    /// The SHA-256 that identifies the subject.
    pub digest: Sha256Digest,
}

/// Longest name of a subject, in bytes.
const MAX_NAME: usize = 2048;
/// The name of the second subject, which identifies the catalogue.
const CATALOGUE: &str = "catalogue";

/// A predicate about a subject, for one catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement<P> {
    catalogue: Option<CatalogueId>,
    /// The subject.
    pub subject: Subject,
    /// The predicate.
    pub predicate: P,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<P> {
    #[serde(rename = "_type")]
    statement: String,
    subject: Vec<WireSubject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: P,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSubject {
    name: String,
    digest: WireDigest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireDigest {
    sha256: Sha256Digest,
}

impl WireSubject {
    fn new(name: impl Into<String>, sha256: Sha256Digest) -> Self {
        Self { name: name.into(), digest: WireDigest { sha256 } }
    }
}

impl<P> Statement<P> {
    /// A statement that is valid only in `catalogue`.
    pub fn new(catalogue: CatalogueId, subject: Subject, predicate: P) -> Self {
        Self { catalogue: Some(catalogue), subject, predicate }
    }

    /// A statement of a kind that names no catalogue ([`Predicate::IN_CATALOGUE`]).
    pub fn without_catalogue(subject: Subject, predicate: P) -> Self {
        Self { catalogue: None, subject, predicate }
    }

    /// Returns the catalogue that the statement names.
    pub fn catalogue(&self) -> Option<CatalogueId> {
        self.catalogue
    }
}

impl<P: Predicate> Statement<P> {
    /// Wraps the statement in an unsigned envelope. Equal statements give equal bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the predicate cannot be serialized, [`Error::TooLong`], [`Error::NoCatalogue`].
    pub fn to_envelope(&self) -> Result<Envelope, Error> {
        if P::IN_CATALOGUE && self.catalogue.is_none() {
            return Err(Error::NoCatalogue { kind: P::KIND });
        }
        let payload = self.payload()?;
        if payload.len() > MAX_BYTES / 2 {
            return Err(Error::TooLong { size: payload.len(), max: MAX_BYTES / 2 });
        }
        Ok(Envelope::new(IN_TOTO, payload))
    }

    /// The only accepted serialization of the statement.
    fn payload(&self) -> Result<Vec<u8>, Error> {
        let catalogue = self.catalogue.map(|id| WireSubject::new(CATALOGUE, id.digest()));
        let subject = WireSubject::new(self.subject.name.clone(), self.subject.digest);
        let wire = Wire {
            statement: STATEMENT.to_owned(),
            subject: std::iter::once(subject).chain(catalogue).collect(),
            predicate_type: format!("{PREDICATES}{}/v1", P::KIND),
            predicate: &self.predicate,
        };
        serde_json::to_vec(&wire).map_err(|error| malformed::<P>(error.to_string()))
    }

    /// Wraps the statement in an envelope and signs it.
    ///
    /// # Errors
    /// Those of [`Self::to_envelope`], [`Error::Signer`].
    pub fn sign(&self, signer: &dyn Signer) -> Result<Envelope, Error> {
        let mut envelope = self.to_envelope()?;
        envelope.sign(signer)?;
        Ok(envelope)
    }
}

/// Separates the subject from the catalogue.
fn subjects<P: Predicate>(found: Vec<WireSubject>) -> Result<(Subject, Option<CatalogueId>), Error> {
    let mut found = found.into_iter();
    let (subject, catalogue) = (found.next(), found.next());
    let Some(subject) = subject.filter(|_| found.next().is_none()) else {
        return Err(malformed::<P>("it must have one subject, and the catalogue as the second".to_owned()));
    };
    if let Some(other) = catalogue.iter().find(|other| other.name != CATALOGUE || !P::IN_CATALOGUE) {
        let name = one_line(&other.name.chars().take(80).collect::<String>());
        return Err(malformed::<P>(format!("its second subject is `{name}`")));
    }
    let is_a_name = |name: &str| name.len() <= MAX_NAME && !name.contains(['\n', '\t']) && is_plain(name);
    if !is_a_name(&subject.name) {
        return Err(malformed::<P>(format!(
            "the name of its subject must be at most {MAX_NAME} visible characters on one line"
        )));
    }
    let catalogue = catalogue.map(|catalogue| CatalogueId::new(catalogue.digest.sha256));
    Ok((Subject { name: subject.name, digest: subject.digest.sha256 }, catalogue))
}

/// Requires that the statement names the catalogue of the quorum (P10). A quorum without a catalogue verifies only kinds that name none.
fn require_catalogue<P: Predicate>(claim: &Statement<P>, quorum: &Quorum) -> Result<(), Error> {
    if !P::IN_CATALOGUE {
        return Ok(());
    }
    match (claim.catalogue, quorum.catalogue()) {
        (Some(found), Some(expected)) if found == expected => Ok(()),
        (Some(found), Some(expected)) => Err(Error::OtherCatalogue { kind: P::KIND, found, expected }),
        _ => Err(Error::NoCatalogue { kind: P::KIND }),
    }
}

fn malformed<P: Predicate>(reason: String) -> Error {
    Error::Malformed { kind: P::KIND, reason }
}

/// The kind that a predicate type claims, such as `grant`.
fn kind_of(predicate_type: &str) -> String {
    let kind = predicate_type.strip_prefix(PREDICATES).and_then(|rest| rest.strip_suffix("/v1"));
    kind.unwrap_or(predicate_type).chars().take(80).collect()
}

impl Envelope {
    /// Returns the kind that the statement claims, unverified.
    ///
    /// # Errors
    /// [`Error::PayloadType`], [`Error::Envelope`].
    pub fn kind(&self) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Kind {
            #[serde(rename = "predicateType")]
            predicate_type: String,
        }
        self.require_in_toto()?;
        let Kind { predicate_type } = crate::json::from_slice(self.payload())
            .map_err(|error| Error::Envelope { reason: error.to_string() })?;
        Ok(kind_of(&predicate_type))
    }

    /// Parses the statement without verifying signatures: to draft an answer, or to find the quorum that must have signed it.
    ///
    /// # Errors
    /// [`Error::PayloadType`], [`Error::Kind`], [`Error::Malformed`].
    pub fn claim<P: Predicate>(&self) -> Result<Statement<P>, Error> {
        self.require_in_toto()?;
        let wire: Wire<P> = match crate::json::from_slice(self.payload()) {
            Ok(wire) => wire,
            // For a statement of another kind, say so instead of naming an unexpected field.
            Err(error) => {
                self.require_kind::<P>(self.kind()?)?;
                return Err(malformed::<P>(error.to_string()));
            }
        };
        self.require_kind::<P>(kind_of(&wire.predicate_type))?;
        if wire.statement != STATEMENT {
            return Err(malformed::<P>(format!("its `_type` is not `{STATEMENT}`")));
        }
        let (subject, catalogue) = subjects::<P>(wire.subject)?;
        let statement = Statement { catalogue, subject, predicate: wire.predicate };
        // Refuse other encodings of the same statement, which would be stored again under other digests: white space, another order of
        // fields, arrays for objects, explicit defaults, other fields in nested envelopes.
        if statement.payload()? != self.payload() {
            return Err(malformed::<P>("it is not in canonical form".to_owned()));
        }
        Ok(statement)
    }

    /// Returns the statement if `quorum` signed it.
    ///
    /// # Errors
    /// Those of [`Self::claim`], [`Error::OtherCatalogue`], [`Error::NoCatalogue`], [`Error::Threshold`].
    pub fn statement<P: Predicate>(&self, quorum: &Quorum) -> Result<Verified<Statement<P>>, Error> {
        self.statement_for(|_| Ok(quorum.clone()))
    }

    /// Returns the statement if the quorum that `quorum` derives from the unverified claim signed it.
    ///
    /// # Errors
    /// Those of `quorum` and of [`Self::statement`].
    pub fn statement_for<P: Predicate, E: From<Error>>(
        &self,
        quorum: impl FnOnce(&Statement<P>) -> Result<Quorum, E>,
    ) -> Result<Verified<Statement<P>>, E> {
        self.claimed()?.signed_by(quorum)
    }

    /// What the envelope claims, to be looked at before it is known who has to sign it.
    ///
    /// # Errors
    /// Those of [`Self::claim`].
    pub fn claimed<P: Predicate>(&self) -> Result<Claim<'_, P>, Error> {
        Ok(Claim { envelope: self, statement: self.claim()? })
    }

    /// Returns the statement if the quorum that it names itself signed it; `signers` reads that quorum from the claim.
    ///
    /// # Errors
    /// Those of [`Self::claim`], [`Error::Threshold`].
    pub fn verify_self_signed<P: Predicate>(
        &self,
        signers: impl FnOnce(&P) -> Quorum,
    ) -> Result<Verified<Statement<P>>, Error> {
        self.statement_for(|claim: &Statement<P>| Ok(signers(&claim.predicate)))
    }

    fn require_kind<P: Predicate>(&self, found: String) -> Result<(), Error> {
        if found == P::KIND { Ok(()) } else { Err(Error::Kind { found, expected: P::KIND }) }
    }

    fn require_in_toto(&self) -> Result<(), Error> {
        if self.payload_type() == IN_TOTO {
            return Ok(());
        }
        let found = self.payload_type().chars().take(80).collect();
        Err(Error::PayloadType { found, expected: IN_TOTO })
    }
}

/// The statement that an envelope claims to hold. Nobody has checked who signed it.
#[derive(Debug)]
pub struct Claim<'a, P> {
    envelope: &'a Envelope,
    statement: Statement<P>,
}

impl<'a, P: Predicate> Claim<'a, P> {
    /// The envelope.
    pub fn envelope(&self) -> &'a Envelope {
        self.envelope
    }

    /// The statement, if that quorum signed it which `quorum` finds by what it claims.
    ///
    /// # Errors
    /// Those of `quorum`; [`Error::OtherCatalogue`], [`Error::NoCatalogue`], [`Error::Threshold`].
    pub fn signed_by<E: From<Error>>(
        self,
        quorum: impl FnOnce(&Statement<P>) -> Result<Quorum, E>,
    ) -> Result<Verified<Statement<P>>, E> {
        let quorum = quorum(&self.statement)?;
        require_catalogue(&self.statement, &quorum)?;
        Ok(self.envelope.verify(&quorum, self.statement)?)
    }
}

impl<P> std::ops::Deref for Claim<'_, P> {
    type Target = Statement<P>;

    fn deref(&self) -> &Statement<P> {
        &self.statement
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SigningKey;

    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Greeting {
        words: String,
    }

    impl Predicate for Greeting {
        const KIND: &'static str = "greeting";
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Farewell {}

    impl Predicate for Farewell {
        const KIND: &'static str = "farewell";
    }

    fn greeting() -> Statement<Greeting> {
        let subject = Subject { name: "a manifest".to_owned(), digest: Sha256Digest::compute(b"manifest") };
        Statement::new(catalogue(1), subject, Greeting { words: "hello".to_owned() })
    }

    fn catalogue(seed: u8) -> CatalogueId {
        CatalogueId::new(Sha256Digest::compute(&[seed]))
    }

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    #[test]
    fn a_statement_reads_back_and_is_the_in_toto_form() {
        let envelope = greeting().sign(&key()).unwrap();
        let quorum = Quorum::from_key("the greeter", key().verifying_key()).with_catalogue(catalogue(1));
        let verified = envelope.statement::<Greeting>(&quorum).unwrap();
        assert_eq!(*verified, greeting());
        assert_eq!(verified.digest(), envelope.digest());
        insta::assert_snapshot!(String::from_utf8_lossy(envelope.payload()), @r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a manifest","digest":{"sha256":"05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f"}},{"name":"catalogue","digest":{"sha256":"4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"}}],"predicateType":"https://portcullis.dev/greeting/v1","predicate":{"words":"hello"}}"#);
    }

    #[test]
    fn a_statement_counts_in_its_own_catalogue_only() {
        let envelope = greeting().sign(&key()).unwrap();
        let quorum = Quorum::from_key("the greeter", key().verifying_key());
        let elsewhere = quorum.clone().with_catalogue(catalogue(2));
        let refusal = |quorum: &Quorum| envelope.statement::<Greeting>(quorum).unwrap_err();
        assert!(matches!(
            refusal(&elsewhere),
            Error::OtherCatalogue { kind: "greeting", found, expected }
                if found == catalogue(1) && expected == catalogue(2)
        ));
        assert!(matches!(refusal(&quorum), Error::NoCatalogue { .. }), "a quorum of no catalogue");
        assert!(
            matches!(refusal(&elsewhere.with_threshold_one()), Error::OtherCatalogue { .. }),
            "one of them, too"
        );
        let unnamed = Statement { catalogue: None, ..greeting() };
        assert!(matches!(unnamed.sign(&key()), Err(Error::NoCatalogue { .. })), "nobody signs one without");
    }

    #[test]
    fn a_statement_of_before_names_no_catalogue_and_counts_in_none() {
        let named = String::from_utf8(greeting().to_envelope().unwrap().payload().to_vec()).unwrap();
        let (from, to) =
            (named.find(r#",{"name":"catalogue""#).unwrap(), named.find("],\"predicateType").unwrap());
        let payload = format!("{}{}", &named[..from], &named[to..]);
        let mut envelope = Envelope::new(IN_TOTO, payload.into_bytes());
        envelope.sign(&key()).unwrap();
        let quorum = Quorum::from_key("the greeter", key().verifying_key()).with_catalogue(catalogue(1));
        let error = envelope.statement::<Greeting>(&quorum).unwrap_err();
        assert_eq!(error.to_string(), "the greeting does not name its catalogue and is not valid in any");
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let of = |payload: &str| {
            let mut envelope = Envelope::new(IN_TOTO, payload.as_bytes().to_vec());
            envelope.sign(&key()).unwrap();
            envelope.claim::<Greeting>().unwrap_err().to_string()
        };
        let good = String::from_utf8(greeting().to_envelope().unwrap().payload().to_vec()).unwrap();
        let other_type = Envelope::new("text/plain", good.clone().into_bytes());
        let farewell = greeting().to_envelope().unwrap().claim::<Farewell>();
        insta::assert_snapshot!([
            of("{}"),
            of(&good.replace("Statement/v1", "Statement/v2")),
            of(&good.replace("words", "deeds")),
            of(&good.replace("\"hello\"", "\"hello\",\"more\":1")),
            of(&good.replace("greeting/v1", "greeting/v2")),
            farewell.unwrap_err().to_string(),
            other_type.claim::<Greeting>().unwrap_err().to_string(),
            of(&good.replacen(':', ": ", 1)),
            of(&good.replace("{\"words\":\"hello\"}", "[\"hello\"]")),
        ].join("\n"), @"
        not a signed statement: missing field `predicateType` at line 1 column 2
        the greeting is malformed: its `_type` is not `https://in-toto.io/Statement/v1`
        the greeting is malformed: unknown field `deeds`, expected `words` at line 1 column 345
        the greeting is malformed: unknown field `more`, expected `words` at line 1 column 360
        this is a https://portcullis.dev/greeting/v2, not a greeting
        this is a greeting, not a farewell
        the payload type is `text/plain`, not `application/vnd.in-toto+json`
        the greeting is malformed: it is not in canonical form
        the greeting is malformed: invalid type: sequence, expected struct Greeting at line 1 column 337
        ");
    }
}
