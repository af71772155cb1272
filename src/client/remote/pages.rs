//! Lists that come in pages, each of which a registry can make as long as it likes and give a next one. Whatever it sends is counted as it
//! comes, before its content is checked.

use std::collections::BTreeSet;

/// Most rows of a list.
pub(super) const MAX_ROWS: usize = 100_000;
/// Rows that are asked for at once.
pub(super) const PAGE: usize = 1000;
/// Most bytes of all pages of a list.
const MAX_BYTES: usize = 256 << 20;
/// Most pages: an honest registry gives as many rows as are asked for, while it has more; twice as many pages leave room for shorter ones.
const MAX_PAGES: usize = 2 * MAX_ROWS / PAGE;
/// Longest name of a place in a list.
const MAX_PLACE: usize = 256;

/// A page as it came.
#[derive(Debug)]
pub(super) struct Page {
    /// Its rows, of whatever kind.
    pub(super) rows: usize,
    /// Its length.
    pub(super) bytes: usize,
    /// Where the next one begins, if there is one.
    pub(super) next: Option<String>,
}

/// Why a list is not read on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PagingError {
    /// There are more rows than are read.
    #[error("a list of more than {MAX_ROWS} rows")]
    Rows,
    /// Its pages are longer in all than is read.
    #[error("a list of more than {} MiB", MAX_BYTES >> 20)]
    Bytes,
    /// It comes in pieces without end.
    #[error("a list in more than {MAX_PAGES} pages")]
    Pages,
    /// A page brings nothing and yet gives a next one.
    #[error("empty pages without end")]
    Empty,
    /// The next page begins where one began before, or nowhere.
    #[error("a list whose next page is one that came before")]
    Circle,
}

/// What came of a list so far.
#[derive(Debug, Default)]
pub(super) struct Pages {
    rows: usize,
    bytes: usize,
    places: BTreeSet<String>,
}

impl Pages {
    /// Counts a page; where the next one begins, if it may be read.
    pub(super) fn accept(&mut self, page: Page) -> Result<Option<String>, PagingError> {
        self.rows = self.rows.saturating_add(page.rows);
        self.bytes = self.bytes.saturating_add(page.bytes);
        if self.bytes > MAX_BYTES {
            return Err(PagingError::Bytes);
        }
        // The last page may have more rows than were asked for, and so may a list of one page.
        let Some(next) = page.next else {
            return if self.rows > MAX_ROWS + PAGE { Err(PagingError::Rows) } else { Ok(None) };
        };
        if page.rows == 0 {
            return Err(PagingError::Empty);
        }
        if self.rows > MAX_ROWS {
            return Err(PagingError::Rows);
        }
        if next.is_empty() || next.len() > MAX_PLACE || !self.places.insert(next.clone()) {
            return Err(PagingError::Circle);
        }
        if self.places.len() >= MAX_PAGES {
            return Err(PagingError::Pages);
        }
        Ok(Some(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns pages until there is an end or a refusal; how many came.
    fn accept_all(page: impl Fn(usize) -> Page) -> (usize, Result<(), PagingError>) {
        let mut pages = Pages::default();
        for number in 0.. {
            match pages.accept(page(number)) {
                Ok(Some(_)) => {}
                Ok(None) => return (number + 1, Ok(())),
                Err(error) => return (number + 1, Err(error)),
            }
        }
        unreachable!("every list ends")
    }

    #[test]
    fn every_list_ends() {
        let page = |rows, bytes, next: String| Page { rows, bytes, next: Some(next) };
        let fresh = |number: usize| format!("place {number}");
        assert_eq!(accept_all(|n| page(1, 100, fresh(n))), (200, Err(PagingError::Pages)));
        assert_eq!(accept_all(|n| page(1, 27 << 20, fresh(n))), (10, Err(PagingError::Bytes)));
        assert_eq!(accept_all(|n| page(1000, 100, fresh(n))), (101, Err(PagingError::Rows)));
        assert_eq!(accept_all(|n| page(0, 100, fresh(n))), (1, Err(PagingError::Empty)));
        assert_eq!(accept_all(|_| page(1, 100, "here".to_owned())), (2, Err(PagingError::Circle)));
        assert_eq!(accept_all(|n| page(1, 100, fresh(n % 7))), (8, Err(PagingError::Circle)));
        assert_eq!(accept_all(|n| page(1, 100, "x".repeat(n + 256))), (2, Err(PagingError::Circle)));
    }

    #[test]
    fn as_much_as_an_honest_registry_has_is_read() {
        let next = |number| (number < 99).then(|| format!("place {number}"));
        let read = accept_all(|number| Page { rows: 1000, bytes: 2 << 20, next: next(number) });
        assert_eq!(read, (100, Ok(())));
    }
}
