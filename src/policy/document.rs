//! Policies as they are written: TOML to [`Policy`].
//!
//! Whoever tampers with the text can at most make it refused or change the rules, which is why a policy counts only
//! under the board's signatures; the reader's part is that no text panics, hangs or exhausts memory, and that no rule
//! is guessed. What a gated stage leaves unsaid is refused rather than filled in with something generous.

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
use super::excerpt::{Excerpt, line_of, message_of, place_of};
use super::stage::{
    AffiliationProof, Audience, EvidenceBound, Limits, Lines, Policy, Requires, Stage, UsageMode,
};
use super::word::{AgreementName, BoardName, EvidenceKind, Metric, StageName};
use crate::name::CheckpointId;

/// Longest policy that is read.
pub const MAX_BYTES: usize = 64 * 1024;
/// The version of the format that is read.
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
        struct Either;

        impl<'de> Visitor<'de> for Either {
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

        deserializer.deserialize_any(Either)
    }
}

impl Policy {
    /// Reads a policy's TOML.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its line, column and the line itself.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_BYTES {
            return Err(Error::TooLong { bytes: text.len() });
        }
        let parsed: PolicyText = toml::Deserializer::parse(text)
            .and_then(crate::json::deserialize_strict)
            .map_err(|error| Error::Toml { at: place_of(text, &error), message: message_of(&error) })?;
        if *parsed.schema.get_ref() != SCHEMA {
            let at = Excerpt::of(text, parsed.schema.span());
            return Err(Error::Schema { at, found: parsed.schema.into_inner() });
        }
        let end = parsed.expires.get_ref().to_string();
        let expires = end
            .parse()
            .map_err(|_| Error::Expires { at: Excerpt::of(text, parsed.expires.span()), text: end })?;
        let version_line = line_of(text, parsed.version.span().start);
        let version = parsed.version.into_inner().get();
        let keeps_place = parsed.keeps_grants_from.as_ref().map(Spanned::span);
        let keeps_grants_from = parsed.keeps_grants_from.map_or(version, |keeps| keeps.into_inner().get());
        if let Some(place) = keeps_place.clone().filter(|_| keeps_grants_from > version) {
            let at = Excerpt::of(text, place);
            return Err(Error::KeepsAhead { at, keeps: keeps_grants_from, version });
        }
        let place = parsed.stage.span();
        let stages = parsed.stage.into_inner();
        if stages.is_empty() {
            return Err(Error::NoStages { at: Excerpt::of(text, place) });
        }
        bounded(text, place, ("stages", stages.len(), MAX_STAGES))?;
        let mut names = BTreeSet::new();
        for StageText { name, .. } in &stages {
            if !names.insert(name.get_ref()) {
                let at = Excerpt::of(text, name.span());
                return Err(Error::StageTwice { at, name: name.get_ref().clone() });
            }
        }
        Ok(Self {
            checkpoint: parsed.checkpoint,
            version,
            expires,
            keeps_grants_from,
            stages: stages.into_iter().map(|stage| stage.read(text)).collect::<Result<_, _>>()?,
            expires_line: line_of(text, parsed.expires.span().start),
            keeps_line: keeps_place.map_or(version_line, |place| line_of(text, place.start)),
            version_line,
        })
    }
}

/// Refuses more of something than a policy can sensibly hold.
fn bounded(text: &str, place: std::ops::Range<usize>, of: (&'static str, usize, usize)) -> Result<(), Error> {
    let (what, count, max) = of;
    if count > max {
        return Err(Error::TooMany { at: Excerpt::of(text, place), what, count, max });
    }
    Ok(())
}

/// The words of a list; they are read one by one, so that a refusal points at the one and not at the list.
fn words<T>(text: &str, list: Vec<Spanned<String>>) -> Result<BTreeSet<T>, Error>
where
    T: FromStr<Err: fmt::Display> + Ord,
{
    let read = |word: Spanned<String>| {
        let refusal =
            |error: T::Err| Error::Word { at: Excerpt::of(text, word.span()), message: error.to_string() };
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
                bounded(text, audience_place, ("names", count, MAX_ITEMS))?;
                Audience::Named {
                    organizations: words(text, organizations)?,
                    people: words(text, people)?,
                    affiliation,
                }
            }
        };
        let place = self.name.span();
        let says_approvals = self.approvals.is_some();
        let uses = self.uses.map(Spanned::into_inner).unwrap_or_default();
        bounded(text, place.clone(), ("uses", uses.len(), MAX_ITEMS))?;
        let approvals = self.approvals.map(Spanned::into_inner).unwrap_or_default();
        bounded(text, place.clone(), ("boards", approvals.len(), MAX_STAGES))?;
        let evidence = self.requires.evidence;
        bounded(text, place.clone(), ("pieces of evidence", evidence.len(), MAX_ITEMS))?;
        let stage = Stage {
            name: self.name.into_inner(),
            audience,
            approvals,
            agreement: self.agreement,
            uses: words(text, uses)?,
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
        match unsaid(&stage, says_approvals) {
            Some((key, why)) => {
                Err(Error::Unsaid { at: Excerpt::of(text, place), name: stage.name, key, why })
            }
            None => Ok(stage),
        }
    }

    fn lines(&self, text: &str) -> Lines {
        fn start<T>(key: Option<&Spanned<T>>) -> Option<usize> {
            key.map(|key| key.span().start)
        }
        let name = self.name.span().start;
        let line = |at: Option<usize>| line_of(text, at.unwrap_or(name));
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

/// What a gated stage leaves unsaid although a grant under it must say it.
fn unsaid(stage: &Stage, says_approvals: bool) -> Option<(&'static str, &'static str)> {
    if stage.is_public() {
        None
    } else if !says_approvals {
        Some(("approvals", "`{ board = 2 }` for instance, or `{}` to let the registry grant by itself"))
    } else if stage.limits.max_days.is_none() {
        Some(("max_days", "a grant ends"))
    } else if stage.limits.lease_hours.is_none() {
        Some(("lease_hours", "a lease is renewed, or a revocation would reach nobody"))
    } else {
        None
    }
}

impl EvidenceText {
    fn read(self, text: &str) -> Result<EvidenceBound, Error> {
        if self.at_least.is_none() && self.at_most.is_none() {
            return Err(Error::NoBound { at: Excerpt::of(text, self.kind.span()) });
        }
        for bound in [&self.at_least, &self.at_most].into_iter().flatten() {
            if !bound.get_ref().is_finite() {
                return Err(Error::NotFinite { at: Excerpt::of(text, bound.span()) });
            }
        }
        Ok(EvidenceBound {
            line: line_of(text, self.kind.span().start),
            kind: self.kind.into_inner(),
            metric: self.metric,
            at_least: self.at_least.map(Spanned::into_inner),
            at_most: self.at_most.map(Spanned::into_inner),
            samples: self.samples,
        })
    }
}
