//! The recorder between the gate and the model. A generation starts only after its record is durable (P4), and only if no rule of misuse
//! blocks it.

use std::collections::{BTreeSet, HashMap};

use super::{Error, Pass};
use crate::access::RulesInForce;
use crate::digest::Sha256Digest;
use crate::identity::{Card, Signer};
use crate::misuse::{Action, Generated, History, Hit, Scorer, Sketch};
use crate::name::{CheckpointId, Prose};
use crate::policy::{UsageMode, Use};
use crate::time::Timestamp;
use crate::usage::{Begin, End, Event, Finish, Journal, JournalPlace, Parameters, Recipients, Record, Task};

/// Hours of history that the rules on this machine use: one week.
const HISTORY_HOURS: i64 = 24 * 7;

/// Records the generations under one grant and lease; any number may run at once.
pub struct Recorder {
    journal: Journal,
    signer: Box<dyn Signer>,
    recipients: Recipients,
    scorer: Option<Scorer>,
    history: History,
    /// Open generations, each with its index in the history, counted from the first entry that was ever in it.
    open: HashMap<u64, usize>,
    /// Number of entries that were removed from the history.
    forgotten: usize,
    checkpoint: CheckpointId,
    grant: Sha256Digest,
    lease: Sha256Digest,
    uses: BTreeSet<Use>,
    /// The end of grant and lease, exclusive.
    until: Timestamp,
    /// When a new lease is due.
    renewal_due: Timestamp,
    limit: Option<u64>,
}

/// The input of a generation that is about to begin.
#[derive(Debug)]
pub struct Prompt<'a> {
    /// The task that the usage record names.
    pub task: Task,
    /// The prompt as text.
    pub text: &'a str,
    /// Number of tokens of the prompt.
    pub tokens: usize,
    /// Maximum number of tokens to generate.
    pub max_tokens: usize,
    /// Sampling parameters; `None` if no tokens are sampled.
    pub parameters: Option<Parameters>,
    /// The user's justification, which a rule of misuse may require.
    pub justification: Option<Prose>,
}

/// The output of a generation that ended.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// The generated text.
    pub output: &'a str,
    /// Number of generated tokens.
    pub tokens: usize,
    /// The reason why it ended.
    pub finish: Finish,
}

impl Recorder {
    /// Opens the journal at `place` for generations under `pass`. Texts are sealed to `auditors` and checked by `scorer`; `random` names a
    /// new journal.
    ///
    /// # Errors
    /// [`Error::Usage`] if the journal is damaged or does not continue the lease, or if texts must be sealed and there are no auditors.
    pub fn open(
        place: &JournalPlace,
        random: [u8; 16],
        pass: &Pass,
        rules: &RulesInForce,
        auditors: &[Card],
        scorer: Option<Scorer>,
        signer: Box<dyn Signer>,
    ) -> Result<Self, Error> {
        let grant = &pass.grant.predicate;
        let stage = rules.policy.stage(&grant.stage);
        // The gate refuses a grant whose stage is gone; sealing is the strictest mode.
        let mode = stage.map_or(UsageMode::Sealed, |stage| stage.limits.usage);
        let mut journal = Journal::open(place, random)?;
        if let Some(mark) = &pass.lease.journal {
            journal.require_continues(mark)?;
        }
        journal.keep_live(grant.researcher.sealing_key)?;
        let since = Timestamp::now().plus_seconds(-HISTORY_HOURS * 3600);
        let history = History { own: generations(&journal.recent(since)?), cohort_day: None };
        Ok(Self {
            recipients: Recipients::new(mode, auditors)?,
            journal,
            signer,
            scorer,
            history,
            open: HashMap::new(),
            forgotten: 0,
            checkpoint: grant.checkpoint.clone(),
            grant: pass.grant.digest(),
            lease: pass.lease.digest(),
            uses: grant.uses.clone(),
            until: grant.expires.min(pass.lease.expires),
            renewal_due: pass.lease.renewal_due(),
            limit: stage.and_then(|stage| stage.limits.tokens_per_day),
        })
    }

    /// When a new lease is due.
    pub fn renewal_due(&self) -> Timestamp {
        self.renewal_due
    }

