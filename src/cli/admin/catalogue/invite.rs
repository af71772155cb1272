//! `portcullis catalogue invite`.

use clap::Args;
use serde_json::json;

use crate::cli::home::{Home, Place};
use crate::cli::output::Output;
use crate::cli::registry;
use crate::client::Invitation;
use crate::statement::CatalogueId;

/// Print an invitation: one line that names your registry and its catalogue, for `portcullis join`; and the fingerprint to compare
#[derive(Debug, Args)]
pub(in crate::cli) struct Invite {}

impl Invite {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let place = match home.place()? {
            Place::Folder(folder) => Place::Folder(std::path::absolute(folder)?),
            address => address,
        };
        // Which catalogue it is was this home's owner to say; a registry is not asked.
        let client = registry::client(home);
        let root = client
            .first_root()?
            .ok_or_else(|| crate::catalogue::Error::NoRoot { path: home.catalogue_state() })?;
        let invitation = Invitation::new(place.to_string(), CatalogueId::new(root))?;
        let fingerprint = invitation.fingerprint();
        let text = format!(
            "{invitation}\n  registry     {place}\n  fingerprint  {fingerprint}\n  \
             next: send the line; the recipient runs `portcullis join <invitation>` and compares the fingerprint with yours over another channel\n"
        );
        let value = json!({
            "invitation": invitation.to_string(), "registry": place.to_string(), "catalogue": root,
            "fingerprint": fingerprint.to_string(),
        });
        output.result(&value, text)
    }
}
