//! Attacks that were tried on a release, one test each, named after what it tried.

mod access;
mod affiliations;
mod catalogues;
mod endless;
mod files;
mod floods;
mod forged_cases;
mod hostile_text;
mod journals;
mod kept;
mod lists;
mod open_cases;
mod public;
mod readings;
mod relay;
mod sanctions;
mod signing;
mod streams;
mod subjects;
mod texts;
mod usage;
