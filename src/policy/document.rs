//! Parses policies from TOML to [`Policy`].
//!
//! Policies are signed by the board, so tampering with the text makes it invalid. The parser's part is that no text causes a panic, a hang
//! or unbounded memory, and that no rule is guessed: a gated stage that lacks a required key is refused rather than given a default.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};
use toml::Spanned;
use toml::value::Datetime;

use super::error::Error;
use super::excerpt::{Excerpt, line_at, parser_excerpt, parser_message};
use super::stage::{
    AffiliationProof, Audience, EvidenceBound, Limits, Lines, Policy, Requires, Stage, UsageMode,
};
use super::word::{AgreementName, BoardName, EvidenceKind, Metric, StageName};
use crate::name::CheckpointId;

/// Maximum size of a policy.
pub const MAX_BYTES: usize = 64 * 1024;
/// The supported version of the format.
pub const SCHEMA: u32 = 1;
const MAX_STAGES: usize = 32;
const MAX_ITEMS: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyText {
    schema: Spanned<u32>,
    checkpoint: CheckpointId,
    version: Spanned<NonZeroU32>,
    expires: Spanned<Datetime>,
    keeps_grants_from: Option<Spanned<NonZeroU32>>,
    stage: Spanned<Vec<StageText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StageText {
    name: Spanned<StageName>,
    audience: Spanned<AudienceText>,
    approvals: Option<Spanned<BTreeMap<BoardName, NonZeroU32>>>,
    agreement: Option<AgreementName>,
    uses: Option<Spanned<Vec<Spanned<String>>>>,
    max_days: Option<Spanned<u32>>,
    #[serde(default)]
    limits: LimitsText,
    usage: UsageMode,
    lease_hours: Option<Spanned<u32>>,
    #[serde(default)]
    requires: RequiresText,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct LimitsText {
    tokens_per_day: Option<Spanned<u64>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RequiresText {
    #[serde(default)]
    soak_days: u32,
    #[serde(default)]
    evidence: Vec<EvidenceText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EvidenceText {
    kind: Spanned<EvidenceKind>,
    metric: Metric,
    at_least: Option<Spanned<f64>>,
    at_most: Option<Spanned<f64>>,
    #[serde(default)]
    samples: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedText {
    #[serde(default)]
    organizations: Vec<Spanned<String>>,
    #[serde(default)]
    people: Vec<Spanned<String>>,
    #[serde(default)]
    affiliation: AffiliationProof,
}

enum AudienceText {
    Anyone,
    Named(NamedText),
}

impl<'de> Deserialize<'de> for AudienceText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AudienceVisitor;

        impl<'de> Visitor<'de> for AudienceVisitor {
            type Value = AudienceText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"anyone\", or a table with `organizations`, `people` or both")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AudienceText, E> {
                if text == "anyone" {
                    Ok(AudienceText::Anyone)
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AudienceText, A::Error> {
                NamedText::deserialize(MapAccessDeserializer::new(map)).map(AudienceText::Named)
            }
        }

        deserializer.deserialize_any(AudienceVisitor)
    }
}

impl Policy {
    /// Parses a policy from TOML.
    ///
    /// # Errors
    ///
    /// The first error, with its line, column and the line itself.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_BYTES {
            return Err(Error::TooLong { bytes: text.len() });
        }
        let parsed: PolicyText =
            toml::Deserializer::parse(text).and_then(crate::json::strictly).map_err(|error| Error::Toml {
                at: parser_excerpt(text, &error),
                message: parser_message(&error),
            })?;
        if *parsed.schema.get_ref() != SCHEMA {
            let at = Excerpt::new(text, parsed.schema.span());
            return Err(Error::Schema { at, found: parsed.schema.into_inner() });
        }
        let end = parsed.expires.get_ref().to_string();
        let expires = end
            .parse()
            .map_err(|_| Error::Expires { at: Excerpt::new(text, parsed.expires.span()), text: end })?;
        let version_line = line_at(text, parsed.version.span().start);
        let version = parsed.version.into_inner().get();
        let keeps_place = parsed.keeps_grants_from.as_ref().map(Spanned::span);
        let keeps_grants_from = parsed.keeps_grants_from.map_or(version, |keeps| keeps.into_inner().get());
        if let Some(place) = keeps_place.clone().filter(|_| keeps_grants_from > version) {
            let at = Excerpt::new(text, place);
            return Err(Error::KeepsAhead { at, keeps: keeps_grants_from, version });
        }
        let place = parsed.stage.span();
        let stages = parsed.stage.into_inner();
        if stages.is_empty() {
            return Err(Error::NoStages { at: Excerpt::new(text, place) });
        }
        require_length(text, place, "stages", stages.len(), MAX_STAGES)?;
        let mut names = BTreeSet::new();
        for StageText { name, .. } in &stages {
            if !names.insert(name.get_ref()) {
                let at = Excerpt::new(text, name.span());
                return Err(Error::StageTwice { at, name: name.get_ref().clone() });
            }
        }
        Ok(Self {
            checkpoint: parsed.checkpoint,
            version,
            expires,
            keeps_grants_from,
            stages: stages.into_iter().map(|stage| stage.read(text)).collect::<Result<_, _>>()?,
            expires_line: line_at(text, parsed.expires.span().start),
            keeps_line: keeps_place.map_or(version_line, |place| line_at(text, place.start)),
            version_line,
        })
    }
}

/// Refuses a list that is too long.
fn require_length(
    text: &str,
    place: std::ops::Range<usize>,
    what: &'static str,
    count: usize,
    max: usize,
) -> Result<(), Error> {
    if count > max {
        return Err(Error::TooMany { at: Excerpt::new(text, place), what, count, max });
    }
    Ok(())
}

/// Parses the words of a list one by one, so that an error points at the word.
fn parse_words<T>(text: &str, list: Vec<Spanned<String>>) -> Result<BTreeSet<T>, Error>
where
    T: FromStr<Err: fmt::Display> + Ord,
{
    let read = |word: Spanned<String>| {
        let refusal =
            |error: T::Err| Error::Word { at: Excerpt::new(text, word.span()), message: error.to_string() };
        word.get_ref().parse().map_err(refusal)
    };
    list.into_iter().map(read).collect()
}

impl StageText {
    fn read(self, text: &str) -> Result<Stage, Error> {
        let lines = self.lines(text);
        let audience_place = self.audience.span();
        let audience = match self.audience.into_inner() {
            AudienceText::Anyone => Audience::Anyone,
            AudienceText::Named(NamedText { organizations, people, affiliation }) => {
                let count = organizations.len() + people.len();
                require_length(text, audience_place, "names", count, MAX_ITEMS)?;
                Audience::Named {
                    organizations: parse_words(text, organizations)?,
                    people: parse_words(text, people)?,
                    affiliation,
                }
            }
        };
        let place = self.name.span();
        let says_approvals = self.approvals.is_some();
        let uses = self.uses.map(Spanned::into_inner).unwrap_or_default();
        require_length(text, place.clone(), "uses", uses.len(), MAX_ITEMS)?;
        let approvals = self.approvals.map(Spanned::into_inner).unwrap_or_default();
        require_length(text, place.clone(), "boards", approvals.len(), MAX_STAGES)?;
        let evidence = self.requires.evidence;
        require_length(text, place.clone(), "pieces of evidence", evidence.len(), MAX_ITEMS)?;
        let stage = Stage {
            name: self.name.into_inner(),
            audience,
            approvals,
            agreement: self.agreement,
            uses: parse_words(text, uses)?,
            limits: Limits {
                usage: self.usage,
                lease_hours: self.lease_hours.map(Spanned::into_inner),
                tokens_per_day: self.limits.tokens_per_day.map(Spanned::into_inner),
                max_days: self.max_days.map(Spanned::into_inner),
            },
            requires: Requires {
                soak_days: self.requires.soak_days,
                evidence: evidence.into_iter().map(|bound| bound.read(text)).collect::<Result<_, _>>()?,
            },
            lines,
        };
        match find_missing_key(&stage, says_approvals) {
            Some((key, why)) => {
                Err(Error::Unsaid { at: Excerpt::new(text, place), name: stage.name, key, why })
            }
            None => Ok(stage),
        }
    }

    fn lines(&self, text: &str) -> Lines {
        fn start<T>(key: Option<&Spanned<T>>) -> Option<usize> {
            key.map(|key| key.span().start)
        }
        let name = self.name.span().start;
        let line = |at: Option<usize>| line_at(text, at.unwrap_or(name));
        Lines {
            name: line(None),
            audience: line(start(Some(&self.audience))),
            approvals: line(start(self.approvals.as_ref())),
            uses: line(start(self.uses.as_ref())),
            max_days: line(start(self.max_days.as_ref())),
            lease_hours: line(start(self.lease_hours.as_ref())),
            tokens_per_day: line(start(self.limits.tokens_per_day.as_ref())),
        }
    }
}

/// The key that a gated stage lacks, and why it needs it.
fn find_missing_key(stage: &Stage, says_approvals: bool) -> Option<(&'static str, &'static str)> {
    if stage.is_public() {
        None
    } else if !says_approvals {
        Some(("approvals", "such as `{ board = 2 }`, or `{}` to let the registry grant by itself"))
    } else if stage.limits.max_days.is_none() {
        Some(("max_days", "a grant must expire"))
    } else if stage.limits.lease_hours.is_none() {
        Some(("lease_hours", "a lease must expire for a revocation to take effect"))
    } else {
        None
    }
}

impl EvidenceText {
    fn read(self, text: &str) -> Result<EvidenceBound, Error> {
        if self.at_least.is_none() && self.at_most.is_none() {
            return Err(Error::NoBound { at: Excerpt::new(text, self.kind.span()) });
        }
        for bound in [&self.at_least, &self.at_most].into_iter().flatten() {
            if !bound.get_ref().is_finite() {
                return Err(Error::NotFinite { at: Excerpt::new(text, bound.span()) });
            }
        }
        Ok(EvidenceBound {
            line: line_at(text, self.kind.span().start),
            kind: self.kind.into_inner(),
            metric: self.metric,
            at_least: self.at_least.map(Spanned::into_inner),
            at_most: self.at_most.map(Spanned::into_inner),
            samples: self.samples,
        })
    }
}
