//! A registry of before there was a log: what it holds is entered once, in the order in which it came in.

use std::collections::{BTreeMap, BTreeSet};

use super::accept::entry_of;
use super::publication::publications;
use super::{Error, Registry};
use crate::access::Grant;
use crate::log::{Entry, EntryKind};
use crate::statement::Predicate as _;
use crate::store::{Page, RequestState};

impl Registry {
    /// Enters what is here already, if the log has not begun; whether it did.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Catalogue`].
    pub async fn begin_log(&self) -> Result<bool, Error> {
        let files = self.files().await?;
        if !self.store.log_is_new().await? || !files.files.contains_key("metadata/timestamp.json") {
            return Ok(false);
        }
        let all: BTreeMap<_, _> =
            files.files.iter().map(|(path, bytes)| (path.clone(), Some(bytes.clone()))).collect();
        let mut entries = publications(&files.files, &all, self.now())?;
        let (mut after, mut granted) = (0, BTreeSet::new());
        loop {
            let rows = self.store.all_statements(Page { after, ..Page::FIRST }).await?;
            let Some((last, _)) = rows.last() else { break };
            after = *last;
            for (_, row) in &rows {
                entries.extend(entry_of(row));
                let Some(request) = row.about.filter(|_| row.kind == Grant::KIND) else { continue };
                let state = self.store.request(request).await?.map(|request| request.state);
                let stood = matches!(state, Some(RequestState::Granted | RequestState::Ended));
                if stood && granted.insert(row.digest) {
                    let entry = Entry::new(EntryKind::Grant, row.received, row.digest);
                    entries.push(entry.with_checkpoint(&row.checkpoint).with_about(row.about));
                }
            }
        }
        Ok(self.store.begin_log(&entries).await?)
    }
}