    /// Records durably that a generation begins. Returns the sequence number of its record and the rules that the prompt matches.
    ///
    /// # Errors
    /// [`Error::PassOver`] if grant or lease have ended; [`Error::Blocked`] and [`Error::NeedsJustification`], which are recorded, too;
    /// [`Error::Usage`] if the record cannot be written or the tokens of the day are used up. After any error, the text must not be
    /// generated.
    pub fn begin(&mut self, prompt: &Prompt<'_>, now: Timestamp) -> Result<(u64, Vec<Hit>), Error> {
        if now >= self.until {
            return Err(Error::PassOver { checkpoint: self.checkpoint.clone(), until: self.until });
        }
        self.forget(now);
        let sketch = (self.recipients.mode() == UsageMode::Sealed).then(|| Sketch::of(prompt.text));
        self.history.own.push(Generated {
            at: now,
            tokens: prompt.max_tokens as u64,
            sketch: sketch.clone(),
        });
        let hits = self.judge(prompt.text, now);
        let stopped = hits.iter().find(|hit| stops(hit, prompt.justification.is_some()));
        let begin = Begin {
            task: prompt.task,
            checkpoint: self.checkpoint.clone(),
            grant: self.grant,
            lease: self.lease,
            prompt_tokens: prompt.tokens as u64,
            max_tokens: prompt.max_tokens as u64,
            parameters: prompt.parameters.clone(),
            prompt: self.recipients.keep(prompt.text, &mut rand::rng())?,
            sketch: sketch.as_ref().map(ToString::to_string),
            hits: hits.iter().map(|hit| hit.rule.clone()).collect(),
            justification: prompt.justification.clone(),
            blocked: stopped.is_some(),
        };
        let recorded = self.journal.begin(begin, self.limit, &*self.signer, now);
        if recorded.is_err() || stopped.is_some() {
            self.history.own.pop();
        }
        let recorded = recorded?;
        if stopped.is_none() {
            self.open.insert(recorded.seq, self.forgotten + self.history.own.len() - 1);
        }
        if let Some(Hit { rule, reason, action, .. }) = stopped {
            let (rule, reason) = (rule.to_string(), reason.clone());
            return Err(match action {
                Action::Block => Error::Blocked { rule, reason },
                _ => Error::NeedsJustification { rule, reason },
            });
        }
        Ok((recorded.seq, hits))
    }

    /// Stores more of a text before it is shown; `tokens` is the number of tokens so far.
    ///
    /// # Errors
    /// [`Error::Usage`]: no more of the text may be generated.
    pub fn append(&mut self, begin: u64, text: &str, tokens: usize) -> Result<(), Error> {
        Ok(self.journal.wrote(begin, text, tokens as u64)?)
    }

    /// Continues the open texts of another recorder under a newer lease.
    pub fn continue_texts(&mut self, other: &mut Self) {
        self.journal.continue_live(&mut other.journal);
    }

    /// Records the outcome of a generation. Returns the rules that its output matches.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn end(&mut self, begin: u64, outcome: &Outcome<'_>, now: Timestamp) -> Result<Vec<Hit>, Error> {
        let hits = self.scorer.as_ref().map(|scorer| scorer.output(outcome.output)).unwrap_or_default();
        let at = self.open.remove(&begin).and_then(|at| at.checked_sub(self.forgotten));
        let begun = at.and_then(|at| self.history.own.get_mut(at));
        if let Some(generated) = begun {
            generated.tokens = outcome.tokens as u64;
        }
        let end = End {
            begin,
            tokens: outcome.tokens as u64,
            finish: outcome.finish,
            output: self.recipients.keep(outcome.output, &mut rand::rng())?,
            hits: hits.iter().map(|hit| hit.rule.clone()).collect(),
            explanation: None,
        };
        self.journal.end(end, &*self.signer, now)?;
        Ok(hits)
    }

    /// Removes history that is too old for every rule, in batches.
    fn forget(&mut self, now: Timestamp) {
        /// Fewer are not worth moving the rest.
        const MIN_REMOVED: usize = 256;
        let since = now.plus_seconds(-HISTORY_HOURS * 3600);
        let old = self.history.own.iter().take_while(|generated| generated.at < since).count();
        if old >= MIN_REMOVED {
            self.history.own.drain(..old);
            self.forgotten += old;
        }
    }

    fn judge(&self, prompt: &str, now: Timestamp) -> Vec<Hit> {
        let Some(scorer) = &self.scorer else { return Vec::new() };
        let mut hits = scorer.prompt(prompt, &self.uses);
        hits.extend(scorer.history(&self.history, now));
        hits
    }
}

