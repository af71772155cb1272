//! What statements say to the person who signs them: every field that has consequences, from the bytes themselves.

use crate::access::{Affiliation, ApprovalShare, Denial, Grant, Handover, Request, Revocation, Withdrawal};
use crate::cli::people::People;
use crate::digest::Sha256Digest;
use crate::misuse::{Case, CaseStep, Step};
use crate::statement::Predicate;
use crate::usage::JournalDeclaration;

/// A line's name and what it says.
type Lines = Vec<(&'static str, String)>;

/// A statement that a person signs.
pub(in crate::cli) trait Describe: Predicate {
    /// What it says; of people, with what is known of them.
    fn describe_lines(&self, people: &People) -> Lines;
}

fn listed<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "any".to_owned() } else { items.join(", ") }
}

fn agreement(digest: Option<Sha256Digest>) -> String {
    digest.map_or_else(|| "none".to_owned(), |digest| format!("accepted: {digest}"))
}

/// The policy that a grant cites.
fn cited_policy(grant: &Grant) -> String {
    let version = grant.policy_version.map(|version| format!("version {version}, ")).unwrap_or_default();
    format!("{version}{}", grant.policy)
}

impl Describe for Request {
    fn describe_lines(&self, people: &People) -> Lines {
        let mut lines = vec![
            ("checkpoint", self.checkpoint.to_string()),
            ("asks", people.describe(&self.card)),
            ("purpose", self.purpose.as_str().to_owned()),
            ("uses", listed(&self.uses)),
            ("days", self.days.to_string()),
            ("agreement", agreement(self.agreement)),
        ];
        let members = self.holders().unwrap_or_default();
        lines.extend(members.iter().skip(1).map(|member| ("and for", people.describe(member))));
        lines.extend(self.renews.map(|renewed| ("renews", renewed.to_string())));
        lines
    }
}

impl Describe for Grant {
    fn describe_lines(&self, people: &People) -> Lines {
        let mut lines = vec![
            ("for", people.describe(&self.researcher)),
            ("checkpoint", format!("{} in stage `{}`", self.checkpoint, self.stage)),
            ("uses", listed(&self.uses)),
            ("days", format!("{}, from {} until {}", self.days(), self.issued, self.expires)),
            ("agreement", agreement(self.agreement)),
            ("request", self.request.to_string()),
            ("policy", cited_policy(self)),
        ];
        // A card is signed by its own key alone.
        let organization =
            self.researcher.organization.as_ref().filter(|_| people.is_unconfirmed(&self.researcher));
        lines.extend(organization.map(|organization| {
            let (name, why) = (&self.researcher.name, people.unconfirmed_reason(&self.researcher));
            ("confirms", format!("that {name} belongs to {organization}: {why}; by signing, you confirm it"))
        }));
        lines
    }
}

impl Describe for ApprovalShare {
    fn describe_lines(&self, _: &People) -> Lines {
        vec![("opens", format!("your share of the key, for the grant {} alone", self.grant))]
    }
}

impl Describe for Denial {
    fn describe_lines(&self, _: &People) -> Lines {
        vec![("request", self.request.to_string()), ("reason", self.reason.as_str().to_owned())]
    }
}

impl Describe for Withdrawal {
    fn describe_lines(&self, _: &People) -> Lines {
        vec![("request", self.request.to_string())]
    }
}

impl Describe for Revocation {
    fn describe_lines(&self, _: &People) -> Lines {
        vec![("grant", self.grant.to_string()), ("reason", self.reason.as_str().to_owned())]
    }
}

impl Describe for Handover {
    fn describe_lines(&self, _: &People) -> Lines {
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

impl Describe for Affiliation {
    fn describe_lines(&self, _: &People) -> Lines {
        let Self { organization, person, created, until, reason } = self;
        let who = format!("{}, key {}", person.name, person.verifying_key.id());
        let mut lines = vec![("person", who), ("organization", organization.to_string())];
        lines.push(if self.withdraws() {
            ("says", format!("that they no longer belong to it, from {created}"))
        } else {
            ("says", format!("that they belong to it, from {created} until {until}"))
        });
        lines.extend(reason.iter().map(|reason| ("reason", reason.as_str().to_owned())));
        lines
    }
}

impl Describe for Case {
    fn describe_lines(&self, _: &People) -> Lines {
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

impl Describe for JournalDeclaration {
    fn describe_lines(&self, _: &People) -> Lines {
        let mut lines = vec![("journal", format!("{} is used from now on", self.journal))];
        lines.extend(self.lost.iter().map(|lost| ("lost", format!("{lost}, which auditors will review"))));
        lines.push(("reason", self.reason.as_str().to_owned()));
        lines
    }
}

impl Describe for CaseStep {
    fn describe_lines(&self, _: &People) -> Lines {
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
