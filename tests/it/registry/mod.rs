//! The registry over HTTP, its record, usage, cases and audits.

mod audit;
mod backup;
mod cases;
mod gate;
mod log;
mod misuse;
mod replicas;
mod served;
mod server;
mod usage;
mod witness;
