//! A registry that turned against its people: it has the whole database, the disk and all registry keys. What it cannot do.

use std::collections::BTreeMap;
use std::fs;

use crate::support::people::ID;
use crate::support::served::{Database, Served};
use portcullis::access::{Affiliations, Handover, Statements as _, draft_grants, verify_request};
use portcullis::client::{Catalogue, Vault};
use portcullis::digest::Sha256Digest;
use portcullis::identity::{Identity, IdentityFile};
use portcullis::seal::{BoardKey, ContentKey, Locks, open_resealed_share};
use portcullis::statement::Envelope;
use portcullis::store::{Filed, Filing, StatementRow, Store};
use portcullis::time::Timestamp;

/// The registry's own identity: signing and opening keys.
fn registry(served: &Served) -> Identity {
    IdentityFile::new(served.scene.at("reg/identity.age")).read(None).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn database(served: &Served) -> Store {
    block_on(Store::open(&format!("sqlite:{}", served.scene.at("reg/registry.db").display()))).unwrap()
}

/// The catalogue as rosa trusts it.
fn catalogue(served: &Served) -> Catalogue {
    use portcullis::catalogue::{Client, NoRemote};
    let client = Client::new(served.scene.at("homes/rosa/catalogue"));
    Catalogue::new(client.load_offline(Timestamp::now()).unwrap(), Box::new(NoRemote))
}

#[test]
fn it_cannot_mint_a_grant() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let request = scene.request();
    scene.succeed("rosa", &format!("pull {ID}"));
    let store = database(&served);
    let rows = block_on(async {
        let full = store.statements_by_prefix(("request", &request), portcullis::store::Page::FIRST).await;
        full.unwrap()
    });
    let envelope = Envelope::parse(rows[0].1.envelope.as_bytes()).unwrap();
    let asked = verify_request(&envelope, scene.catalogue_id("rosa")).unwrap();
    let rules = catalogue(&served).rules_in_force(&ID.parse().unwrap()).unwrap();
    let registry = registry(&served);
    let mut grant = draft_grants(&asked, &rules, &Affiliations::default(), Timestamp::now())
        .unwrap()
        .remove(0)
        .to_envelope()
        .unwrap();
    grant.sign(&*registry.signer(None).unwrap()).unwrap();
    let key = registry.card().verifying_key.id();
    let row = StatementRow {
        digest: grant.digest(),
        signer: key,
        kind: "grant".to_owned(),
        checkpoint: ID.parse().unwrap(),
        about: Some(asked.digest()),
        holder: asked.predicate.card.verifying_key.id(),
        envelope: grant.to_json(),
        received: Timestamp::now(),
    };
    block_on(store.put(Filing::one(Filed { row, entry: None }))).unwrap();
    insta::assert_snapshot!(scene.refuse("rosa", &format!("run {ID} Hello")), @"
    exit 3
    error: the grant <digits> for `tiny` does not count: the board of tiny must sign with 2 distinct keys; 0 of its keys signed
      next: `portcullis request list` tells whether its request still waits for approvals; signatures of keys that left the board do not count
    ");
    let shown = scene.succeed("rosa", &format!("request show {request}"));
    assert!(shown.starts_with("pending: 0 of 2"), "{shown}");
}

#[test]
fn it_cannot_change_a_policy() {
    let served = Served::released(Database::Sqlite, "partners");
    let (scene, store) = (&served.scene, database(&served));
    let files = block_on(store.catalogue_files()).unwrap();
    let policy = files.files.keys().find(|path| path.ends_with(".policy.toml")).unwrap().clone();
    let text = String::from_utf8(files.files[&policy].clone()).unwrap();
    let wide = text.replace("audience.organizations = [\"Lab\", \"University\"]", "audience = \"anyone\"");
    assert_ne!(text, wide);
    // In place: the digest that the board signed is another.
    let forged = BTreeMap::from([(policy, Some(wide.clone().into_bytes()))]);
    assert!(block_on(store.replace_catalogue(files.version, &forged, &[])).unwrap());
    drop(fs::remove_dir_all(scene.at("homes/eve/catalogue")));
    scene.succeed("eve", &format!("join {} --root root.json", served.process.url));
    let new = format!("request new {ID} --purpose Mine --use detection --days 30 --accept-agreement");
    insta::assert_snapshot!(scene.refuse("eve", &new), @"
    exit 4
    error: tiny/policy.toml has 608 bytes, not 635
      next: do not use this copy: fetch it from another place, and tell the owners
    ");
    // With metadata that lists it, signed by the only key that the registry has, and fresh snapshot and timestamp.
    let board = files.files.keys().find(|path| path.ends_with(".tiny.json")).unwrap().clone();
    let mut metadata: serde_json::Value = serde_json::from_slice(&files.files[&board]).unwrap();
    metadata["signed"]["version"] = 2.into();
    metadata["signed"]["targets"]["tiny/policy.toml"]["hashes"]["sha256"] =
        Sha256Digest::compute(wide.as_bytes()).to_string().into();
    metadata["signed"]["targets"]["tiny/policy.toml"]["length"] = wide.len().into();
    let place = scene.at("forged");
    for (path, bytes) in &files.files {
        fs::create_dir_all(place.join(path).parent().unwrap()).unwrap();
        fs::write(place.join(path), bytes).unwrap();
    }
    let proposal = place.join("proposals/tiny/tiny.json");
    fs::create_dir_all(proposal.parent().unwrap()).unwrap();
    fs::write(&proposal, metadata.to_string()).unwrap();
    let repository = portcullis::catalogue::Repository::new(&place);
    let registry = registry(&served);
    let published =
        repository.publish(&*registry.signer(None).unwrap(), Timestamp::now(), Default::default());
    let published = published.map(|done| done.published).unwrap_or_default();
    assert!(published.is_empty(), "the program itself publishes nothing without the board: {published:?}");
}

#[test]
fn it_cannot_hand_out_a_wrong_checkpoint() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    served.granted();
    let chunks = scene.files("reg/chunks");
    let (first, second) = (fs::read(&chunks[0]).unwrap(), fs::read(&chunks[1]).unwrap());
    fs::write(&chunks[0], &second).unwrap();
    fs::write(&chunks[1], &first).unwrap();
    let refused = scene.refuse("rosa", &format!("pull {ID}"));
    let refused = refused.replace(&served.process.url, "<registry>");
    insta::assert_snapshot!(sizes(&refused), @"
    exit 4
    <registry> is set aside: <another chunk>
    error: no server gives the chunk <digest>: <registry>: <another chunk>
      next: give another place with --mirror, and tell the registry's operator; what came is kept
    ");
    assert!(!scene.at("homes/rosa/vault/sealed/tiny").join("manifest.json").exists());
    // A manifest of its own making is another than the one that the board signed.
    let store = database(&served);
    let files = block_on(store.catalogue_files()).unwrap();
    let manifest = files.files.keys().find(|path| path.ends_with(".manifest.json")).unwrap().clone();
    let mut text = files.files[&manifest].clone();
    let at = text.iter().rposition(|byte| byte.is_ascii_digit()).unwrap();
    text[at] ^= 1;
    block_on(store.replace_catalogue(files.version, &BTreeMap::from([(manifest, Some(text))]), &[])).unwrap();
    drop(fs::remove_dir_all(scene.at("homes/eve/catalogue")));
    scene.succeed("eve", &format!("join {} --root root.json", served.process.url));
    insta::assert_snapshot!(scene.refuse("eve", &format!("pull {ID}")), @"
    exit 4
    error: tiny/manifest.json has SHA-256 <digest>, not <digest>
      next: do not use this copy: fetch it from another place, and tell the owners
    ");
}

#[test]
fn it_cannot_open_weights() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    served.granted();
    scene.succeed("rosa", &format!("pull {ID}"));
    let registry = registry(&served);
    let rules = catalogue(&served).rules_in_force(&ID.parse().unwrap()).unwrap();
    let row = block_on(database(&served).seal(rules.manifest)).unwrap().unwrap();
    let locks = Locks::parse(&row.manifest, &row.shares, rules.manifest).unwrap();
    // Its own lock opens; the board's does not, neither from the sealed shares nor from those that went to the researcher.
    let own = locks.shares.open_registry_key(&locks.manifest, registry.opening_key()).unwrap();
    for member in &locks.manifest.seal.board.members {
        let opened = locks.shares.open_share(&locks.manifest, member.key_id, registry.opening_key());
        assert!(opened.is_err(), "a member's share opened");
    }
    let vault = Vault::at(scene.at("homes/rosa/vault")).statements();
    let delivered = vault.list("share").unwrap();
    assert_eq!(delivered.len(), 2);
    for share in delivered {
        let claim = share.envelope.claim::<portcullis::access::ApprovalShare>().unwrap().predicate;
        let opened = open_resealed_share(&claim.share, registry.opening_key(), claim.grant, &locks.manifest);
        assert!(opened.is_err(), "a researcher's share opened");
    }
    let guessed = BoardKey::random(&mut rand::rng());
    let key = ContentKey::derive(&guessed, &own, &rules.checkpoint);
    assert!(portcullis::seal::ChunkOpener::unlock(locks.manifest, &key).is_err());
    // No handover was made, so there is nothing that it could answer a request with, or serve in the open.
    let handovers = block_on(database(&served).statements_of(
        (<Handover as portcullis::statement::Predicate>::KIND, &rules.checkpoint),
        portcullis::store::Page::FIRST,
    ));
    assert!(handovers.unwrap().is_empty());
    assert_eq!(served.get(&format!("/{ID}/resolve/main/model.safetensors")).status, 403);
}

/// Sizes of chunks made the same in every run.
fn sizes(text: &str) -> String {
    let patterns = [
        (r"\b[0-9a-f]{64}\b", "<digest>"),
        (r"(chunk's|chunk of|it has) \d+", "$1 <size>"),
        (r"it (has|sends) .*", "<another chunk>"),
        (r"its chunk .*", "<another chunk>"),
    ];
    patterns.iter().fold(text.to_owned(), |text, (pattern, word)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, *word).into_owned()
    })
}
