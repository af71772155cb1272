//! The catalogue at a glance: checkpoints with their stages, the boards that policies ask, and until when each role is believed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::words;
use crate::catalogue::{AUDITORS, CheckpointFile, RoleSummary, Roster, StageTarget};
use crate::cli::page::Page;
use crate::cli::table::{Cell, Fit, Table, Tone};
use crate::name::CheckpointId;
use crate::policy::Policy;
use crate::statement::Quorum;
use crate::time::Timestamp;

type ReadFile<'a> = dyn Fn(&CheckpointId, CheckpointFile) -> anyhow::Result<Option<Vec<u8>>> + 'a;

/// What an overview is made from.
pub(super) struct Sources<'a> {
    pub(super) roles: &'a [RoleSummary],
    pub(super) boards: &'a BTreeMap<CheckpointId, Quorum>,
    pub(super) roster: &'a Roster,
    pub(super) now: Timestamp,
    /// A checkpoint's file as it is published, if it is.
    pub(super) file: &'a ReadFile<'a>,
}

/// The catalogue at a glance.
pub(super) struct Overview<'a> {
    sources: &'a Sources<'a>,
    /// Those whose board published a file.
    checkpoints: Vec<Checkpoint<'a>>,
    /// The other boards, and the checkpoints whose stages in force ask for their approvals.
    boards: Vec<(&'a CheckpointId, &'a Quorum, Vec<String>)>,
}

struct Checkpoint<'a> {
    name: &'a CheckpointId,
    quorum: &'a Quorum,
    role: &'a RoleSummary,
    stage: Option<StageTarget>,
    policy: Option<Policy>,
}

