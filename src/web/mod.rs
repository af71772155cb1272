//! What both HTTP servers here hold a request against, before any handler sees it: how many connections there are, which host a request
//! names, and the labels under which it is measured.
//!
//! Both are the client's to write. A label comes from a closed set, or measurements grow with every word that a client invents; a host
//! is named once and exactly, or a proxy and this program may each read another one.

mod connections;
mod host;
mod label;
mod pace;

pub(crate) use connections::{Acceptor, household};
pub(crate) use host::Host;
pub(crate) use label::{Labels, RouteLabel, method_label, status_label};
pub(crate) use pace::Lines;
