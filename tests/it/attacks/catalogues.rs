//! Replays: what was signed for one catalogue, shown to another.

use std::collections::BTreeMap;
use std::fs;

use portcullis::access::Request;
use portcullis::catalogue::{
    CheckpointFile, Client, Document, FileMeta, Offer, Role, SnapshotOnly, SnapshotRole, Subject,
    TargetsRole, TimestampRole,
};
use portcullis::digest::Sha256Digest;
use portcullis::statement::{CatalogueId, Statement};
use portcullis::time::Timestamp;

use crate::support::catalogue::{Memory, World, checkpoint, day, proposer, signer};
use crate::support::served::{Database, Served};

const BOARD: &str = "metadata/2.gpt2-124m.json";

/// Two catalogues of the same people with the same keys; the first one's board went on to another policy.
fn twins() -> (World, World) {
    let (first, second) = (World::new(), World::published_on(1));
    first.change("policy two: anyone", 1);
    (first, second)
}

fn document<T: Role>(memory: &Memory, path: &str) -> Document<T> {
    Document::parse(path, memory.files[path].clone()).unwrap()
}

/// The registry publishes `bytes` as a role's metadata, as only it can: under a snapshot and a timestamp of its own.
fn publish(world: &World, memory: &mut Memory, file: &str, bytes: Vec<u8>) {
    let (version, name) = file.split_once('.').unwrap();
    let timestamp: Document<TimestampRole> = document(memory, "metadata/timestamp.json");
    let before = timestamp.role().meta.snapshot.version;
    let snapshot: Document<SnapshotRole> = document(memory, &format!("metadata/{before}.snapshot.json"));
    let mut role = snapshot.role().clone();
    role.meta.insert(name.to_owned(), FileMeta::new(version.parse().unwrap(), &bytes));
    memory.files.insert(format!("metadata/{file}"), bytes);
    let registry = signer(&world.registry);
    let mut snapshot = Document::new_unsigned("s", &role, before + 1, snapshot.expires(), None).unwrap();
    snapshot.sign(&*registry).unwrap();
    let meta = SnapshotOnly { snapshot: FileMeta::new(before + 1, snapshot.bytes()) };
    let version = timestamp.version() + 1;
    let mut timestamp =
        Document::new_unsigned("t", &TimestampRole { meta }, version, timestamp.expires(), None).unwrap();
    timestamp.sign(&*registry).unwrap();
    memory.files.insert(format!("metadata/{}.snapshot.json", before + 1), snapshot.bytes().to_vec());
    memory.files.insert("metadata/timestamp.json".to_owned(), timestamp.bytes().to_vec());
}

/// Ids are digests that change with the time of a run.
fn stable(text: &str) -> String {
    let is_digest = |word: &&str| word.len() >= 64 && word.chars().take(64).all(|c| c.is_ascii_hexdigit());
    let digests: Vec<_> = text.split([' ', ';']).filter(is_digest).map(str::to_owned).collect();
    digests.iter().fold(text.to_owned(), |text, digest| text.replace(digest.as_str(), "<digest>"))
}

#[test]
fn a_boards_metadata_of_another_catalogue_is_shown_by_the_registry() {
    let (first, second) = twins();
    let client = second.client("client");
    client.refresh(&second.memory(), day(2)).unwrap();
    let mut memory = second.memory();
    memory.files.extend(first.memory().files.into_iter().filter(|(path, _)| path.starts_with("targets/")));
    publish(&second, &mut memory, "2.gpt2-124m.json", first.memory().files[BOARD].clone());
    let refused = client.refresh(&memory, day(2)).unwrap_err().to_string();
    insta::assert_snapshot!(stable(&refused), @"2.gpt2-124m.json is for the catalogue <digest>; this is the catalogue <digest>");
}

#[test]
fn owners_metadata_of_another_catalogue_is_shown_by_the_registry() {
    let (first, second) = twins();
    let client = second.client("client");
    let mut memory = second.memory();
    publish(&second, &mut memory, "1.targets.json", first.memory().files["metadata/1.targets.json"].clone());
    let refused = client.refresh(&memory, day(2)).unwrap_err().to_string();
    insta::assert_snapshot!(stable(&refused), @"1.targets.json is for the catalogue <digest>; this is the catalogue <digest>");
}

