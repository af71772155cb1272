//! Progress of a grant's approvals: who signed, and how many signatures each board must add.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::Grant;
use super::rules::RulesInForce;
use crate::identity::VerifyingKey;
use crate::policy::{BoardName, StageName, fill_seats};
use crate::statement::{Envelope, Quorum};

/// One board's approvals of a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardApprovals {
    /// The board's name in the policy.
    pub board: BoardName,
    /// Members who signed, without the person who receives the grant.
    pub signed: BTreeSet<VerifyingKey>,
    /// Members who can still sign.
    pub open: BTreeSet<VerifyingKey>,
    /// Required approvals.
    pub needed: usize,
    /// Approvals that are still missing. A person on two boards fills a seat of one.
    pub missing: usize,
}

impl BoardApprovals {
    /// Required approvals that have been given.
    pub fn given(&self) -> usize {
        self.needed - self.missing
    }
}

/// Approvals of all boards that decide on a request, in total.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApprovalTally {
    /// Valid approvals of all boards.
    pub approvals: usize,
    /// Required approvals of all boards; 0 if the registry answers by itself.
    pub needed: usize,
    /// Missing approvals by board; boards that miss none are left out.
    pub missing: BTreeMap<BoardName, usize>,
    /// Whether more than one board must approve.
    #[serde(skip)]
    is_of_several: bool,
}

impl ApprovalTally {
    /// Sums up the boards' approvals.
    pub fn from_boards(boards: &[BoardApprovals]) -> Self {
        let missing = boards.iter().filter(|board| board.missing > 0);
        Self {
            approvals: boards.iter().map(BoardApprovals::given).sum(),
            needed: boards.iter().map(|board| board.needed).sum(),
            missing: missing.map(|board| (board.board.clone(), board.missing)).collect(),
            is_of_several: boards.len() > 1,
        }
    }

    /// The missing approvals: `1 more`, or with several boards `1 more of board and 2 more of ethics`.
    pub fn outstanding(&self) -> String {
        let missing = self.missing.iter().map(|(board, count)| match self.is_of_several {
            true => format!("{count} more of {board}"),
            false => format!("{count} more"),
        });
        missing.collect::<Vec<_>>().join(" and ")
    }
}

/// `1 of 2 approvals`, or with several boards `2 of 3 approvals, 1 more of ethics to come`.
impl fmt::Display for ApprovalTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} approvals", self.approvals, self.needed)?;
        if self.is_of_several && !self.missing.is_empty() {
            write!(f, ", {} to come", self.outstanding())?;
        }
        Ok(())
    }
}

/// The approvals that each board has given, of those that the stage requires; empty if the registry grants by itself.
pub fn count_approvals(grant: Option<&Envelope>, rules: &RulesInForce) -> Vec<BoardApprovals> {
    let claim = grant.and_then(|envelope| envelope.claim::<Grant>().ok());
    let stage: &StageName = claim.as_ref().map_or(&rules.stage, |claim| &claim.predicate.stage);
    let Some(stage) = rules.policy.stage(stage) else { return Vec::new() };
    let own = claim.as_ref().map(|claim| claim.predicate.researcher.verifying_key);
    let signers = |board: &Quorum| {
        let mut signers = grant.map(|envelope| envelope.signers(board)).unwrap_or_default();
        signers.retain(|key| Some(*key) != own);
        signers
    };
    let demands = stage.demands(rules.terms().board_threshold);
    let all = rules.boards.values().chain([&rules.board]).flat_map(signers).collect::<BTreeSet<_>>();
    let people = rules.people(&all);
    let counts = std::collections::BTreeMap::new();
    let seats = fill_seats(demands, &counts, &people);
    let board =
        |name: &BoardName| if name == BoardName::own() { Some(&rules.board) } else { rules.boards.get(name) };
    let approvals = seats.map(|(name, seats)| {
        let signed = board(name).map(signers).unwrap_or_default();
        let members = board(name).into_iter().flat_map(Quorum::keys).copied();
        let open = members.filter(|key| Some(*key) != own && !signed.contains(key)).collect();
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let needed = count(seats.demand.need);
        let missing = needed.saturating_sub(count(seats.filled));
        BoardApprovals { board: name.clone(), signed, open, needed, missing }
    });
    approvals.collect()
}
