//! One person's state on this machine: identity, trusted catalogue, vault, and where their registry is.
//!
//! A home belongs to one person; several people on one machine have a home each (`--home`, `PORTCULLIS_HOME`). A *registry* is an
//! address (`https://…`), or a folder that its people share, by whatever carries files: `catalogue/` (TUF), `exchange/` (statements) and
//! `sealed/` (sealed checkpoints). Nothing in it is trusted; everything read from it is verified.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use age::secrecy::SecretString;
use anyhow::Context as _;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::failure::Refusal;
use super::outage::{Need, Outage};
use super::output::Output;
use super::passphrase::PassphraseArguments;
use crate::checkpoint::fetch::{BaseUrl, FetchError};
use crate::identity::{Card, Identity, IdentityFile, Signer};
use crate::log::WitnessRule;
use crate::time::Timestamp;
use crate::usage::JournalPlace;

/// Whose state to use, and how to unlock it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Home")]
pub(super) struct HomeArguments {
    /// Where your identity and your state are kept [default: $XDG_DATA_HOME/portcullis or ~/.local/share/portcullis]
    #[arg(long, global = true, env = "PORTCULLIS_HOME", value_name = "FOLDER")]
    home: Option<PathBuf>,

    /// The registry's address or folder, if not the one that this home joined
    #[arg(long, global = true, env = "PORTCULLIS_REGISTRY", value_name = "URL|FOLDER")]
    registry: Option<Place>,

    /// Do not call the registry: go on with what this machine knows, or say what is missing
    #[arg(long, global = true)]
    offline: bool,

    #[command(flatten)]
    passphrase: PassphraseArguments,
}

/// One person's state.
#[derive(Debug, Clone)]
pub(super) struct Home {
    folder: PathBuf,
    registry: Option<Place>,
    passphrase: PassphraseArguments,
    /// The passphrase that opened the identity: nobody is asked twice in one command.
    known: Arc<Mutex<Option<SecretString>>>,
    /// Whether the registry is called.
    outage: Arc<Outage>,
    /// The time at which the catalogue held last in this command.
    clock: Arc<Mutex<Option<Timestamp>>>,
}

/// Where a registry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A folder that people share.
    Folder(PathBuf),
    /// A server.
    Address(BaseUrl),
}

/// What names no place.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    /// An address without what makes it one.
    #[error("there is no folder {text}; for a server, write http://{text} or https://{text}")]
    NoScheme { text: String },
    /// No address that can be used.
    #[error("{text} is no address of a registry ({source}); for a server, write http://… or https://…")]
    Address {
        text: String,
        #[source]
        source: FetchError,
    },
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        // `c:` and the like are no schemes; whoever writes `://` means an address.
        if text.contains("://") {
            let address =
                text.parse().map_err(|source| PlaceError::Address { text: text.to_owned(), source });
            return address.map(Self::Address);
        }
        if has_a_port(text) && !Path::new(text).exists() {
            return Err(PlaceError::NoScheme { text: text.to_owned() });
        }
        Ok(Self::Folder(text.into()))
    }
}

/// Whether a text begins as `localhost:7488` does.
fn has_a_port(text: &str) -> bool {
    let host = text.split('/').next().unwrap_or_default();
    host.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    })
}

impl Place {
    /// Refuses a folder that is not there or holds no registry: it would pass for one in which nothing ever happened.
    pub(super) fn require_there(&self) -> Result<(), Refusal> {
        let Self::Folder(folder) = self else { return Ok(()) };
        if folder.join("catalogue").is_dir() {
            return Ok(());
        }
        let shown = folder.display();
        let message = match folder.is_dir() {
            true => format!("the folder {shown} holds no registry: it has no catalogue"),
            false => format!("there is no folder {shown}"),
        };
        Err(Refusal::unavailable(
            message,
            "check the path; for a server, write its address with http:// or https://",
        ))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// What a home remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    registry: Option<String>,
    /// Witnesses of the log, by their keys, and how many of them must have cosigned a head.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    witnesses: Vec<String>,
    #[serde(default)]
    witnesses_needed: usize,
}

const SETTINGS: &str = "settings.json";
const OUTAGE: &str = "outage.json";

impl HomeArguments {
    /// The home that the arguments, the environment or custom name.
    pub(super) fn resolve(self, need: Need) -> anyhow::Result<Home> {
        let folder = match self.home {
            Some(folder) => folder,
            None => default_folder()?,
        };
        let outage = Outage::new(folder.join(OUTAGE), self.offline, need);
        Ok(Home {
            folder,
            registry: self.registry,
            passphrase: self.passphrase,
            known: Arc::default(),
            outage: Arc::new(outage),
            clock: Arc::default(),
        })
    }
}

fn default_folder() -> anyhow::Result<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    data.map(|data| data.join("portcullis")).ok_or_else(|| {
        Refusal::usage(
            "neither HOME nor XDG_DATA_HOME is set",
            "name a folder with --home or PORTCULLIS_HOME",
        )
        .into()
    })
}

