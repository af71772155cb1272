//! How long a registry is waited for, and what is known beforehand of the way to it.

use std::time::Duration;

/// How patient to be with a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For name lookup, connection and TLS together.
    pub connect: Duration,
    /// For the first answer of all, from the question on: a registry that never says a word is not waited for longer.
    pub first: Duration,
    /// For each silence before and inside an answer of one that did answer before.
    pub silence: Duration,
    /// How often a question is put.
    pub tries: u32,
    /// How often a registry is called that refuses the connection.
    pub calls: u32,
    /// How long to wait for one that says that it is busy, since it may be restarting.
    pub restart: Duration,
}

impl Patience {
    /// For commands that can do nothing without the registry.
    pub const NORMAL: Self = Self {
        connect: Duration::from_secs(5),
        first: Duration::from_secs(6),
        silence: Duration::from_secs(30),
        tries: 4,
        calls: 2,
        restart: Duration::ZERO,
    };

    /// For commands that go on without it.
    pub const BRIEF: Self = Self {
        connect: Duration::from_secs(2),
        first: Duration::from_secs(5),
        silence: Duration::from_secs(5),
        tries: 1,
        calls: 1,
        restart: Duration::ZERO,
    };

    /// For commands whose user waits anyway.
    pub const LONG: Self = Self { restart: Duration::from_secs(10), ..Self::NORMAL };
}

/// The way to a registry: whether it is worth calling, and what became of it.
pub trait Line: Send + Sync {
    /// Why the registry is not called at all, if it is not.
    fn down_reason(&self) -> Option<String>;

    /// There was no answer, for this reason.
    fn report_down(&self, reason: &str);

    /// Whether the registry answered already, also to another question.
    fn has_answered(&self) -> bool;

    /// The registry answered.
    fn report_up(&self);

    /// It is waited for, for this reason.
    fn report_wait(&self, reason: &str);
}

/// A line of which nothing is known, and nothing remembered.
#[derive(Debug, Clone, Copy)]
pub struct UnmonitoredLine;

impl Line for UnmonitoredLine {
    fn down_reason(&self) -> Option<String> {
        None
    }

    fn report_down(&self, _reason: &str) {}

    fn has_answered(&self) -> bool {
        false
    }

    fn report_up(&self) {}

    fn report_wait(&self, _reason: &str) {}
}