impl<'a> Overview<'a> {
    /// Reads what each board published.
    pub(super) fn read(sources: &'a Sources<'a>) -> anyhow::Result<Self> {
        let (mut checkpoints, mut others) = (Vec::new(), Vec::new());
        for (name, quorum) in sources.boards {
            let Some(role) = sources.roles.iter().find(|role| role.role == name.as_str()) else {
                others.push((name, quorum));
                continue;
            };
            let stage = (sources.file)(name, CheckpointFile::Stage)?;
            let policy = (sources.file)(name, CheckpointFile::Policy)?;
            checkpoints.push(Checkpoint {
                name,
                quorum,
                role,
                stage: stage.and_then(|bytes| crate::json::from_slice(&bytes).ok()),
                policy: policy.and_then(|bytes| Policy::parse(&String::from_utf8_lossy(&bytes)).ok()),
            });
        }
        let asked_by = |board: &CheckpointId| {
            let asks = |checkpoint: &&Checkpoint<'_>| {
                let stages = checkpoint.policy.iter().flat_map(|policy| &policy.stages);
                stages.flat_map(|stage| stage.approvals.keys()).any(|asked| asked.as_str() == board.as_str())
            };
            checkpoints.iter().filter(asks).map(|checkpoint| checkpoint.name.to_string()).collect()
        };
        let boards = others.into_iter().map(|(name, quorum)| (name, quorum, asked_by(name))).collect();
        Ok(Self { sources, checkpoints, boards })
    }

    /// Puts it on a page, as tables.
    pub(super) fn show(&self, page: &mut Page) {
        page.table(&self.checkpoint_table());
        page.gap();
        page.table(&self.board_table());
        page.gap();
        page.table(&self.role_table());
    }

    fn checkpoint_table(&self) -> Table<5> {
        let mut table = Table::new([
            ("CHECKPOINT", Fit::Cut),
            ("STAGE", Fit::Cut),
            ("SINCE", Fit::Whole),
            ("POLICY", Fit::Whole),
            ("MUST SIGN", Fit::Cut),
        ]);
        for Checkpoint { name, quorum, stage, policy, .. } in &self.checkpoints {
            let (stage, since) = match stage {
                Some(stage) => (Cell::new(&stage.stage), stage.since.date()),
                None => (Cell::new("not released").with_tone(Tone::Faint), String::new()),
            };
            let policy = policy.as_ref().map(|policy| format!("version {}", policy.version));
            table.row([
                Cell::new(name),
                stage,
                Cell::new(since),
                Cell::new(policy.unwrap_or_default()),
                Cell::new(self.must_sign(quorum)),
            ]);
        }
        table
    }

    /// The owners, and the boards of which no checkpoint is named.
    fn board_table(&self) -> Table<3> {
        let mut table = Table::new([("BOARD", Fit::Cut), ("FOR", Fit::Cut), ("MUST SIGN", Fit::Cut)]);
        for (purpose, quorum) in self.owners() {
            table.row([Cell::new("owners"), Cell::new(purpose), Cell::new(self.must_sign(quorum))]);
        }
        for (name, quorum, asked_by) in &self.boards {
            let purpose = match asked_by.as_slice() {
                _ if name.as_str() == AUDITORS => "misuse review".to_owned(),
                [] => "nothing published yet".to_owned(),
                asked_by => format!("requests for {}", asked_by.join(", ")),
            };
            table.row([Cell::new(name), Cell::new(purpose), Cell::new(self.must_sign(quorum))]);
        }
        table
    }

    /// The owners and what they sign: once if the same people sign both.
    fn owners(&self) -> Vec<(&'static str, &Quorum)> {
        let role = |name| self.sources.roles.iter().find(|role| role.role == name).map(|role| &role.quorum);
        match (role("root"), role("targets")) {
            (Some(root), Some(targets))
                if root.keys() == targets.keys() && root.threshold() == targets.threshold() =>
            {
                vec![("roots, boards and rules", root)]
            }
            (root, targets) => [("roots", root), ("boards and rules", targets)]
                .into_iter()
                .filter_map(|(purpose, quorum)| Some((purpose, quorum?)))
                .collect(),
        }
    }

    fn role_table(&self) -> Table<4> {
        let Sources { roles, roster, now, .. } = self.sources;
        let mut table = Table::new([
            ("ROLE", Fit::Cut),
            ("VERSION", Fit::Whole),
            ("EXPIRES", Fit::Whole),
            ("SIGNED BY", Fit::Cut),
        ]);
        for role in *roles {
            let until = format!("{} ({})", role.expires.date(), words::time_until(role.expires, *now));
            let must = format!("{} of {} needed", role.quorum.threshold(), role.quorum.keys().len());
            let tone = if role.expires.seconds_since(*now) <= 0 { Tone::Bad } else { Tone::Plain };
            table.row([
                Cell::new(&role.role),
                Cell::new(role.version),
                Cell::new(until).with_tone(tone),
                Cell::new(format!("{} ({must})", words::names(&role.signers, roster))),
            ]);
        }
        table
    }

    /// `2 of Ada, Ben, Cy`.
    fn must_sign(&self, quorum: &Quorum) -> String {
        format!("{} of {}", quorum.threshold(), words::names(quorum.keys(), self.sources.roster))
    }

    /// The same as JSON: `checkpoints`, `boards` and `roles`.
    pub(super) fn json(&self) -> Value {
        let roster = self.sources.roster;
        let checkpoints = self.checkpoints.iter().map(|checkpoint| {
            let Checkpoint { name, quorum, role, stage, policy } = checkpoint;
            json!({
                "checkpoint": name,
                "stage": stage.as_ref().map(|stage| &stage.stage),
                "since": stage.as_ref().map(|stage| stage.since),
                "policy_version": policy.as_ref().map(|policy| policy.version),
                "policy_expires": policy.as_ref().map(|policy| policy.expires),
                "expires": role.expires,
                "threshold": quorum.threshold(),
                "members": words::people(quorum.keys(), roster),
            })
        });
        let boards = self.boards.iter().map(|(name, quorum, asked_by)| {
            json!({
                "board": name,
                "asked_by": asked_by,
                "threshold": quorum.threshold(),
                "members": words::people(quorum.keys(), roster),
            })
        });
        let roles = self.sources.roles.iter().map(|role| {
            json!({
                "role": role.role,
                "version": role.version,
                "expires": role.expires,
                "threshold": role.quorum.threshold(),
                "members": words::people(role.quorum.keys(), roster),
                "signed": words::people(&role.signers, roster),
            })
        });
        json!({
            "checkpoints": checkpoints.collect::<Vec<_>>(),
            "boards": boards.collect::<Vec<_>>(),
            "roles": roles.collect::<Vec<_>>(),
        })
    }
}
