//! Walks: what people do one step after the other, as they would type it, and what they are told.

mod admin;
mod ended;
mod mistyped;
mod policies;
mod researcher;
mod told;