#[test]
fn a_proposal_that_a_board_signed_for_another_catalogue_is_handed_in() {
    let (first, second) = (World::new(), World::published_on(1));
    let files = BTreeMap::from([(CheckpointFile::Policy, b"policy two: anyone".to_vec())]);
    let board = checkpoint("gpt2-124m");
    first.repository().propose(&board, &files, day(300), &proposer(&first.ada)).unwrap();
    first.sign_all();
    let parcel = first.repository().parcel(&Subject::Board(board.clone())).unwrap();
    let offer = Offer::Proposal { by: None };
    let refused =
        second.repository().receive(&Subject::Board(board), &parcel, offer).unwrap_err().to_string();
    insta::assert_snapshot!(stable(&refused), @"gpt2-124m.json is for the catalogue <digest>; this is the catalogue <digest>");
    assert!(second.repository().proposals().unwrap().is_empty());
}

#[test]
fn a_request_that_was_signed_for_another_catalogue_is_handed_in() {
    let served = Served::released(Database::Sqlite, "partners");
    let (scene, rosa) = (&served.scene, served.scene.identity("rosa"));
    let own = scene.request();
    let page = served.get_as("rosa", &format!("/v1/statements?kind=request&prefix={own}")).json();
    let envelope =
        serde_json::from_value::<portcullis::statement::Envelope>(page["statements"][0]["envelope"].clone());
    let asked = envelope.unwrap().claim::<Request>().unwrap();
    let replayed = |catalogue| {
        let predicate = Request { created: Timestamp::now(), days: 29, ..asked.predicate.clone() };
        let envelope = Statement::new(catalogue, asked.subject.clone(), predicate);
        served.post("/v1/statements", &envelope.sign(&*rosa.signer(None).unwrap()).unwrap().to_json())
    };
    let refused = replayed(CatalogueId::new(Sha256Digest::compute(b"another 1.root.json")));
    assert!((400..500).contains(&refused.status), "{}", refused.text);
    assert!(refused.text.contains("the request is for the catalogue"), "{}", refused.text);
    let taken = replayed(scene.catalogue_id("rosa"));
    assert!(taken.status < 300, "the same for its own catalogue: {}", taken.text);
}

/// Puts the published metadata in the place of what names the catalogue, as a release of before wrote it.
fn forget_the_catalogue(world: &World) {
    let mut memory = world.memory();
    for file in ["1.targets.json", "1.gpt2-124m.json"] {
        let bound: Document<TargetsRole> = document(&memory, &format!("metadata/{file}"));
        let mut old =
            Document::new_unsigned(file, bound.role(), bound.version(), bound.expires(), None).unwrap();
        for person in world.people() {
            old.sign(&*signer(person)).unwrap();
        }
        publish(world, &mut memory, file, old.bytes().to_vec());
    }
    for (path, bytes) in &memory.files {
        fs::write(world.folder().join(path), bytes).unwrap();
    }
}

#[test]
fn a_catalogue_of_before_is_closed_until_its_keepers_sign_it_anew() {
    let world = World::new();
    forget_the_catalogue(&world);
    let client = Client::new(world.place.path().join("client"));
    client.trust(&fs::read(world.folder().join("metadata/1.root.json")).unwrap()).unwrap();
    let board = checkpoint("gpt2-124m");
    let before = client.refresh(&world.memory(), day(1)).unwrap();
    let refused = before.policy(&world.memory(), &board).unwrap_err().to_string();
    assert_eq!(refused, "1.targets.json does not name its catalogue; it must be signed again");
    assert!(before.board(&board).is_some(), "its keepers are known still");
    world.repository().propose_targets(&BTreeMap::new(), day(300), &proposer(&world.olga)).unwrap();
    world.repository().propose(&board, &BTreeMap::new(), day(300), &proposer(&world.ada)).unwrap();
    world.sign_all();
    world.publish(1);
    let after = client.refresh(&world.memory(), day(1)).unwrap();
    assert_eq!(after.policy(&world.memory(), &board).unwrap(), b"policy one");
}
