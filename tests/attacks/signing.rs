//! Getting a signature under something else than what was shown.
