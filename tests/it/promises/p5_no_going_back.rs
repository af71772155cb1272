//! Promise P5: a client never accepts an older policy, catalogue or root of trust than it has seen. Each attack that TUF names has a
//! test here, against a server that serves what it likes.

use std::collections::BTreeMap;
use std::fs;
use std::sync::OnceLock;

use crate::support::catalogue::{Memory, World, card, checkpoint, day, person, proposer, signer};
use portcullis::catalogue::*;
use portcullis::statement::Quorum;
use proptest::prelude::*;

fn refusal(result: Result<TrustedCatalogue, Error>) -> String {
    let error = result.map(|_| ()).unwrap_err();
    error.to_string()
}

fn policy(catalogue: &TrustedCatalogue, remote: &dyn Remote) -> String {
    String::from_utf8(catalogue.policy(remote, &checkpoint("gpt2-124m")).unwrap()).unwrap()
}

/// An old server, and a client that saw a newer policy.
fn rolled_back() -> (World, Memory, Client) {
    let world = World::new();
    let old = world.memory();
    world.change("policy two", 1);
    let client = world.client("client");
    let catalogue = client.refresh(&world.memory(), day(1)).unwrap();
    assert_eq!(policy(&catalogue, &world.memory()), "policy two");
    (world, old, client)
}

#[test]
fn an_old_timestamp_is_refused() {
    let (world, old, client) = rolled_back();
    insta::assert_snapshot!(refusal(client.refresh(&old, day(1))), @"timestamp.json was rolled back: version 3 was accepted before, and the server has version 2");
    // What was held before is still held.
    assert_eq!(policy(&client.load_offline(day(1)).unwrap(), &world.memory()), "policy two");
}

#[test]
fn an_old_snapshot_is_refused() {
    let (world, old, _) = rolled_back();
    let mut mixed = world.memory();
    let newest = "metadata/3.snapshot.json".to_owned();
    mixed.files.insert(newest, old.files["metadata/2.snapshot.json"].clone());
    insta::assert_snapshot!(refusal(world.client("fresh").refresh(&mixed, day(1))), @"3.snapshot.json has SHA-256 081a37a780f085d27dacdbda59ae8f8a1e5c4d14dcbdb8adf1fdf6c57d5633a2, not 144363f68b6fb9577e9de5bf30108684f63f913f775ac74a5739ccd0211d1236");
}

#[test]
fn an_old_policy_under_new_metadata_is_refused() {
    let (world, old, _) = rolled_back();
    let mut mixed = world.memory();
    let version = |memory: &Memory| memory.files.keys().filter(|f| f.ends_with(".gpt2-124m.json")).count();
    assert_eq!((version(&old), version(&mixed)), (1, 2));
    mixed
        .files
        .insert("metadata/2.gpt2-124m.json".to_owned(), old.files["metadata/1.gpt2-124m.json"].clone());
    insta::assert_snapshot!(refusal(world.client("fresh").refresh(&mixed, day(1))), @"2.gpt2-124m.json has SHA-256 5ce6b3ab2cbd189fdfa01ca4cf7968165675065fbe0b4dd52d7c3a6fbaf1b183, not 0109ed9620c9c739638d6ea86ce512b78bcef38c2ec6a967a3e4fd9030c2b127");
    let mut file = world.memory();
    let new = file.files.keys().find(|path| path.ends_with("policy.toml") && !old.files.contains_key(*path));
    let new = new.unwrap().clone();
    let one = old.files.keys().find(|path| path.ends_with("policy.toml")).unwrap();
    file.files.insert(new, old.files[one].clone());
    let catalogue = world.client("fresh").refresh(&file, day(1)).unwrap();
    let error = catalogue.policy(&file, &checkpoint("gpt2-124m")).unwrap_err();
    insta::assert_snapshot!(error, @"gpt2-124m/policy.toml has SHA-256 90c9f6480dd7ebdd5551241a8df07dc7e945e5f625a7c3dac7607f7023d134ee, not 04def335f62f4faf23f2839c984839b9b22f07b5b85249dff99c691d8da054bf");
}

