//! Reading what is private without an entry of the log.
