//! Floods that push the statement that matters off a page.
