//! The catalogue at a glance: checkpoints with their stages, the boards that policies ask, and until when each role is believed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::words;
use crate::catalogue::{AUDITORS, CheckpointFile, RoleSummary, Roster, StageTarget};
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
    pub(super) fn of(sources: &'a Sources<'a>) -> anyhow::Result<Self> {
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

    /// In words, as tables.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        text += &columns(["CHECKPOINT", "STAGE", "SINCE", "POLICY", "MUST SIGN"], self.checkpoint_rows());
        text += &columns(["BOARD", "FOR", "MUST SIGN"], self.board_rows());
        text += &columns(["ROLE", "VERSION", "EXPIRES", "SIGNED BY"], self.role_rows());
        text
    }

    fn checkpoint_rows(&self) -> Vec<[String; 5]> {
        let row = |checkpoint: &Checkpoint<'_>| {
            let Checkpoint { name, quorum, stage, policy, .. } = checkpoint;
            let (stage, since) = match stage {
                Some(stage) => (stage.stage.to_string(), stage.since.date()),
                None => ("not released".to_owned(), String::new()),
            };
            let policy = policy.as_ref().map(|policy| format!("version {}", policy.version));
            [name.to_string(), stage, since, policy.unwrap_or_default(), self.must_sign(quorum)]
        };
        self.checkpoints.iter().map(row).collect()
    }

    fn board_rows(&self) -> Vec<[String; 3]> {
        let row = |(name, quorum, asked_by): &(&CheckpointId, &Quorum, Vec<String>)| {
            let purpose = match asked_by.as_slice() {
                _ if name.as_str() == AUDITORS => "review of use".to_owned(),
                [] => "nothing published yet".to_owned(),
                asked_by => format!("requests for {}", asked_by.join(", ")),
            };
            [name.to_string(), purpose, self.must_sign(quorum)]
        };
        self.boards.iter().map(row).collect()
    }

    fn role_rows(&self) -> Vec<[String; 4]> {
        let Sources { roles, roster, now, .. } = self.sources;
        let row = |role: &RoleSummary| {
            let until = format!("{} ({})", role.expires.date(), words::from_now(role.expires, *now));
            let must = format!("{} of {} must", role.quorum.threshold(), role.quorum.keys().len());
            let signed = format!("{} ({must})", words::names(&role.signers, roster));
            [role.role.clone(), role.version.to_string(), until, signed]
        };
        roles.iter().map(row).collect()
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

/// Rows under headers; nothing where there are none.
fn columns<const N: usize>(headers: [&str; N], rows: Vec<[String; N]>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut lines = vec![headers.map(str::to_owned)];
    lines.extend(rows);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: &[String; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(line).chain(["\n".to_owned()]).collect()
}
