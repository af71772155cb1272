//! Boards as `check` compares a policy's thresholds with them: their sizes, their members if known, and the catalogue's thresholds.

use std::collections::{BTreeMap, BTreeSet};

use super::check::Findings;
use super::seats::{Demands, fill_seats};
use super::stage::Stage;
use super::word::{BoardName, PersonKey};

/// What is known of a board.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Board {
    /// The number of members.
    Size(usize),
    /// The members in the catalogue.
    Members {
        people: BTreeSet<PersonKey>,
        /// The catalogue's threshold.
        threshold: u32,
    },
}

impl Board {
    fn size(&self) -> usize {
        match self {
            Self::Size(size) => *size,
            Self::Members { people, .. } => people.len(),
        }
    }
}

/// Boards by their names in the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Boards {
    known: BTreeMap<BoardName, Board>,
    /// Whether boards may have been founded since.
    may_be_old: bool,
}

impl FromIterator<(BoardName, Board)> for Boards {
    fn from_iter<T: IntoIterator<Item = (BoardName, Board)>>(boards: T) -> Self {
        Self { known: boards.into_iter().collect(), may_be_old: false }
    }
}

impl<const N: usize> From<[(BoardName, usize); N]> for Boards {
    fn from(sizes: [(BoardName, usize); N]) -> Self {
        sizes.into_iter().map(|(name, size)| (name, Board::Size(size))).collect()
    }
}

impl Boards {
    /// The catalogue's threshold of the checkpoint's own board, if known.
    fn own_threshold(&self) -> Option<u32> {
        match self.known.get(BoardName::own()) {
            Some(Board::Members { threshold, .. }) => Some(*threshold),
            _ => None,
        }
    }

    /// Marks the boards as possibly out of date, if the registry was not asked.
    #[must_use]
    pub fn as_last_seen(self) -> Self {
        Self { may_be_old: true, ..self }
    }

    /// Finds what the stage requires and these boards cannot, or can hardly, give.
    pub(super) fn find(&self, findings: &mut Findings<'_>, stage: &Stage) {
        if self.known.is_empty() {
            return;
        }
        let line = stage.lines.approvals;
        let found = findings.found.len();
        for (board, need) in &stage.approvals {
            match self.known.get(board).map(Board::size) {
                None if self.may_be_old => findings.error(
                    line,
                    format!("approvals of {board} are required, but the local catalogue has no such board"),
                    "`portcullis catalogue refresh` brings what was founded since; otherwise name an existing board, or found it first",
                ),
                None => findings.error(
                    line,
                    format!("approvals of {board} are required, but there is no such board"),
                    "name an existing board, or found it first",
                ),
                Some(size) if need.get() as usize > size => findings.error(
                    line,
                    format!("{need} approvals of {board} are required, but the board has only {size}"),
                    "require fewer, or appoint members first",
                ),
                Some(_) => {}
            }
        }
        if findings.found.len() > found {
            return;
        }
        let demands = stage.demands(self.own_threshold());
        if let Some(own) = demands.get(BoardName::own()).filter(|own| own.by_catalogue) {
            let asked = stage.approvals.get(BoardName::own()).map_or(0, |need| need.get());
            let words = format!(
                "{asked} of board must approve by the policy and {} by the catalogue's threshold: the threshold binds",
                own.need
            );
            let remedy = format!("write `board = {}`, or rotate the board to another threshold", own.need);
            findings.warning(line, words, remedy);
        }
        self.overlaps(findings, stage, demands);
    }

    /// A person on two boards fills one seat: are there enough people for all seats?
    fn overlaps(&self, findings: &mut Findings<'_>, stage: &Stage, demands: Demands<'_>) {
        let mut people: BTreeMap<PersonKey, BTreeSet<BoardName>> = BTreeMap::new();
        for (board, _) in demands.iter() {
            // If a board's members are unknown, overlaps cannot be checked.
            let Some(Board::Members { people: members, .. }) = self.known.get(board) else { return };
            for member in members {
                people.entry(*member).or_default().insert(board.clone());
            }
        }
        let shared = people.values().filter(|boards| boards.len() > 1).count();
        if shared == 0 {
            return;
        }
        let need: u64 = demands.iter().map(|(_, demand)| u64::from(demand.need)).sum();
        let filled = |people: &BTreeMap<_, _>| -> u64 {
            let counts = BTreeMap::new();
            fill_seats(demands, &counts, people).map(|(_, seats)| u64::from(seats.filled)).sum()
        };
        let line = stage.lines.approvals;
        let sit = if shared == 1 { "1 sits".to_owned() } else { format!("{shared} sit") };
        if filled(&people) < need {
            let words = format!(
                "{need} different people must approve, and of these boards' {} only {} can: {sit} on several, and one \
                 person counts for one board",
                people.len(),
                filled(&people),
            );
            findings.error(line, words, "require fewer, or appoint people who sit on one board only");
            return;
        }
        let cannot_spare = |person: &&PersonKey| {
            let mut without = people.clone();
            without.remove(*person);
            filled(&without) < need
        };
        let needed = people.keys().filter(cannot_spare).count();
        if needed > 0 {
            let absent =
                if needed == 1 { "the one who".to_owned() } else { format!("one of the {needed} who") };
            let words = format!(
                "{need} different people must approve, and {sit} on several of these boards: if {absent} cannot be spared is \
                 away, no grant is possible"
            );
            findings.warning(line, words, "appoint more people who sit on one board only");
        }
    }
}
