//! Checks and metrics that both HTTP servers share: the number of connections, the host of a request, and metric labels.
//!
//! Clients choose hosts and paths. Labels come from closed sets, or metrics would grow with every path that a client invents; the host must
//! be named exactly once, or a proxy and this program might disagree.

mod connections;
mod host;
mod label;
mod pace;

pub(crate) use connections::{Acceptor, household};
pub(crate) use host::Host;
pub(crate) use label::{Labels, RouteLabel, method_label, status_label};
pub(crate) use pace::Lines;
