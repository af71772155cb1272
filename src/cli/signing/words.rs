//! What statements say to the person who signs them: every field that has consequences, from the bytes themselves.

use crate::access::{ApprovalShare, Denial, Grant, Handover, Request, Revocation, Withdrawal};
use crate::digest::Sha256Digest;
use crate::identity::Card;
use crate::misuse::{Case, CaseStep, Step};
use crate::name::Label;
use crate::statement::Predicate;
use crate::usage::JournalDeclaration;

/// A line's name and what it says.
type Lines = Vec<(&'static str, String)>;

/// A statement that a person signs.
pub(in crate::cli) trait InWords: Predicate {
    /// What it says.
    fn in_words(&self) -> Lines;
}

fn person(card: &Card) -> String {
    let organization =
        card.organization.as_ref().map(|name| format!(", {name} (by their own word)")).unwrap_or_default();
    let deceives = card.name.mixes_scripts() || card.organization.as_ref().is_some_and(Label::mixes_scripts);
    let caution = if deceives { "; BEWARE: letters of several scripts" } else { "" };
    format!("{}{organization}, key {}{caution}", card.name, card.verifying_key.id())
}

fn listed<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "any".to_owned() } else { items.join(", ") }
}

fn agreement(digest: Option<Sha256Digest>) -> String {
    digest.map_or_else(|| "none".to_owned(), |digest| format!("accepted: {digest}"))
}

impl InWords for Request {
    fn in_words(&self) -> Lines {
        let mut lines = vec![
            ("checkpoint", self.checkpoint.to_string()),
            ("asks", person(&self.card)),
            ("purpose", self.purpose.as_str().to_owned()),
            ("uses", listed(&self.uses)),
            ("days", self.days.to_string()),
            ("agreement", agreement(self.agreement)),
        ];
        let members = self.holders().unwrap_or_default();
        lines.extend(members.iter().skip(1).map(|member| ("and for", person(member))));
        lines.extend(self.renews.map(|renewed| ("renews", renewed.to_string())));
        lines
    }
}

impl InWords for Grant {
    fn in_words(&self) -> Lines {
        let mut lines = vec![
            ("for", person(&self.researcher)),
            ("checkpoint", format!("{} in stage `{}`", self.checkpoint, self.stage)),
            ("uses", listed(&self.uses)),
            ("days", format!("{}, from {} until {}", self.days(), self.issued, self.expires)),
            ("agreement", agreement(self.agreement)),
            ("request", self.request.to_string()),
            ("policy", self.policy.to_string()),
        ];
        // A card is signed by its own key alone.
        lines.extend(self.researcher.organization.as_ref().map(|organization| {
            ("confirms", format!("that {} belongs to {organization}: nobody else has", self.researcher.name))
        }));
        lines
    }
}

impl InWords for ApprovalShare {
    fn in_words(&self) -> Lines {
        vec![("opens", format!("your share of the key, for the grant {} alone", self.grant))]
    }
}

impl InWords for Denial {
    fn in_words(&self) -> Lines {
        vec![("request", self.request.to_string()), ("reason", self.reason.as_str().to_owned())]
    }
}

impl InWords for Withdrawal {
    fn in_words(&self) -> Lines {
        vec![("request", self.request.to_string())]
    }
}

impl InWords for Revocation {
    fn in_words(&self) -> Lines {
        vec![("grant", self.grant.to_string()), ("reason", self.reason.as_str().to_owned())]
    }
}

impl InWords for Handover {
    fn in_words(&self) -> Lines {
        vec![
            (
                "gives",
                "your share of the key to the registry, which then answers anyone by itself".to_owned(),
            ),
            ("stage", self.stage.to_string()),
            ("policy", self.policy.to_string()),
        ]
    }
}

impl InWords for Case {
    fn in_words(&self) -> Lines {
        vec![
            ("grant", self.grant.to_string()),
            ("person", format!("key {}", self.person)),
            ("records", self.records.len().to_string()),
            ("rules", if self.rules.is_empty() { "none".to_owned() } else { listed(&self.rules) }),
            ("severity", format!("{:?}", self.severity).to_lowercase()),
            ("reason", self.reason.as_str().to_owned()),
        ]
    }
}

impl InWords for JournalDeclaration {
    fn in_words(&self) -> Lines {
        let mut lines = vec![("journal", format!("{} is used from now on", self.journal))];
        lines.extend(self.lost.iter().map(|lost| ("lost", format!("{lost}, which auditors will look at"))));
        lines.push(("reason", self.reason.as_str().to_owned()));
        lines
    }
}

impl InWords for CaseStep {
    fn in_words(&self) -> Lines {
        let mut lines = vec![("case", self.case.to_string())];
        match &self.step {
            Step::Assign { to } => lines.push(("assigns", format!("the case to key {to}"))),
            Step::Comment { text } => lines.push(("notes", text.as_str().to_owned())),
            Step::Decide { outcome, reason, until } => {
                lines.push(("decides", outcome.to_string()));
                lines.extend(until.map(|until| ("until", until.to_string())));
                lines.push(("reason", reason.as_str().to_owned()));
            }
            Step::Appeal { text } => lines.push(("appeals", text.as_str().to_owned())),
        }
        lines
    }
}
