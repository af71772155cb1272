//! What a refusal means to the client: its cause, and what to do next (P8).

use std::borrow::Cow;

use super::Error;
use crate::access::{self, Fault};
use crate::catalogue::RepositoryError;
use crate::digest::Sha256Digest;
use crate::policy::{ReleaseError, Succession};
use crate::store::QuotaRefusal;
use crate::{blob, store};

impl Error {
    /// The cause of the refusal and the next step.
    pub fn next_step(&self) -> (Fault, Cow<'static, str>) {
        if let Self::Access(access::Error::Revoked { board, by_auditor, .. }) = self {
            return (Fault::Rule, access::suggest_appeal(board, *by_auditor).into());
        }
        if let Self::Access(access::Error::NotConfirmed { organization, registrars, .. }) = self {
            return (Fault::Rule, access::suggest_confirmation(organization, registrars).into());
        }
        if let Some(next) = self.grant_advice() {
            return (Fault::Rule, next.into());
        }
        let (fault, next) = self.form_advice().unwrap_or_else(|| self.default_advice());
        (fault, next.into())
    }

    /// Advice for approvals and revocations that come too late or too early.
    fn grant_advice(&self) -> Option<String> {
        Some(match self {
            Self::ApprovalOfEnded { request, .. } => {
                format!("`portcullis approve {}` drafts another, if the request still waits", short(*request))
            }
            Self::GrantedAlready { .. } => {
                "nothing is left to approve: `portcullis grant list` shows it".to_owned()
            }
            Self::NothingToApprove { checkpoint, .. } => format!(
                "it grants once the board has handed over its shares: `portcullis handover {checkpoint}`"
            ),
            Self::NeverStood { request, .. } => {
                format!("if its request waits, deny it: `portcullis deny {} --reason \"…\"`", short(*request))
            }
            _ => return None,
        })
    }

    /// Advice for statements that are refused before verification: form, cost or quota.
    fn form_advice(&self) -> Option<(Fault, &'static str)> {
        Some(match self {
            Self::Statement(error) if !error.is_about_signers() => (
                Fault::Proof,
                "send it as this program writes it, with the signatures that its kind has and no others",
            ),
            Self::WorkNeeded { .. } => (
                Fault::Rule,
                "do the work in `work`, and send it as `portcullis-work: <challenge>:<counter>`",
            ),
            Self::Newcomer { .. } => {
                (Fault::Rule, "ask with `portcullis request new <checkpoint> --purpose <why>` first")
            }
            Self::Store(store::Error::Intake(refusal)) => quota_advice(refusal),
            _ => return None,
        })
    }

