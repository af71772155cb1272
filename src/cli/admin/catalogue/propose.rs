//! `portcullis catalogue propose`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::conditions::Conditions;
use super::submit::Submission;
use super::working_copy::WorkingCopy;
use crate::catalogue::{CheckpointFile, Repository, StageTarget, Subject, TargetPath};
use crate::cli::admin::policy::boards as boards_of;
use crate::cli::failure::Refusal;
use crate::cli::files;
use crate::cli::handovers;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::registry;
use crate::cli::signing::{Consent, Signatory};
use crate::digest::Sha256Digest;
use crate::misuse::Rules;
use crate::name::{CheckpointId, Label};
use crate::policy::{self, Finding, Policy, Severity};
use crate::registry::require_coherent;
use crate::time::Timestamp;

/// Longest manifest that is taken in.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;
/// Longest other file.
const MAX_BYTES: u64 = 1 << 20;

/// Propose a checkpoint's policy, manifest, stage or agreement, misuse rules, or a later expiry, and sign the proposal
#[derive(Debug, Args)]
pub(in crate::cli) struct Propose {
    /// What to change: a checkpoint, or `misuse`, `targets`, `root`
    subject: String,

    /// The manifest of its files
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,

    /// The stage to enter
    #[arg(long, value_name = "NAME")]
    stage: Option<Label>,

    /// The misuse rules, in TOML
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,

    #[command(flatten)]
    terms: Terms,

    /// Withdraw the open proposal instead
    #[arg(long, conflicts_with_all = ["policy", "manifest", "stage", "agreement", "rules"])]
    withdraw: bool,
}

/// What a proposal and a release have in common.
#[derive(Debug, Args)]
pub(in crate::cli) struct Terms {
    /// The policy, in TOML
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// The agreement that researchers sign, in Markdown
    #[arg(long, value_name = "FILE")]
    agreement: Option<PathBuf>,

    /// Digest of a statement of evidence for the stage; repeat for each
    #[arg(long, value_name = "SHA-256", requires = "stage")]
    evidence: Vec<Sha256Digest>,

    /// Days until the change expires
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    expires_in: u32,

    /// Build on this open proposal of another person, which you reviewed; its digest
    #[arg(long, value_name = "SHA-256")]
    onto: Vec<Sha256Digest>,

    #[command(flatten)]
    consent: Consent,
}

impl Terms {
    /// The proposal to enter `stage` on these terms, with the manifest if it is not proposed or published yet.
    pub(in crate::cli) fn release(
        self,
        checkpoint: &CheckpointId,
        stage: Label,
        manifest: Option<PathBuf>,
    ) -> Propose {
        Propose {
            subject: checkpoint.to_string(),
            manifest,
            stage: Some(stage),
            rules: None,
            terms: self,
            withdraw: false,
        }
    }
}

