//! `portcullis catalogue …`: the root of trust, as its owners, boards and registry keep it.

mod board;
mod conditions;
mod diff;
mod files;
mod founding_file;
mod init;
mod invite;
mod organization;
mod overview;
pub(in crate::cli) mod propose;
mod publish;
mod refresh;
mod review;
mod root;
mod rotate;
mod sign;
mod status;
mod submit;
mod waiting;
mod words;
pub(in crate::cli) mod working_copy;

use clap::Subcommand;

pub(in crate::cli) use waiting::proposals_to_sign;

use crate::cli::home::Home;
use crate::cli::output::Output;

/// The root of trust: propose changes, review, sign and publish them
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CatalogueCommand {
    Init(init::Init),
    Propose(propose::Propose),
    Review(review::ReviewCommand),
    Sign(sign::Sign),
    Publish(publish::Publish),
    Status(status::StatusCommand),
    Rotate(rotate::Rotate),
    #[command(subcommand)]
    Board(board::BoardCommand),
    #[command(subcommand)]
    Organization(organization::OrganizationCommand),
    Refresh(refresh::Refresh),
    Root(root::Root),
    Invite(invite::Invite),
}

impl CatalogueCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Init(init) => init.run(home, output),
            Self::Propose(propose) => propose.run(home, output),
            Self::Review(review) => review.run(home, output),
            Self::Sign(sign) => sign.run(home, output),
            Self::Publish(publish) => publish.run(home, output),
            Self::Status(status) => status.run(home, output),
            Self::Rotate(rotate) => rotate.run(home, output),
            Self::Board(board) => board.run(home, output),
            Self::Organization(organization) => organization.run(home, output),
            Self::Refresh(refresh) => refresh.run(home, output),
            Self::Root(root) => root.run(home, output),
            Self::Invite(invite) => invite.run(home, output),
        }
    }
}