/// Two catalogues that grew apart from one: the registry's key signed both, as a thief of it could.
#[test]
fn a_thief_of_the_registry_key_cannot_bring_back_or_hide_what_the_board_replaced() {
    let (world, old, client) = rolled_back();
    // The thief publishes from the old folder, again and again, until its versions are the higher ones.
    let thief = World { place: tempfile::tempdir().unwrap(), ..World::founded() };
    let rebuild = |files: &BTreeMap<String, Vec<u8>>| {
        for (path, bytes) in files {
            let path = thief.folder().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    };
    rebuild(&old.files);
    for _ in 0..4 {
        thief.publish(1);
    }
    insta::assert_snapshot!(refusal(client.refresh(&thief.memory(), day(1))), @"gpt2-124m.json was rolled back: version 2 was accepted before, and the server has version 1");
    drop(world);
}

#[test]
fn a_root_under_which_nobody_can_sign_is_mended_by_the_next() {
    let world = World::new();
    let client = world.client("client");
    client.refresh(&world.memory(), day(1)).unwrap();
    let root = client.root().unwrap().unwrap();
    let mut memory = world.memory();
    let mut publish = |version: u64, role: &RootRole| {
        let mut document =
            Document::new_unsigned("root.json", role, version, root.expires(), root.catalogue()).unwrap();
        for person in world.people() {
            document.sign(&*signer(person)).unwrap();
        }
        memory.files.insert(format!("metadata/{version}.root.json"), document.bytes().to_vec());
        memory.clone()
    };
    let mut locked = root.role().clone();
    locked.roles.snapshot.threshold = 9;
    let refused = refusal(client.refresh(&publish(2, &locked), day(1)));
    insta::assert_snapshot!(refused, @"2.root.json has an invalid threshold: the registry (snapshot) has 1 distinct key; its threshold of 9 must be between 1 and that");
    assert!(client.refresh(&publish(3, root.role()), day(1)).is_ok());
    assert_eq!(client.root().unwrap().unwrap().version(), 3);
}

#[test]
fn one_key_id_twice_is_refused() {
    let world = World::new();
    let mut memory = world.memory();
    let timestamp = memory.files.get_mut("metadata/timestamp.json").unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(timestamp).unwrap();
    let signatures = json["signatures"].as_array_mut().unwrap();
    signatures.push(signatures[0].clone());
    *timestamp = serde_json::to_vec(&json).unwrap();
    insta::assert_snapshot!(refusal(world.client("client").refresh(&memory, day(1))), @"timestamp.json is malformed: it has two signatures under one key id");
}

#[test]
fn an_old_root_is_not_gone_back_to() {
    let world = World::new();
    let before = world.memory();
    let client = world.client("client");
    let rotation = Rotation { add: vec![card(&world.dee)], ..Rotation::default() };
    world.repository().rotate_owners(&rotation, &proposer(&world.olga), day(1), Days::default()).unwrap();
    world.sign_all();
    world.publish(1);
    let catalogue = client.refresh(&world.memory(), day(1)).unwrap();
    assert_eq!(catalogue.owners().keys().len(), 3);
    // A server that hides the new root finds the client under it still.
    insta::assert_snapshot!(refusal(client.refresh(&before, day(1))), @"timestamp.json was rolled back: version 3 was accepted before, and the server has version 2");
    assert_eq!(client.root().unwrap().unwrap().version(), 2);
    // Another catalogue's root, or the same again.
    assert!(client.trust(&before.files["metadata/1.root.json"]).is_ok());
    let other = World { otto: person("Otto", 99), ..World::founded() };
    let other_root = other.folder().join("proposals/root/root.json");
    let error = client.trust(&fs::read(other_root).unwrap()).unwrap_err().to_string();
    assert!(error.contains("required signatures"), "{error}");
}

#[test]
fn a_root_that_the_old_owners_did_not_sign_is_refused() {
    let world = World::new();
    let mut remote = world.memory();
    let mut forged = remote.files["metadata/1.root.json"].clone();
    let text = String::from_utf8(forged.clone()).unwrap().replace("\"version\": 1", "\"version\": 2");
    forged = text.into_bytes();
    remote.files.insert("metadata/2.root.json".to_owned(), forged);
    insta::assert_snapshot!(refusal(world.client("client").refresh(&remote, day(1))), @"2.root.json does not have the required signatures: the owners (root) must sign with 2 distinct keys; 0 of their keys signed");
    let mut skipped = world.memory();
    let rotation = Rotation { add: vec![card(&world.dee)], ..Rotation::default() };
    world.repository().rotate_owners(&rotation, &proposer(&world.olga), day(1), Days::default()).unwrap();
    world.sign_all();
    world.publish(1);
    // Genuine, but not the successor of what is trusted: version 2 served as version 3.
    let two = world.memory().files["metadata/2.root.json"].clone();
    skipped.files.insert("metadata/2.root.json".to_owned(), two.clone());
    skipped.files.insert("metadata/3.root.json".to_owned(), two);
    insta::assert_snapshot!(refusal(world.client("other").refresh(&skipped, day(1))), @"3.root.json is version 2; it must be 3");
}

#[test]
fn an_old_timestamp_gives_a_newcomer_the_old_catalogue_whole_and_never_a_mixture() {
    let (world, old, _) = rolled_back();
    let new = world.memory();
    let pieces: Vec<_> = new.files.keys().filter(|path| old.files.contains_key(*path)).cloned().collect();
    assert!(pieces.contains(&"metadata/timestamp.json".to_owned()));
    let mut mixed = new.clone();
    mixed.files.insert("metadata/timestamp.json".to_owned(), old.files["metadata/timestamp.json"].clone());
    // An old timestamp to a client that saw nothing newer gives the old catalogue, whole: nothing of the new one is mixed in.
    let catalogue = world.client("fresh").refresh(&mixed, day(1)).unwrap();
    assert_eq!(policy(&catalogue, &mixed), "policy one");
}

#[test]
fn frozen_metadata_is_refused() {
    let world = World::new();
    let client = world.client("client");
    client.refresh(&world.memory(), day(13)).unwrap();
    insta::assert_snapshot!(refusal(client.refresh(&world.memory(), day(14))), @"timestamp.json expired at 2026-01-15T00:00:00Z; the time is 2026-01-15T00:00:00Z");
    insta::assert_snapshot!(refusal(client.load_offline(day(14))), @"timestamp.json expired at 2026-01-15T00:00:00Z; the time is 2026-01-15T00:00:00Z");
    // The timestamp alone is not enough: each role has its own term.
    world.publish(29);
    client.refresh(&world.memory(), day(30)).unwrap();
    for on in (42..=364).step_by(14) {
        world.publish(on);
    }
    insta::assert_snapshot!(refusal(client.refresh(&world.memory(), day(365))), @"1.targets.json expired at 2027-01-01T00:00:00Z; the time is 2027-01-01T00:00:00Z");
}

#[test]
fn a_clock_that_runs_back_does_not_revive_what_expired() {
    let world = World::new();
    let client = world.client("client");
    client.refresh(&world.memory(), day(13)).unwrap();
    client.refresh(&world.memory(), day(13).plus_seconds(-CLOCK_TOLERANCE)).unwrap();
    insta::assert_snapshot!(refusal(client.refresh(&world.memory(), day(1))), @"the clock says 2026-01-02T00:00:00Z, but this catalogue was already verified at 2026-01-14T00:00:00Z");
    // A clock that is years ahead for a moment leaves no trace: nothing held then.
    client.refresh(&world.memory(), day(9000)).unwrap_err();
    client.refresh(&world.memory(), day(13)).unwrap();
}

#[test]
fn a_fast_forward_ends_with_the_registry_key_that_made_it() {
    let world = World::new();
    let client = world.client("client");
    // A thief of the registry's key drives the versions up, and a client sees it.
    let honest = world.memory();
    for _ in 0..5 {
        world.publish(1);
    }
    client.refresh(&world.memory(), day(1)).unwrap();
    // The owners find out, restore the folder and give the registry another key.
    for (path, bytes) in &honest.files {
        fs::write(world.folder().join(path), bytes).unwrap();
    }
    assert!(refusal(client.refresh(&honest, day(1))).contains("rolled back"));
    let heir = person("Registry", 33);
    world
        .repository()
        .rotate_registry(&card(&heir), &proposer(&world.olga), day(2), Days::default())
        .unwrap();
    world.sign_all();
    world.repository().publish(&*signer(&heir), day(2), Days::default()).unwrap();
    let catalogue = client.refresh(&world.memory(), day(2)).unwrap();
    assert_eq!(policy(&catalogue, &world.memory()), "policy one");
    assert_eq!(catalogue.registry().keys().len(), 1);
    assert!(catalogue.registry().keys().contains(&heir.card().verifying_key));
}

#[test]
fn a_member_who_left_the_board_signs_nothing_any_more() {
    let world = World::new();
    let client = world.client("client");
    let before = client.refresh(&world.memory(), day(0)).unwrap();
    let id = checkpoint("gpt2-124m");
    let cy = world.cy.card().verifying_key;
    assert!(before.board(&id).unwrap().keys().contains(&cy));
    let rotation = Rotation { add: vec![card(&world.dee)], remove: vec![cy], threshold: None };
    world.repository().rotate_board(&id, &rotation, &proposer(&world.olga), day(1), Days::default()).unwrap();
    world.sign_all();
    let done = world.publish(1);
    assert!(done.held.is_empty(), "{done:?}");
    let after = client.refresh(&world.memory(), day(1)).unwrap();
    let board: &Quorum = after.board(&id).unwrap();
    assert!(!board.keys().contains(&cy) && board.threshold() == 2);
    let files = BTreeMap::from([(CheckpointFile::Policy, b"by Cy".to_vec())]);
    let error = world.repository().propose(&id, &files, day(400), &proposer(&world.cy)).unwrap_err();
    assert!(matches!(error, RepositoryError::MayNotPropose { .. }), "{error}");
    world.repository().propose(&id, &files, day(400), &proposer(&world.ada)).unwrap();
    let open = world.repository().proposal_statuses().unwrap().remove(0);
    let error = world.repository().sign(&*signer(&world.cy), &open.subject, open.digest).unwrap_err();
    assert!(matches!(error, RepositoryError::NoSay { .. }), "{error}");
}

/// Everything that a client gets from a server, or the refusal.
fn everything(client: &Client, remote: &Memory) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let catalogue = client.refresh(remote, day(1))?;
    let targets = catalogue.targets();
    let fetch = |info: &TargetInfo| Ok((info.path.to_string(), catalogue.fetch_target(remote, &info.path)?));
    targets.iter().map(fetch).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_flipped_bit_anywhere_is_refused_by_its_file_or_changes_nothing(file: prop::sample::Index, at: prop::sample::Index, bit in 0u8..8) {
        static WORLD: OnceLock<(Memory, Vec<u8>)> = OnceLock::new();
        static GOOD: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
        let (files, root) = WORLD.get_or_init(|| {
            let memory = World::new().memory();
            let root = memory.files["metadata/1.root.json"].clone();
            (memory, root)
        });
        let place = tempfile::tempdir().unwrap();
        let client = |name: &str| {
            let client = Client::new(place.path().join(name));
            client.trust(root).unwrap();
            client
        };
        let good = GOOD.get_or_init(|| everything(&client("good"), files).unwrap());
        let mut spoiled = files.clone();
        let path = file.get(&spoiled.files.keys().cloned().collect::<Vec<_>>()).clone();
        let bytes = spoiled.files.get_mut(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        match everything(&client("fresh"), &spoiled) {
            Ok(all) => prop_assert_eq!(&all, good),
            Err(error) => {
                let name = path.rsplit('/').next().unwrap();
                let name = if path.starts_with("targets/") { name.split_once('.').unwrap().1 } else { name };
                prop_assert!(error.to_string().contains(name), "{path} at {at}: {error}");
            }
        }
    }
}
