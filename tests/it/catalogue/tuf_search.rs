//! Looking at single targets of a TUF repository: only the roles on the way are fetched.

use std::sync::Mutex;

use crate::support::catalogue::{Memory, World, day};
use portcullis::catalogue::{Error, Remote};

/// A server that remembers what it was asked for.
struct Watched {
    memory: Memory,
    asked: Mutex<Vec<String>>,
}

impl Watched {
    fn of(world: &World) -> Self {
        Self { memory: world.memory(), asked: Mutex::default() }
    }

    fn asked(&self) -> String {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        regex::Regex::new("[0-9a-f]{64}").unwrap().replace_all(&asked.join("\n"), "<sha256>").into_owned()
    }
}

impl Remote for Watched {
    fn fetch(&self, path: &str, max: u64) -> Result<Option<Vec<u8>>, Error> {
        self.asked.lock().unwrap().push(path.to_owned());
        self.memory.fetch(path, max)
    }
}

#[test]
fn a_search_fetches_the_roles_on_its_way_and_each_target_once() {
    let world = World::new();
    let (client, server) = (world.client("client"), Watched::of(&world));
    let search = client.search(&server, day(1)).unwrap();
    insta::assert_snapshot!(server.asked(), @"
    metadata/2.root.json
    metadata/timestamp.json
    metadata/2.snapshot.json
    metadata/1.targets.json
    ");
    let no_target = search.fetch("nowhere/policy.toml").unwrap_err();
    insta::assert_snapshot!(no_target, @"the catalogue has no target `nowhere/policy.toml`");
    assert_eq!(server.asked(), "", "no role speaks for that path");
    let policy = search.fetch("gpt2-124m/policy.toml").unwrap();
    insta::assert_snapshot!(server.asked(), @"
    metadata/1.gpt2-124m.json
    targets/gpt2-124m/<sha256>.policy.toml
    ");
    assert_eq!(search.fetch("gpt2-124m/policy.toml").unwrap(), policy);
    assert_eq!(server.asked(), "", "both are kept");
    let odd = search.fetch("gpt2-124m/no such file").unwrap_err();
    insta::assert_snapshot!(odd, @"the catalogue has no target `gpt2-124m/no such file`");
}