impl Propose {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        self.run_in(&WorkingCopy::open(home, output)?, home, output)
    }

    /// Proposes in a working copy that is already open.
    pub(in crate::cli) fn run_in(
        self,
        working_copy: &WorkingCopy,
        home: &Home,
        output: Output,
    ) -> anyhow::Result<()> {
        let repository = working_copy.repository();
        let now = Timestamp::now();
        let expires = now.plus_days(self.terms.expires_in);
        let name = if self.subject == "misuse" { "targets" } else { self.subject.as_str() };
        let subject: Subject = name.parse()?;
        if self.withdraw {
            working_copy.withdraw(&subject)?;
            let text = format!("withdrew the proposed change of {subject}\n");
            return output.result(&json!({ "withdrawn": subject.to_string() }), text);
        }
        working_copy.require_trusted_base(home, now)?;
        let signatory = Signatory::open(home, output)?;
        let by = working_copy.proposer(signatory.key(), &self.terms.onto);
        match &subject {
            Subject::Board(checkpoint) => {
                self.require_no(self.rules.as_deref(), "--rules", "misuse")?;
                let mut files = self.files(checkpoint, now)?;
                self.keep_stage(repository, checkpoint, &mut files, output)?;
                if let Some(policy) = files.get(&CheckpointFile::Policy) {
                    let policy = Policy::parse(&String::from_utf8_lossy(policy))
                        .context("the policy cannot be used")?;
                    let boards = repository.boards()?;
                    let boards = boards_of(&policy, |role| boards.get(role).cloned()).unwrap_or_default();
                    require_sound(checkpoint, &policy, &policy::check(&policy, &boards, now))?;
                }
                repository.propose(checkpoint, &files, expires, &by)?;
                require_coherent(repository, checkpoint)?;
                let conditions = Conditions { repository, subject: &subject, now };
                for rule in self
                    .stage
                    .iter()
                    .map(|stage| conditions.unmet(stage))
                    .collect::<Result<Vec<_>, _>>()?
                    .concat()
                {
                    output.note(format_args!(
                        "note: the policy's rule is not met: {rule}; the signers see this"
                    ));
                }
            }
            Subject::Targets => {
                self.require_no_files()?;
                repository.propose_targets(&self.rules(home, output)?, expires, &by)?;
            }
            Subject::Root => {
                self.require_no_files()?;
                self.require_no(self.rules.as_deref(), "--rules", "misuse")?;
                repository.renew_root(expires, &by)?;
            }
        }
        let submission = Submission {
            working_copy,
            signatory: &signatory,
            consent: &self.terms.consent,
            founding_code: None,
        };
        let done = submission.submit(now)?;
        let text = format!(
            "proposed and signed a change of {subject}\n{}{}",
            done.next_steps()?,
            handovers::next_steps(home, &done.published, output)
        );
        let value = json!({ "proposed": subject.to_string(), "expires": expires, "roles": done.json(), "published": done.published_json() });
        output.result(&value, text)
    }

    fn files(
        &self,
        checkpoint: &CheckpointId,
        now: Timestamp,
    ) -> anyhow::Result<BTreeMap<CheckpointFile, Vec<u8>>> {
        let mut files = BTreeMap::new();
        for (file, path, max) in [
            (CheckpointFile::Policy, &self.terms.policy, MAX_BYTES),
            (CheckpointFile::Manifest, &self.manifest, MAX_MANIFEST_BYTES),
            (CheckpointFile::Agreement, &self.terms.agreement, MAX_BYTES),
        ] {
            if let Some(path) = path {
                files.insert(file, files::read(path, max)?);
            }
        }
        if let Some(stage) = &self.stage {
            let stage = StageTarget {
                schema: StageTarget::SCHEMA,
                checkpoint: checkpoint.clone(),
                stage: stage.clone(),
                since: now,
                evidence: self.terms.evidence.clone(),
            };
            let mut json = serde_json::to_vec_pretty(&stage)?;
            json.push(b'\n');
            files.insert(CheckpointFile::Stage, json);
        }
        Ok(files)
    }

    /// A checkpoint does not enter the stage that it is in: its days would start again. What else is proposed comes into force in that stage.
    fn keep_stage(
        &self,
        repository: &Repository,
        checkpoint: &CheckpointId,
        files: &mut BTreeMap<CheckpointFile, Vec<u8>>,
        output: Output,
    ) -> anyhow::Result<()> {
        let published = repository.published_file(checkpoint, CheckpointFile::Stage)?;
        let (Some(stage), Some(published)) = (&self.stage, published) else { return Ok(()) };
        let target: Option<StageTarget> = crate::json::from_slice(&published).ok();
        if target.is_none_or(|target| target.stage != *stage) {
            return Ok(());
        }
        // An open proposal may name another stage: this one takes that back.
        let proposed = repository.proposed_file(checkpoint, CheckpointFile::Stage)?;
        if (files.len() == 1 && proposed.as_ref() == Some(&published)) || !self.terms.evidence.is_empty() {
            let message = format!("{checkpoint} is already in stage `{stage}`");
            let hint = format!(
                "name another stage; propose a policy, an agreement or a manifest without a stage: `portcullis catalogue propose {checkpoint} --policy policy.toml`"
            );
            return Err(Refusal::usage(message, hint).into());
        }
        output.note(format_args!("note: {checkpoint} is already in stage `{stage}` and stays in it"));
        files.insert(CheckpointFile::Stage, published);
        Ok(())
    }

    /// The rules of misuse that are proposed; another text comes under a later version, so that records and cases tell which was meant.
    fn rules(&self, home: &Home, output: Output) -> anyhow::Result<BTreeMap<TargetPath, Vec<u8>>> {
        let read = |path: &PathBuf| {
            let bytes = files::read(path, MAX_BYTES)?;
            let rules = Rules::parse(&String::from_utf8_lossy(&bytes)).context("the rules cannot be used")?;
            let known = registry::known_catalogue(home, output).ok();
            let published = known.and_then(|catalogue| catalogue.scorer().ok().flatten());
            if let Some(published) =
                published.map(|scorer| scorer.rules().version).filter(|v| *v >= rules.version)
            {
                let message =
                    format!("the rules have version {}, and version {published} is in force", rules.version);
                let hint = format!("give the file a version above {published}");
                return Err(Refusal::usage(message, hint).into());
            }
            Ok((TargetPath::misuse_rules(), bytes))
        };
        self.rules.iter().map(read).collect()
    }

    fn require_no_files(&self) -> Result<(), Refusal> {
        let subject = "a checkpoint";
        self.require_no(self.terms.policy.as_deref(), "--policy", subject)?;
        self.require_no(self.manifest.as_deref(), "--manifest", subject)?;
        self.require_no(self.terms.agreement.as_deref(), "--agreement", subject)?;
        self.require_no(self.stage.as_ref().map(|stage| Path::new(stage.as_str())), "--stage", subject)
    }

    fn require_no(&self, given: Option<&Path>, option: &str, subject: &str) -> Result<(), Refusal> {
        if given.is_none() {
            return Ok(());
        }
        let message = format!("{option} does not apply to {}", self.subject);
        Err(Refusal::usage(message, format!("propose it for {subject}")))
    }
}

/// A policy that `policy check` finds an error in must not be signed.
fn require_sound(checkpoint: &CheckpointId, policy: &Policy, findings: &[Finding]) -> anyhow::Result<()> {
    if policy.checkpoint != *checkpoint {
        let message = format!("the policy governs {}, not {checkpoint}", policy.checkpoint);
        return Err(Refusal::usage(message, "propose it for the checkpoint that it names").into());
    }
    match findings.iter().find(|finding| finding.severity == Severity::Error) {
        None => Ok(()),
        Some(error) => {
            let message = format!("the policy should not be signed: line {}: {}", error.line, error.words);
            Err(Refusal::unverified(
                message,
                format!("{}; `portcullis policy check <file>` lists all", error.remedy),
            )
            .into())
        }
    }
}
