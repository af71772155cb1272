//! The records of one generation: with a draft model, two checkpoints generate it, each under its own grant.

use super::recorder::{Outcome, Prompt};
use super::{Error, Recorder};
use crate::misuse::Hit;
use crate::time::Timestamp;
use crate::usage::Finish;

/// The recorders of all sealed checkpoints that generate a text together; empty if none is sealed.
#[derive(Default)]
pub struct Recorders(Vec<Recorder>);

/// The open record of a generation, as its sequence number in each journal.
#[derive(Debug, Clone)]
pub struct OpenRecord(Vec<u64>);

impl Recorders {
    /// Combines recorders.
    pub fn new(recorders: impl IntoIterator<Item = Recorder>) -> Self {
        Self(recorders.into_iter().collect())
    }

    /// Whether anything is recorded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The time when the first lease is due for renewal; `None` if there is none.
    pub fn renewal_due(&self) -> Option<Timestamp> {
        self.0.iter().map(Recorder::renewal_due).min()
    }

    /// Records durably that a generation begins. Returns its open records and the rules that the prompt matches.
    ///
    /// # Errors
    /// The errors of [`Recorder::begin`]. The text must not be generated; records that were already open are ended.
    pub fn begin(&mut self, prompt: &Prompt<'_>, now: Timestamp) -> Result<(OpenRecord, Vec<Hit>), Error> {
        let (mut records, mut hits) = (Vec::new(), Vec::<Hit>::new());
        for recorder in &mut self.0 {
            match recorder.begin(prompt, now) {
                Ok((seq, met)) => {
                    records.push(seq);
                    let fresh = met.into_iter().filter(|hit| hits.iter().all(|known| known.rule != hit.rule));
                    let fresh: Vec<_> = fresh.collect();
                    hits.extend(fresh);
                }
                Err(error) => {
                    let nothing = Outcome { output: "", tokens: 0, finish: Finish::Cancelled };
                    // The refusal is the error to report; a record that cannot be ended counts in full.
                    _ = self.end(OpenRecord(records), &nothing, now);
                    return Err(error);
                }
            }
        }
        Ok((OpenRecord(records), hits))
    }

    /// Stores more of a text before it is shown; `tokens` is the number of tokens so far.
    ///
    /// # Errors
    /// The errors of [`Recorder::append`].
    pub fn append(&mut self, record: &OpenRecord, text: &str, tokens: usize) -> Result<(), Error> {
        let recorders = self.0.iter_mut().zip(&record.0);
        recorders.into_iter().try_for_each(|(recorder, seq)| recorder.append(*seq, text, tokens))
    }

    /// Continues the open texts of other recorders of the same checkpoints under newer leases.
    pub fn continue_texts(&mut self, other: &mut Self) {
        self.0.iter_mut().zip(&mut other.0).for_each(|(new, old)| new.continue_texts(old));
    }

    /// Records the outcome of a generation. Returns the rules that its output matches.
    ///
    /// # Errors
    /// The first error of [`Recorder::end`]; the other records are ended, too.
    pub fn end(
        &mut self,
        record: OpenRecord,
        outcome: &Outcome<'_>,
        now: Timestamp,
    ) -> Result<Vec<Hit>, Error> {
        let (mut hits, mut failure) = (Vec::<Hit>::new(), None);
        for (recorder, seq) in self.0.iter_mut().zip(record.0) {
            match recorder.end(seq, outcome, now) {
                Ok(met) => {
                    let fresh = met.into_iter().filter(|hit| hits.iter().all(|known| known.rule != hit.rule));
                    let fresh: Vec<_> = fresh.collect();
                    hits.extend(fresh);
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(hits), Err)
    }
}
