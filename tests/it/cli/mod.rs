//! The command line: what commands print and refuse, and walks of several commands.

mod advice;
mod demo;
mod docs;
mod identity;
mod organizations;
mod outputs;
mod policy;
mod policy_refusals;
mod run;
mod walks;