fn stops(hit: &Hit, is_justified: bool) -> bool {
    match hit.action {
        Action::Flag => false,
        Action::Justify => !is_justified,
        Action::Block => true,
    }
}

/// The generations in records; one without an end counts with its maximum tokens.
pub(super) fn generations(records: &[Record]) -> Vec<Generated> {
    let mut found: Vec<(u64, Generated)> = Vec::new();
    for record in records {
        match &record.event {
            Event::Begin(begin) if !begin.blocked => {
                let sketch = begin.sketch.as_ref().and_then(|sketch| sketch.parse().ok());
                found.push((record.seq, Generated { at: record.at, tokens: begin.max_tokens, sketch }));
            }
            Event::Begin(_) => {}
            Event::End(end) => {
                let begun = found.iter_mut().rev().find(|(seq, _)| *seq == end.begin);
                if let Some((_, generated)) = begun {
                    generated.tokens = end.tokens;
                }
            }
        }
    }
    found.into_iter().map(|(_, generated)| generated).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::identity::SigningKey;

    fn recorder(folder: &Path, until: i64) -> Recorder {
        let digest = Sha256Digest::compute(b"");
        Recorder {
            journal: Journal::open(&JournalPlace::in_home(folder), [7; 16]).unwrap(),
            signer: Box::new(SigningKey::from_bytes(&[7; 32])),
            recipients: Recipients::new(UsageMode::Counts, &[]).unwrap(),
            scorer: None,
            history: History::default(),
            open: HashMap::new(),
            forgotten: 0,
            checkpoint: "tiny".parse().unwrap(),
            grant: digest,
            lease: digest,
            uses: BTreeSet::new(),
            until: Timestamp::from_unix_seconds(until),
            renewal_due: Timestamp::now(),
            limit: None,
        }
    }

    fn prompt(max_tokens: usize) -> Prompt<'static> {
        Prompt {
            task: Task::Serve,
            text: "Hello",
            tokens: 1,
            max_tokens,
            parameters: None,
            justification: None,
        }
    }

    #[test]
    fn nothing_begins_after_grant_or_lease_have_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = recorder(folder.path(), 100);
        let mut begin = |at| recorder.begin(&prompt(5), Timestamp::from_unix_seconds(at));
        assert!(begin(99).is_ok());
        let refused = begin(100).unwrap_err().to_string();
        assert_eq!(refused, "leave to open `tiny` ended at 1970-01-01T00:01:40Z");
    }

    #[test]
    fn texts_may_end_in_another_order_than_they_began() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = recorder(folder.path(), 1000);
        let now = Timestamp::from_unix_seconds(50);
        let (first, _) = recorder.begin(&prompt(10), now).unwrap();
        let (second, _) = recorder.begin(&prompt(20), now).unwrap();
        let mut end = |begin, tokens| {
            recorder.end(begin, &Outcome { output: "", tokens, finish: Finish::Length }, now).unwrap();
            recorder.history.own.iter().map(|generated| generated.tokens).collect::<Vec<_>>()
        };
        assert_eq!(end(first, 3), [3, 20]);
        assert_eq!(end(second, 4), [3, 4]);
    }

    #[test]
    fn history_that_no_rule_uses_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = recorder(folder.path(), i64::MAX);
        let then = Timestamp::from_unix_seconds(50);
        let first: Vec<u64> = (0..300).map(|_| recorder.begin(&prompt(10), then).unwrap().0).collect();
        let later = then.plus_seconds(HISTORY_HOURS * 3600 + 1);
        let (last, _) = recorder.begin(&prompt(20), later).unwrap();
        assert_eq!(recorder.history.own.len(), 1);
        let outcome = Outcome { output: "", tokens: 3, finish: Finish::Length };
        recorder.end(first[7], &outcome, later).unwrap();
        assert_eq!(recorder.history.own[0].tokens, 20);
        recorder.end(last, &outcome, later).unwrap();
        assert_eq!(recorder.history.own[0].tokens, 3);
    }
}
