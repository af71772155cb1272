//! What a refusal means to the one who is refused: whose fault, and what to do next (P8).

use std::borrow::Cow;

use super::Error;
use crate::access::{self, Fault};
use crate::catalogue::RepositoryError;
use crate::digest::Sha256Digest;
use crate::policy::{ReleaseError, Succession};
use crate::store::IntakeRefusal;
use crate::{blob, store};

impl Error {
    /// Why it was refused and what to do next.
    pub fn next_step(&self) -> (Fault, Cow<'static, str>) {
        if let Self::Access(access::Error::Revoked { board, by_auditor, .. }) = self {
            return (Fault::Rule, access::how_to_object(board, *by_auditor).into());
        }
        if let Self::Access(access::Error::NotConfirmed { organization, registrars, .. }) = self {
            return (Fault::Rule, access::how_to_be_confirmed(organization, registrars).into());
        }
        if let Some(next) = self.about_grants() {
            return (Fault::Rule, next.into());
        }
        let (fault, next) = self.about_form().unwrap_or_else(|| self.usual_step());
        (fault, next.into())
    }

    /// The same of approvals and revocations that come too late or too early.
    fn about_grants(&self) -> Option<String> {
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

    /// The same of what is refused for its form, its price or its number, before anybody looks at what it says.
    fn about_form(&self) -> Option<(Fault, &'static str)> {
        Some(match self {
            Self::Statement(error) if !error.is_about_signers() => (
                Fault::Proof,
                "send it as this program writes it, with the signatures that its kind has and no others",
            ),
            Self::WorkNeeded { .. } => (
                Fault::Rule,
                "do the work that `work` asks for, and send it as `portcullis-work: <challenge>:<counter>`",
            ),
            Self::Newcomer { .. } => {
                (Fault::Rule, "ask with `portcullis request new <checkpoint> --purpose <why>` first")
            }
            Self::Store(store::Error::Intake(refusal)) => of_intake(refusal),
            _ => return None,
        })
    }

    /// The same where use is recorded and reviewed.
    fn about_use(&self) -> (Fault, &'static str) {
        match self {
            Self::Usage(_) => {
                (Fault::Proof, "`portcullis usage status` checks the journal, and says where it was changed")
            }
            Self::Case(_) => {
                (Fault::Rule, "`portcullis case show <case>` tells how the case stands, and who may do what")
            }
            Self::Name(_) | Self::Word(_) => (Fault::Request, "shorten it"),
            Self::JournalForked { .. } => {
                (Fault::Proof, "`portcullis usage status` tells what came in; write to the auditors")
            }
            Self::Unsynced { .. } | Self::JournalUntold => {
                (Fault::Rule, "`portcullis usage sync` brings the records in; then ask again")
            }
            Self::JournalUndeclared { .. } => (
                Fault::Rule,
                "bring the journal back if it was moved; on another machine of yours: `portcullis usage declare --reason \"…\"`; if it is lost: `portcullis usage explain <journal> --reason \"…\"`, which auditors look at",
            ),
            Self::JournalCut { .. } | Self::JournalOverdue { .. } => (
                Fault::Rule,
                "bring its records in with `portcullis usage sync` where it is whole; if it is lost: `portcullis usage explain <journal> --reason \"…\"`, which auditors look at",
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
                (Fault::Rule, "wait until the auditors decide it: `portcullis case list` shows how it stands")
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
    fn usual_step(&self) -> (Fault, &'static str) {
        match self {
            Self::Access(error) => of_access(error),
            Self::Statement(_) | Self::Unsigned => {
                (Fault::Proof, "sign it with the key that it names, and hand it in again")
            }
            Self::Over { .. } => (
                Fault::Rule,
                "a grant is ended with `portcullis revoke <grant> --reason \"…\"`; for anything else, ask with a new request",
            ),
            // Told above, with the names that it has.
            Self::ApprovalOfEnded { .. }
            | Self::GrantedAlready { .. }
            | Self::NothingToApprove { .. }
            | Self::NeverStood { .. } => (Fault::Rule, "`portcullis request list` shows how it stands"),
            Self::OwnRequest => (Fault::Rule, "leave it to the other members"),
            Self::NoMember { .. } => (Fault::Rule, "let a member of the board sign it"),
            Self::Seal(_) => (Fault::Proof, "seal the checkpoint again, and hand in every part of it"),
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
                "bring in what this program recorded, as it is; `portcullis usage explain <journal> --reason \"…\"` gives up a journal that is no such record",
            ),
            Self::Crowded => (Fault::Busy, "try again in some seconds"),
            Self::Unfounded => (
                Fault::Busy,
                "the owners found it with `portcullis catalogue init --owner <card> --owner-threshold <count> --registry-card <card>`, and sign",
            ),
            Self::FoundedForAnother { .. } => (
                Fault::Request,
                "give the card of this registry with --registry-card: its operator has it as `registry.card` in the registry's folder",
            ),
            Self::FoundingCode => (
                Fault::Rule,
                "give the code that `registry init` showed, with --founding-code; its operator can make another with `registry init <folder> --new-founding-code`",
            ),
            Self::NotSealed { .. } => (Fault::Busy, "a board member runs `portcullis seal <folder>`"),
            Self::Unknown { .. } => (Fault::Request, "check the digest, and that it was handed in here"),
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
            | Self::Suspended { .. } => self.about_use(),
            Self::NoPart { .. } => (Fault::Request, "ask for /log/checkpoint: it says how long the log is"),
            Self::NotWitnessed { .. } => (Fault::Busy, "try again; the operator sees to the witnesses"),
            Self::NotForPeople { .. } => (Fault::Request, "ask the registry for one"),
            Self::OtherSubject { .. } => {
                (Fault::Proof, "make it with this program, which takes the subject from what it refers to")
            }
            Self::NotTheDraft => {
                (Fault::Rule, "approve the request again with the catalogue brought up to date")
            }
            Self::NotTheLastWord { .. } => {
                (Fault::Rule, "`portcullis affiliation list` shows what was said; say it anew")
            }
            Self::Clock { .. } => (Fault::Proof, "set the clock, and make it again"),
            Self::Challenge => (Fault::Proof, "ask for a new challenge"),
            Self::WorkNeeded { .. } | Self::Newcomer { .. } => {
                (Fault::Rule, "ask with `portcullis request new <checkpoint> --purpose <why>`")
            }
            Self::NotYours => (Fault::Rule, "use the identity whose it is (--home)"),
            Self::Release(error) => of_release(error),
            Self::Repository(RepositoryError::Unsigned { .. }) => (
                Fault::Proof,
                "sign it as you propose it, as `portcullis catalogue propose <checkpoint>` does",
            ),
            Self::Repository(_) => {
                (Fault::Rule, "`portcullis catalogue status` shows how the catalogue stands")
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

/// The first digits of a digest, by which people name it.
fn short(digest: Sha256Digest) -> String {
    digest.to_string().chars().take(12).collect()
}

fn of_intake(refusal: &IntakeRefusal) -> (Fault, &'static str) {
    match refusal {
        IntakeRefusal::Repeated { .. } => {
            (Fault::Rule, "`portcullis request show <request>` tells how it stands")
        }
        IntakeRefusal::Pending { .. } => (
            Fault::Rule,
            "wait for the board's answer, or take one back with `portcullis request withdraw <request>`",
        ),
        IntakeRefusal::PersonDay { .. }
        | IntakeRefusal::NetworkDay { .. }
        | IntakeRefusal::NewcomersDay { .. } => (Fault::Rule, "ask again tomorrow"),
        IntakeRefusal::KindDay { .. } => (
            Fault::Rule,
            "go on tomorrow; if this is your work, the operator can raise `limits.statements_per_person`",
        ),
        IntakeRefusal::UsageDay { .. } => {
            (Fault::Rule, "the rest comes in tomorrow: `portcullis usage sync`")
        }
    }
}

fn of_access(error: &access::Error) -> (Fault, &'static str) {
    use access::Error as E;
    match error {
        E::Statement(_) | E::NotTheirShare { .. } => {
            (Fault::Proof, "sign it with the key that it names, and hand it in again")
        }
        E::NotPermitted { .. } | E::NotConfirmed { .. } | E::UnknownStage { .. } | E::Board { .. } => {
            (Fault::Rule, "`portcullis request new <checkpoint> --terms` shows what the stage allows")
        }
        E::PolicyReplaced { .. }
        | E::NotKept { .. }
        | E::NoLongerPermitted { .. }
        | E::StageMovedBack { .. }
        | E::OtherManifest { .. }
        | E::Expired { .. } => (Fault::Rule, "ask again, under the rules that are in force now"),
        E::PolicyMiscited { .. } => (Fault::Proof, "ask its signers for one that cites the policy in force"),
        E::Awaited { .. } => {
            (Fault::Rule, "`portcullis request show <request>` tells whose approvals are missing")
        }
        E::NoRegistrars { .. } => (
            Fault::Rule,
            "the owners name registrars: `portcullis catalogue organization add <name> --registrar <card>`",
        ),
        E::Revoked { .. } => (Fault::Rule, "stop using it; write to the board"),
        E::Incomplete { .. } => (Fault::Proof, "set the clock, and make it again"),
        E::OtherRegistry { .. } => (Fault::Proof, "check the registry's address"),
        E::NoOrigin => (Fault::Proof, "use a later version of this program: earlier ones do not name it"),
        E::OtherOrigin { .. } => (
            Fault::Proof,
            "use the registry's own address; if this one leads to it and is no stranger's, its operator adds it to `origins` in portcullis.toml",
        ),
        E::OtherHolder { .. } => (Fault::Rule, "use the identity that it was made out to"),
        E::TooManyMembers { .. } | E::OtherOrganization { .. } | E::NamedTwice { .. } => {
            (Fault::Rule, "name members of your own organization only, each once; ask twice for more")
        }
        E::OtherCheckpoint { .. }
        | E::OtherRequest { .. }
        | E::OtherGrant { .. }
        | E::LeaseTooLong { .. } => (Fault::Request, "hand in the statement that belongs here"),
    }
}

/// What to do about files of a release that do not fit together.
fn of_release(error: &ReleaseError) -> (Fault, &'static str) {
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