impl Home {
    /// The home in this folder, or the usual one.
    pub(super) fn at(folder: Option<PathBuf>) -> anyhow::Result<Self> {
        let (registry, passphrase) = (None, PassphraseArguments::default());
        HomeArguments { home: folder, registry, passphrase, offline: false }.resolve(Need::default())
    }

    /// The folder, made where it is missing; only its owner can enter it.
    pub(super) fn folder(&self) -> anyhow::Result<&Path> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .with_context(|| format!("cannot make {}", self.folder.display()))?;
        Ok(&self.folder)
    }

    /// The folder, which need not be there.
    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    /// The identity file, which need not be there.
    pub(super) fn identity_file(&self) -> IdentityFile {
        IdentityFile::new(self.folder.join("identity.age"))
    }

    /// Where the card lies, in the open.
    pub(super) fn card_path(&self) -> PathBuf {
        self.folder.join("card.json")
    }

    /// The card, if there is an identity.
    pub(super) fn own_card(&self) -> anyhow::Result<Option<Card>> {
        if !self.card_path().exists() {
            return Ok(None);
        }
        let card = crate::statement::verify_card(&super::files::envelope(&self.card_path())?)?;
        Ok(Some(card.into_inner()))
    }

    /// The trusted state of the catalogue.
    pub(super) fn catalogue_state(&self) -> PathBuf {
        self.folder.join("catalogue")
    }

    /// Sealed checkpoints, grants and leases of this person.
    pub(super) fn vault(&self) -> PathBuf {
        self.folder.join("vault")
    }

    /// What is known of the registry's log.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The usage journal of this person on this machine.
    pub(super) fn journal(&self) -> JournalPlace {
        JournalPlace::in_home(&self.folder)
    }

    /// Which witnesses must vouch for the registry's log.
    pub(super) fn witnesses(&self) -> anyhow::Result<WitnessRule> {
        let Settings { witnesses, witnesses_needed: need, .. } = self.settings()?;
        let witnesses = witnesses.iter().map(|key| key.parse()).collect::<Result<_, _>>()?;
        Ok(WitnessRule { witnesses, need })
    }

    /// How a passphrase comes in.
    pub(super) fn passphrase(&self) -> &PassphraseArguments {
        &self.passphrase
    }

    /// Opens the identity, asking for its passphrase where a person can answer.
    pub(super) fn identity(&self, output: Output) -> anyhow::Result<Identity> {
        let file = self.identity_file();
        if !file.is_protected()? {
            return Ok(file.read(None)?);
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let passphrase = match known {
            None => self.passphrase.existing(file.path(), output)?,
            known => known,
        };
        let identity = file.read(passphrase.clone())?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = passphrase;
        Ok(identity)
    }

    /// Another home, opened by the same means.
    pub(super) fn elsewhere(&self, folder: PathBuf) -> Self {
        let outage = Outage::new(folder.join(OUTAGE), false, Need::Registry);
        Self {
            folder,
            registry: None,
            passphrase: self.passphrase.clone(),
            known: Arc::default(),
            outage: Arc::new(outage),
            clock: Arc::default(),
        }
    }

    /// The same home for another attempt: what was out of reach is tried again.
    pub(super) fn anew(&self) -> Self {
        Self { outage: Arc::new(self.outage.anew()), ..self.clone() }
    }

    /// Whether the registry is not called any more, or not at all.
    pub(super) fn is_offline(&self) -> bool {
        self.offline_because().is_some()
    }

    /// Why the registry is not called, if it is not.
    pub(super) fn offline_because(&self) -> Option<String> {
        let place = self.place().ok()?;
        self.outage.reason(&place.to_string())
    }

    /// Whether the registry is not called because an earlier command got no answer.
    pub(super) fn remembers_an_outage(&self) -> bool {
        self.place().is_ok_and(|place| self.outage.is_remembered(&place.to_string()))
    }

    /// For this command, the registry is out of reach.
    pub(super) fn go_offline(&self) {
        self.outage.found("it did not answer a moment ago");
    }

    /// What is known of the way to the registry.
    pub(super) fn outage(&self) -> &Arc<Outage> {
        &self.outage
    }

    /// Remembers, for this command, when the catalogue held.
    pub(super) fn note_clock(&self, now: Timestamp) {
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// When the catalogue held last in this command.
    pub(super) fn noted_clock(&self) -> Option<Timestamp> {
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this home has a registry: then names of checkpoints mean the registry's.
    pub(super) fn has_joined(&self) -> anyhow::Result<bool> {
        Ok(self.registry.is_some() || self.settings()?.registry.is_some())
    }

    /// The folder, as it is shown.
    pub(super) fn shown(&self) -> String {
        self.folder.display().to_string()
    }

    /// Where `status` keeps what it saw last.
    pub(super) fn seen_path(&self) -> PathBuf {
        self.folder.join("seen.json")
    }

    /// Where the bearer of the last session is kept.
    pub(super) fn session_path(&self) -> PathBuf {
        self.folder.join("session.json")
    }

    /// Opens the identity, and what signs in its name. Commands sign through `signing`, which shows what is signed first.
    pub(super) fn unlocked_signer(&self, output: Output) -> anyhow::Result<(Identity, Box<dyn Signer>)> {
        let identity = self.identity(output)?;
        if identity.has_agent_key() {
            output.note("note: an SSH agent signs; confirm there if it asks");
        }
        let signer = identity.signer(agent_socket().as_deref())?;
        Ok((identity, signer))
    }

    /// Where the registry is.
    pub(super) fn place(&self) -> anyhow::Result<Place> {
        if let Some(place) = &self.registry {
            return Ok(place.clone());
        }
        let known = self.settings()?.registry.ok_or_else(|| {
            Refusal::usage(
                format!("{} has joined no registry", self.folder.display()),
                "run `portcullis join <registry> --root <file>` once, or give --registry",
            )
        })?;
        Ok(known.parse()?)
    }

    /// The registry's address, where it is a server.
    pub(super) fn address(&self) -> anyhow::Result<Option<BaseUrl>> {
        Ok(match self.place()? {
            Place::Address(address) => Some(address),
            Place::Folder(_) => None,
        })
    }

    /// The registry's folder.
    fn registry(&self) -> anyhow::Result<PathBuf> {
        match self.place()? {
            Place::Folder(folder) => Ok(folder),
            Place::Address(address) => Err(Refusal::usage(
                format!("this works on a registry that is a folder, and {address} is a server"),
                "the server does it by itself",
            )
            .into()),
        }
    }

    /// The catalogue's folder inside the registry's.
    pub(super) fn catalogue(&self) -> anyhow::Result<PathBuf> {
        Ok(self.registry()?.join("catalogue"))
    }

    /// The folder of statements inside the registry's.
    pub(super) fn exchange(&self) -> anyhow::Result<PathBuf> {
        Ok(self.registry()?.join("exchange"))
    }

    /// The folder of sealed checkpoints inside the registry's.
    pub(super) fn sealed(&self) -> anyhow::Result<PathBuf> {
        Ok(self.registry()?.join("sealed"))
    }

    /// Where this home keeps what it sealed for a registry that is a server.
    pub(super) fn sealed_here(&self) -> PathBuf {
        self.folder.join("sealed")
    }

    /// Remembers the registry, and which witnesses must vouch for its log.
    pub(super) fn remember_registry(&self, registry: &Place, witnesses: &WitnessRule) -> anyhow::Result<()> {
        let settings = Settings {
            registry: Some(registry.to_string()),
            witnesses: witnesses.witnesses.iter().map(ToString::to_string).collect(),
            witnesses_needed: witnesses.need,
        };
        let path = self.folder()?.join(SETTINGS);
        write_whole(&path, &serde_json::to_vec_pretty(&settings)?)
    }

    fn settings(&self) -> anyhow::Result<Settings> {
        let path = self.folder.join(SETTINGS);
        match fs::read(&path) {
            Ok(bytes) => {
                crate::json::from_slice(&bytes).with_context(|| format!("cannot use {}", path.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Settings::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

/// The socket of the SSH agent that the environment names.
pub(super) fn agent_socket() -> Option<PathBuf> {
    std::env::var_os("SSH_AUTH_SOCK").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Writes a file whole or not at all.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    write_whole_as(path, bytes, 0o644)
}

/// The same for what nobody else may read.
pub(super) fn write_secret(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    write_whole_as(path, bytes, 0o600)
}

fn write_whole_as(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    use std::io::Write as _;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(parent)?;
        let mut file = super::files::new_beside(parent)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        file.persist(path).map_err(|error| error.error)?;
        fs::File::open(parent)?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
