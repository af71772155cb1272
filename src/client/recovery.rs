//! After a kill: what was written is kept as the stage of its generation says, read by the rules, and its record ended.

use crate::identity::{Card, OpeningKey, Signer};
use crate::misuse::Scorer;
use crate::policy::UsageMode;
use crate::time::Timestamp;
use crate::usage::{Begin, End, Finish, Journal, Recipients, UnfinishedGeneration};

use super::Error;

/// What ends the records of processes that were killed.
pub struct Recovery<'a> {
    /// What stored texts are sealed to.
    pub key: &'a OpeningKey,
    /// Who signs records.
    pub signer: &'a dyn Signer,
    /// To whom texts are sealed.
    pub auditors: &'a [Card],
    /// The rules that outputs are read by.
    pub scorer: Option<&'a Scorer>,
}

impl Recovery<'_> {
    /// Ends the records of processes that were killed; how many there were.
    ///
    /// # Errors
    /// [`Error::Usage`]: of a generation of which nothing is left, its owner has to say why.
    pub fn run(&self, journal: &mut Journal, now: Timestamp) -> Result<usize, Error> {
        let end = |unended: &UnfinishedGeneration<'_>| {
            let UnfinishedGeneration { seq, begin, written } = unended;
            let recipients = Recipients::new(mode_of(begin), self.auditors)?;
            let hits = self.scorer.map(|scorer| scorer.score_output(&written.text)).unwrap_or_default();
            Ok(End {
                begin: *seq,
                tokens: written.tokens.min(begin.max_tokens),
                finish: Finish::Killed,
                output: recipients.keep(&written.text, &mut rand::rng())?,
                hits: hits.iter().map(|hit| hit.rule.clone()).collect(),
                explanation: None,
            })
        };
        Ok(journal.recover(self.key, self.signer, now, &end)?)
    }
}

/// What is kept of an output is what was kept of its prompt.
fn mode_of(begin: &Begin) -> UsageMode {
    match &begin.prompt {
        None => UsageMode::Counts,
        Some(kept) if kept.sealed.is_empty() => UsageMode::Digest,
        Some(_) => UsageMode::Sealed,
    }
}