    /// Advice for usage and cases.
    fn usage_advice(&self) -> (Fault, &'static str) {
        match self {
            Self::Usage(_) => {
                (Fault::Proof, "`portcullis usage status` checks the journal and shows where it was changed")
            }
            Self::Case(_) => {
                (Fault::Rule, "`portcullis case show <case>` shows the case and who may take which step")
            }
            Self::Name(_) | Self::Word(_) => (Fault::Request, "shorten it"),
            Self::JournalForked { .. } => {
                (Fault::Proof, "`portcullis usage status` shows what is synced; write to the auditors")
            }
            Self::Unsynced { .. } | Self::JournalUntold => {
                (Fault::Rule, "send the records with `portcullis usage sync`, then try again")
            }
            Self::JournalUndeclared { .. } => (
                Fault::Rule,
                "restore the journal if it was moved; on another machine of yours: `portcullis usage declare --reason \"…\"`; if it is lost: `portcullis usage explain <journal> --reason \"…\"`, which auditors look at",
            ),
            Self::JournalCut { .. } | Self::JournalOverdue { .. } => (
                Fault::Rule,
                "send its records with `portcullis usage sync` if it is intact; if it is lost: `portcullis usage explain <journal> --reason \"…\"`, which auditors look at",
            ),
            Self::JournalGivenUp { .. } => (
                Fault::Rule,
                "move the home's `usage` folder away, and declare the new journal: `portcullis usage declare --reason \"…\"`",
            ),
            Self::GenerationUnended { .. } => (
                Fault::Rule,
                "`portcullis usage sync` ends what can be ended; for the rest: `portcullis usage explain <record> --reason \"…\"`",
            ),
            Self::LossUndecided { .. } => {
                (Fault::Rule, "wait until the auditors decide it: `portcullis case list` shows its state")
            }
            Self::JournalKnown { .. } | Self::NoSuchJournal { .. } | Self::NothingToDeclare => {
                (Fault::Request, "`portcullis usage status` names the journal of this machine")
            }
            Self::TooManyJournals { .. } => (
                Fault::Rule,
                "give up the journals of machines that you no longer use: `portcullis usage explain <journal> --reason \"…\"`",
            ),
            Self::Suspended { .. } => (
                Fault::Rule,
                "`portcullis case list` shows why; `portcullis case appeal <case> --reason \"…\"` objects",
            ),
            _ => (Fault::Busy, "try again"),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each kind of refusal, and none left out")]
    fn default_advice(&self) -> (Fault, &'static str) {
        match self {
            Self::Access(error) => access_advice(error),
            Self::Statement(_) | Self::Unsigned => {
                (Fault::Proof, "sign it with the key that it names, and submit it again")
            }
            Self::Over { .. } => (
                Fault::Rule,
                "a grant is ended with `portcullis revoke <grant> --reason \"…\"`; for anything else, ask with a new request",
            ),
            // Handled above with their names.
            Self::ApprovalOfEnded { .. }
            | Self::GrantedAlready { .. }
            | Self::NothingToApprove { .. }
            | Self::NeverStood { .. } => (Fault::Rule, "`portcullis request list` shows its state"),
            Self::OwnRequest => (Fault::Rule, "leave it to the other members"),
            Self::NoMember { .. } => (Fault::Rule, "let a member of the board sign it"),
            Self::Seal(_) => (Fault::Proof, "seal the checkpoint again, and submit every part of it"),
            Self::Client(_) => (
                Fault::Request,
                "check the checkpoint's name; the board may not have published everything yet",
            ),
            Self::TooFewHandovers { .. } => {
                (Fault::Rule, "the board's members run `portcullis handover <checkpoint>`")
            }
            Self::NotTheRegistry { .. } => (Fault::Rule, "use the registry's own key"),
            Self::Gated { .. } => (Fault::Rule, "ask with `portcullis request new <checkpoint> --terms`"),
            Self::NotLeased { .. } | Self::NotKept { .. } => (
                Fault::Rule,
                "send what this program recorded, unchanged; `portcullis usage explain <journal> --reason \"…\"` gives up a journal that is no such record",
            ),
            Self::Crowded => (Fault::Busy, "try again in some seconds"),
            Self::Unfounded => (
                Fault::Busy,
                "the owners found it with `portcullis catalogue init --owner <card> --owner-threshold <count> --registry-card <card>`, and sign",
            ),
            Self::FoundedForAnother { .. } => (
                Fault::Request,
                "give the card of this registry with --registry-card: the operator has it as `registry.card` in the registry's folder",
            ),
            Self::FoundingCode => (
                Fault::Rule,
                "give the code that `registry init` showed, with --founding-code; its operator can make another with `registry init <folder> --new-founding-code`",
            ),
            Self::NotSealed { .. } => (Fault::Busy, "a board member runs `portcullis seal <folder>`"),
            Self::Unknown { .. } => {
                (Fault::Request, "check the digest, and that it was submitted to this registry")
            }
            Self::Usage(_)
            | Self::Case(_)
            | Self::Name(_)
            | Self::Word(_)
            | Self::JournalForked { .. }
            | Self::Unsynced { .. }
            | Self::JournalUntold
            | Self::JournalUndeclared { .. }
            | Self::JournalCut { .. }
            | Self::JournalOverdue { .. }
            | Self::JournalGivenUp { .. }
            | Self::JournalKnown { .. }
            | Self::NoSuchJournal { .. }
            | Self::NothingToDeclare
            | Self::TooManyJournals { .. }
            | Self::LossUndecided { .. }
            | Self::GenerationUnended { .. }
            | Self::Suspended { .. } => self.usage_advice(),
            Self::NoPart { .. } => (Fault::Request, "see /log/checkpoint for the size of the log"),
            Self::NotWitnessed { .. } => (Fault::Busy, "try again; the operator checks the witnesses"),
            Self::NotForPeople { .. } => (Fault::Request, "ask the registry for one"),
            Self::OtherSubject { .. } => {
                (Fault::Proof, "make it with this program, which takes the subject from what it refers to")
            }
            Self::NotTheDraft => {
                (Fault::Rule, "approve the request again with the catalogue brought up to date")
            }
            Self::NotTheLastWord { .. } => {
                (Fault::Rule, "`portcullis affiliation list` shows the statements; sign a new one")
            }
            Self::Clock { .. } => (Fault::Proof, "set the clock, and make it again"),
            Self::Challenge => (Fault::Proof, "ask for a new challenge"),
            Self::WorkNeeded { .. } | Self::Newcomer { .. } => {
                (Fault::Rule, "ask with `portcullis request new <checkpoint> --purpose <why>`")
            }
            Self::NotYours => (Fault::Rule, "use the identity that it belongs to (--home)"),
            Self::Release(error) => release_advice(error),
            Self::Repository(RepositoryError::Unsigned { .. }) => (
                Fault::Proof,
                "sign it as you propose it, as `portcullis catalogue propose <checkpoint>` does",
            ),
            Self::Repository(_) => {
                (Fault::Rule, "`portcullis catalogue status` shows the state of the catalogue")
            }
            Self::Blob(blob::Error::WrongDigest { .. }) => {
                (Fault::Proof, "send the chunk whole, under the SHA-256 of its bytes")
            }
            Self::Log(_)
            | Self::Catalogue(_)
            | Self::Store(_)
            | Self::Blob(_)
            | Self::Io { .. }
            | Self::Busy => (Fault::Busy, "try again; the operator finds more in the registry's log"),
        }
    }
}

/// The first digits of a digest, as people write it.
fn short(digest: Sha256Digest) -> String {
    digest.to_string().chars().take(12).collect()
}

fn quota_advice(refusal: &QuotaRefusal) -> (Fault, &'static str) {
    match refusal {
        QuotaRefusal::Repeated { .. } => (Fault::Rule, "`portcullis request show <request>` shows its state"),
        QuotaRefusal::Pending { .. } => (
            Fault::Rule,
            "wait for the board's answer, or take one back with `portcullis request withdraw <request>`",
        ),
        QuotaRefusal::PersonDay { .. }
        | QuotaRefusal::NetworkDay { .. }
        | QuotaRefusal::NewcomersDay { .. } => (Fault::Rule, "ask again tomorrow"),
        QuotaRefusal::KindDay { .. } => (
            Fault::Rule,
            "go on tomorrow; if this is your work, the operator can raise `limits.statements_per_person`",
        ),
        QuotaRefusal::UsageDay { .. } => (Fault::Rule, "sync the rest tomorrow: `portcullis usage sync`"),
    }
}

fn access_advice(error: &access::Error) -> (Fault, &'static str) {
    use access::Error as E;
    match error {
        E::Statement(_) | E::NotTheirShare { .. } => {
            (Fault::Proof, "sign it with the key that it names, and submit it again")
        }
        E::NotPermitted { .. } | E::NotConfirmed { .. } | E::UnknownStage { .. } | E::Board { .. } => {
            (Fault::Rule, "`portcullis request new <checkpoint> --terms` shows what the stage allows")
        }
        E::PolicyReplaced { .. }
        | E::NotKept { .. }
        | E::NoLongerPermitted { .. }
        | E::StageMovedBack { .. }
        | E::OtherManifest { .. }
        | E::Expired { .. } => (Fault::Rule, "make a new request under the rules that are in force now"),
        E::PolicyMiscited { .. } => (Fault::Proof, "ask its signers for one that cites the policy in force"),
        E::Awaited { .. } => (Fault::Rule, "`portcullis request show <request>` shows the missing approvals"),
        E::NoRegistrars { .. } => (
            Fault::Rule,
            "the owners name registrars: `portcullis catalogue organization add <name> --registrar <card>`",
        ),
        E::Revoked { .. } => (Fault::Rule, "stop using it; write to the board"),
        E::NotYet { .. } => (Fault::Proof, "set the clock, and make it again"),
        E::OtherRegistry { .. } => (Fault::Proof, "check the registry's address"),
        E::NoOrigin => (Fault::Proof, "update this program: earlier versions do not name it"),
        E::OtherOrigin { .. } => (
            Fault::Proof,
            "use the registry's own address; if this one is right too, its operator adds it to `origins` in portcullis.toml",
        ),
        E::OtherHolder { .. } => (Fault::Rule, "use the identity that it was made out to"),
        E::TooManyMembers { .. } | E::OtherOrganization { .. } | E::NamedTwice { .. } => {
            (Fault::Rule, "name members of your own organization only, each once; ask twice for more")
        }
        E::OtherCheckpoint { .. }
        | E::OtherRequest { .. }
        | E::OtherGrant { .. }
        | E::LeaseTooLong { .. } => (Fault::Request, "submit a statement that belongs here"),
    }
}

/// Advice for files of a release that do not fit together.
fn release_advice(error: &ReleaseError) -> (Fault, &'static str) {
    use ReleaseError as E;
    match error {
        E::NoStage { .. } => (
            Fault::Request,
            "name a stage of the policy in force, or propose a policy that has it with --policy",
        ),
        E::InStage { .. } => (
            Fault::Request,
            "name another stage; a policy, an agreement or a manifest is proposed without one",
        ),
        E::OtherCheckpoint { .. } => (Fault::Request, "give the file of the checkpoint that you name"),
        E::Succession { source: Succession::OldVersion { .. }, .. } => {
            (Fault::Request, "raise `version` in the policy")
        }
        E::Succession { .. } => (
            Fault::Request,
            "write the later of these versions at `keeps_grants_from`, or leave the line out: then every grant made before it ends",
        ),
        E::NoPolicy { .. } => (Fault::Request, "propose one with it: --policy <file>"),
        E::NoAgreement { .. } => (Fault::Request, "propose it with the stage: --agreement <file>"),
        E::Manifest { .. } => (Fault::Proof, "give the manifest.json that `portcullis seal <folder>` wrote"),
        E::Policy { .. } => (Fault::Proof, "`portcullis policy check <file>` shows what is wrong with it"),
        E::Stage { .. } => {
            (Fault::Proof, "propose the stage with `portcullis release <checkpoint> --stage <name>`")
        }
    }
}
