//! A sealed checkpoint to pull from servers of the tests' own.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use portcullis::access::RulesInForce;
use portcullis::catalogue::{Client, Folder};
use portcullis::client::{self, Catalogue, ChunkSource, Error, Mirror, Pace, PullOptions, Pulled, Vault};
use portcullis::digest::Sha256Digest;
use portcullis::progress::Progress;
use portcullis::seal::SealedManifest;
use portcullis::time::Timestamp;
use tempfile::TempDir;

use super::hostile_server::{Server, Site};
use super::people::{ID, Scene};

/// A released checkpoint and what a client knows of it.
pub struct Ground {
    pub scene: Scene,
    pub manifest: Vec<u8>,
    pub rules: RulesInForce,
    pub chunks: BTreeMap<String, Vec<u8>>,
}

impl Ground {
    pub fn new() -> Self {
        let scene = Scene::released("partners");
        let client = Client::new(scene.at("homes/rosa/catalogue"));
        let remote = Folder::new(scene.at("registry/catalogue"));
        let trusted = client.refresh(&remote, Timestamp::now()).unwrap();
        let catalogue = Catalogue::new(trusted, Box::new(remote));
        let id = ID.parse().unwrap();
        let rules = catalogue.rules_in_force(&id).unwrap();
        let manifest = catalogue.sealed_manifest(&id).unwrap();
        let sealed = scene.at("registry/sealed").join(ID).join("chunks");
        let chunks = SealedManifest::parse(&manifest).unwrap();
        let chunks = chunks.chunks().map(|chunk| chunk.sha256.to_string());
        let chunks = chunks.map(|name| (name.clone(), fs::read(sealed.join(name)).unwrap())).collect();
        Self { scene, manifest, rules, chunks }
    }

    pub fn size(&self) -> u64 {
        self.chunks.values().map(|chunk| chunk.len() as u64).sum()
    }

    /// Puts every chunk on a server.
    pub fn publish(&self, site: &Site) {
        for (name, bytes) in &self.chunks {
            site.publish(&format!("/{name}"), bytes, &[]);
        }
    }

    /// Pulls from servers into a vault.
    pub fn pull(&self, vault: &Path, servers: &[String], progress: &dyn Progress) -> Result<Pulled, Error> {
        let mirrors = servers.iter().map(|url| Mirror::Plain(url.parse().unwrap())).collect();
        let options = PullOptions { pace: impatient(), ..PullOptions::default() };
        let vault = Vault::at(vault.to_owned());
        client::pull(
            &self.manifest,
            &ChunkSource::Mirrors(mirrors),
            (&vault, &self.rules),
            &options,
            progress,
        )
    }

    /// Whether a vault holds the checkpoint, whole and right, and nothing unfinished.
    pub fn is_whole(&self, vault: &Path) -> bool {
        let folder = vault.join("sealed").join(ID).join(self.rules.manifest.to_string());
        let manifest = fs::read(folder.join("manifest.json")).is_ok_and(|there| there == self.manifest);
        let names: Vec<_> = fs::read_dir(folder.join("chunks"))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        manifest
            && names.len() == self.chunks.len()
            && names.iter().all(|name| {
                let bytes = fs::read(folder.join("chunks").join(name)).unwrap();
                Sha256Digest::compute(&bytes).to_string() == *name
            })
    }

    /// What lies in a vault under a chunk's name is that chunk, be it whole or not.
    pub fn is_honest(&self, vault: &Path) -> bool {
        let chunks = vault.join("sealed").join(ID).join(self.rules.manifest.to_string()).join("chunks");
        fs::read_dir(chunks).into_iter().flatten().map(|entry| entry.unwrap()).all(|entry| {
            let name = entry.file_name().into_string().unwrap();
            name.starts_with(".part-") || fs::read(entry.path()).unwrap() == self.chunks[&name]
        })
    }
}

/// Patience that tests can afford.
pub fn impatient() -> Pace {
    Pace {
        connect: Duration::from_secs(2),
        idle: Duration::from_millis(300),
        floor: 512,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(60),
    }
}

/// A vault that is removed at the end.
pub fn vault() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// An honest server with every chunk.
pub fn honest(ground: &Ground) -> Server {
    let server = Server::honest();
    ground.publish(&server.site);
    server
}
