//! A catalogue of two owners, a registry and boards, made with the library; and a remote in memory to attack.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis::catalogue::*;
use portcullis::identity::{Identity, Signer};
use portcullis::name::CheckpointId;
use portcullis::statement::{Envelope, sign_card};
use portcullis::time::Timestamp;

/// A moment at which everything begins.
pub fn day(number: u32) -> Timestamp {
    Timestamp::from_unix_seconds(1_767_225_600).plus_days(number)
}

pub fn person(name: &str, seed: u8) -> Identity {
    Identity::new(name.parse().unwrap(), None, &[seed; 32], &[seed; 32], day(0))
}

pub fn signer(identity: &Identity) -> Box<dyn Signer> {
    identity.signer(None).unwrap()
}

pub fn card(identity: &Identity) -> Envelope {
    sign_card(identity.card(), &*signer(identity)).unwrap()
}

pub fn proposer(identity: &Identity) -> Proposer {
    Proposer::new(identity.card().verifying_key)
}

pub fn checkpoint(id: &str) -> CheckpointId {
    id.parse().unwrap()
}

/// Everybody, and the catalogue's folder.
pub struct World {
    pub place: tempfile::TempDir,
    pub olga: Identity,
    pub otto: Identity,
    pub registry: Identity,
    pub ada: Identity,
    pub ben: Identity,
    pub cy: Identity,
    pub dee: Identity,
}

impl World {
    /// A published catalogue whose board of gpt2-124m is two of Ada, Ben and Cy; it has a policy, version 1.
    pub fn new() -> Self {
        Self::published_on(0)
    }

    /// The same, founded on a later day: another catalogue of the same people.
    pub fn published_on(on: u32) -> Self {
        let world = Self::founded_on(on);
        world.sign_all();
        world.publish(on);
        world.change("policy one", on);
        world
    }

    /// Proposed, and signed by nobody.
    pub fn founded() -> Self {
        Self::founded_on(0)
    }

    fn founded_on(on: u32) -> Self {
        let world = Self {
            place: tempfile::tempdir().unwrap(),
            olga: person("Olga", 1),
            otto: person("Otto", 2),
            registry: person("Registry", 3),
            ada: person("Ada", 4),
            ben: person("Ben", 5),
            cy: person("Cy", 6),
            dee: person("Dee", 7),
        };
        let members = [&world.ada, &world.ben, &world.cy].map(card).to_vec();
        let founding = Founding {
            owners: [&world.olga, &world.otto].map(card).to_vec(),
            threshold: 2,
            registry: card(&world.registry),
            boards: BTreeMap::from([(checkpoint("gpt2-124m"), BoardPlan { members, threshold: 2 })]),
        };
        world.repository().found(&founding, &proposer(&world.olga), day(on), Days::default()).unwrap();
        world
    }

    pub fn folder(&self) -> PathBuf {
        self.place.path().join("catalogue")
    }

    pub fn repository(&self) -> Repository {
        Repository::new(self.folder())
    }

    pub fn people(&self) -> [&Identity; 7] {
        [&self.olga, &self.otto, &self.registry, &self.ada, &self.ben, &self.cy, &self.dee]
    }

    /// Everybody but the registry signs what they can.
    pub fn sign_all(&self) {
        for identity in self.people() {
            for open in self.repository().proposal_statuses().unwrap() {
                match self.repository().sign(&*signer(identity), &open.subject, open.digest) {
                    Ok(_) | Err(RepositoryError::NoSay { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    pub fn publish(&self, on: u32) -> Publication {
        self.repository().publish(&*signer(&self.registry), day(on), Days::default()).unwrap()
    }

    /// Publishes another policy.
    pub fn change(&self, policy: &str, on: u32) {
        let files = BTreeMap::from([(CheckpointFile::Policy, policy.as_bytes().to_vec())]);
        let (board, expires) = (checkpoint("gpt2-124m"), day(on).plus_days(365));
        self.repository().propose(&board, &files, expires, &proposer(&self.ada)).unwrap();
        self.sign_all();
        self.publish(on);
    }

    /// A client that trusts the first root, its state in a folder of this name.
    pub fn client(&self, name: &str) -> Client {
        let client = Client::new(self.place.path().join(name));
        client.trust(&fs::read(self.folder().join("metadata/1.root.json")).unwrap()).unwrap();
        client
    }

    /// The folder's files now.
    pub fn memory(&self) -> Memory {
        let mut files = BTreeMap::new();
        collect(&self.folder(), "", &mut files);
        files.retain(|path, _| path.starts_with("metadata/") || path.starts_with("targets/"));
        Memory { files }
    }
}

fn collect(folder: &Path, below: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
}

/// A server in memory, which may be hostile.
#[derive(Clone, Default)]
pub struct Memory {
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Remote for Memory {
    fn fetch(&self, path: &str, max: u64) -> Result<Option<Vec<u8>>, Error> {
        match self.files.get(path) {
            Some(bytes) if bytes.len() as u64 > max => Err(Error::TooLong { file: path.to_owned(), max }),
            bytes => Ok(bytes.cloned()),
        }
    }
}
