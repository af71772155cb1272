//! The conclusion of a replay in words: what was proved, and what was not.

use super::Depth;
use super::replay::Replay;
use super::text::counted;
use crate::log::EntryKind;

impl Replay {
    /// Adds what was proved and what was not.
    pub(super) fn conclude(&mut self) {
        let void = self.void_grants;
        let count = |kind| {
            let all = self.found.kinds.get(&kind).copied().unwrap_or(0);
            // Grants without effect are listed separately.
            if kind == EntryKind::Grant { all.saturating_sub(void) } else { all }
        };
        let mut proved = vec![
            match self.found.entries {
                1 => "1 entry has the root that the head states".to_owned(),
                entries => format!("{entries} entries have the root that the head states"),
            },
            "the head is signed by the registry that the catalogue names".to_owned(),
        ];
        match self.found.witnesses.len() {
            0 => {}
            witnesses => proved.push(format!("{} saw the same head", counted(witnesses as u64, "witness"))),
        }
        proved.push(match self.found.erased {
            0 => "every statement is the one that the log recorded".to_owned(),
            1 => "every statement is the one that the log recorded, but for 1 that was erased, on the record".to_owned(),
            erased => format!("every statement is the one that the log recorded, but for {erased} that were erased, on the record"),
        });
        if self.depth == Depth::Everything {
            for (kind, words) in [
                (
                    EntryKind::Metadata,
                    "changes of the catalogue, signed by those whom the catalogue before them named",
                ),
                (
                    EntryKind::Grant,
                    "grants that had their approvals and that the policy then in force permitted",
                ),
                (EntryKind::Lease, "leases for grants that counted then, no longer than the policy allows"),
                (EntryKind::Revocation, "revocations, signed by a member of the board or an auditor"),
                (EntryKind::Denial, "denials, signed by a member, with a reason"),
                (
                    EntryKind::Usage,
                    "usage batches that continue their journals, signed by those who hold the grants, under a lease, within the limits",
                ),
                (EntryKind::Journal, "declarations of usage journals, signed by their owners"),
                (EntryKind::Case, "steps in cases, taken by those who may, decisions with a reason"),
            ] {
                if count(kind) > 0 {
                    proved.push(format!("{words}: {}", count(kind)));
                }
            }
        }
        // Kinds with findings are not claimed to be proved.
        self.found.proved = if self.found.findings.is_empty() { proved } else { Vec::new() };
        self.unproved();
    }

    fn unproved(&mut self) {
        let mut unproved = Vec::new();
        if self.depth == Depth::Digests {
            unproved.push("signatures and rules were not checked: use `portcullis audit verify`".to_owned());
        }
        if self.found.witnesses.is_empty() {
            unproved.push("no witness cosigned the head: others may be shown another log".to_owned());
        }
        let silent =
            self.facts.grants.values().filter(|grant| grant.leases > 1 && grant.last_usage.is_none()).count();
        if silent > 0 {
            unproved.push(match silent {
                1 => "1 grant was leased more than once, and no usage under it was synced".to_owned(),
                _ => {
                    format!("{silent} grants were leased more than once, and no usage under them was synced")
                }
            });
        }
        let open = self.journals.open();
        if open > 0 {
            unproved.push(match open {
                1 => "1 generation has no synced end; it counts in full".to_owned(),
                _ => format!("{open} generations have no synced end; they count in full"),
            });
        }
        if self.found.erased > 0 {
            unproved.push(match self.found.erased {
                1 => "1 statement was erased: its content is no longer known".to_owned(),
                erased => format!("{erased} statements were erased: their content is no longer known"),
            });
        }
        unproved.push("what a modified program does on a researcher's machine leaves no record".to_owned());
        self.found.unproved = unproved;
    }
}
