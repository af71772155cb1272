//! `portcullis request assign`.

use clap::Args;
use serde_json::json;

use crate::access::verify_request;
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::people::Names;
use crate::cli::{registry, resolve};

/// Assign a request to a board member: yourself or another
#[derive(Debug, Args)]
pub(in crate::cli) struct Assign {
    /// The first digits of the request's digest
    request: String,

    /// Another member, by name or by the first digits of their key id
    #[arg(long, value_name = "MEMBER", conflicts_with = "nobody")]
    to: Option<String>,

    /// Remove the assignment
    #[arg(long)]
    nobody: bool,
}

impl Assign {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let Some(address) = home.address()? else {
            let message = "a registry that is a folder has no queue";
            return Err(Refusal::usage(message, "agree among the board by other means").into());
        };
        let registry = registry::remote(home, &address, output)?;
        let found = resolve::request(&*registry::statements(home, output)?, &self.request)?;
        let catalogue = registry::catalogue(home, output)?;
        let request = verify_request(&found.envelope, catalogue.id())?;
        let assignee = match (self.nobody, self.to) {
            (true, _) => None,
            (false, Some(typed)) => {
                let deciders = catalogue.rules_in_force(&request.predicate.checkpoint)?.deciders();
                Some(resolve::key(deciders.keys(), &typed, &catalogue)?.id())
            }
            (false, None) => {
                let card = crate::cli::files::envelope(&home.card_path())?;
                Some(crate::statement::verify_card(&card)?.verifying_key.id())
            }
        };
        registry.assign(request.digest(), assignee)?;
        let short = registry::short_digest(request.digest());
        let names = Names { catalogue: &catalogue, author: &request.predicate.card };
        let text = match assignee {
            Some(key) => format!("request {short} is assigned to {}\n", names.name_of(key)),
            None => format!("request {short} is assigned to no one\n"),
        };
        output.result(&json!({ "request": request.digest(), "assignee": assignee }), text)
    }
}
