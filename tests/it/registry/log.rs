//! The transparency log against RFC 6962's definition, and against those who would change it (P7).

use std::cell::RefCell;
use std::collections::BTreeMap;

use portcullis::digest::Sha256Digest;
use portcullis::identity::{Signer as _, SigningKey};
use portcullis::log::{
    ConsistencyProof, Error, HeadNote, InclusionProof, LogAppender, LogKey, Part, Tiles, TreeHead,
    WitnessKey, WitnessRule, cosign, leaf_hash, prove_consistency, prove_inclusion, require_entries,
};
use portcullis::time::Timestamp;
use proptest::prelude::*;

type Parts = BTreeMap<(Option<u8>, u64), Vec<u8>>;

/// A log's parts in memory: whole tiles replace partial ones, as a cleanup would.
#[derive(Default)]
struct Memory {
    parts: RefCell<Parts>,
}

impl Tiles for Memory {
    fn read(&self, part: Part) -> Result<Vec<u8>, Error> {
        let found = self.parts.borrow().get(&(part.level, part.index)).cloned();
        found.ok_or_else(|| Error::Tile { path: part.to_string(), reason: "it is not there".to_owned() })
    }
}

impl Memory {
    fn grow(&self, head: &TreeHead, entries: impl IntoIterator<Item = Vec<u8>>) -> TreeHead {
        let mut appender = LogAppender::open(head, self).unwrap();
        for entry in entries {
            appender.append(&entry).unwrap();
        }
        let grown = appender.take_update().unwrap();
        for (part, bytes) in grown.parts {
            self.parts.borrow_mut().insert((part.level, part.index), bytes);
        }
        grown.head
    }
}

fn entry(index: usize) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

/// RFC 6962, 2.1, word for word.
fn naive_root(leaves: &[Sha256Digest]) -> Sha256Digest {
    match leaves {
        [] => Sha256Digest::compute(b""),
        [leaf] => *leaf,
        leaves => {
            let split = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(split);
            let mut node = vec![1];
            node.extend_from_slice(naive_root(left).as_bytes());
            node.extend_from_slice(naive_root(right).as_bytes());
            Sha256Digest::compute(&node)
        }
    }
}

fn naive_head(entries: usize) -> TreeHead {
    let leaves: Vec<_> = (0..entries).map(|index| leaf_hash(&entry(index))).collect();
    TreeHead::new(entries as u64, naive_root(&leaves)).unwrap()
}

#[test]
fn roots_are_those_of_certificate_transparencys_test_vectors() {
    // github.com/google/certificate-transparency, cpp/merkletree/merkle_tree_test.cc.
    let inputs: [&[u8]; 8] = [
        &[],
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let memory = Memory::default();
    let mut head = TreeHead::EMPTY;
    assert_eq!(head.root(), Sha256Digest::compute(b""));
    for (input, root) in inputs.iter().zip(roots) {
        head = memory.grow(&head, [input.to_vec()]);
        assert_eq!(head.root().to_string(), root);
    }
    // The same file's paths: of the first entry in eight, and from six entries to eight.
    let path = |proof: &[Sha256Digest]| proof.iter().map(ToString::to_string).collect::<Vec<_>>();
    let proof = prove_inclusion(&head, 0, &memory).unwrap();
    assert_eq!(
        path(&proof.path),
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ]
    );
    let proof = prove_consistency(&head, 6, &memory).unwrap();
    assert_eq!(
        path(&proof.path),
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_log_grown_in_any_steps_is_the_naive_tree(steps in prop::collection::vec(0usize..700, 1..6)) {
        let memory = Memory::default();
        let mut head = TreeHead::EMPTY;
        let mut size = 0;
        for step in steps {
            head = memory.grow(&head, (size..size + step).map(entry));
            size += step;
            prop_assert_eq!(head, naive_head(size));
        }
    }

    #[test]
    fn proofs_hold_and_no_other_entry_or_head_fits_them(size in 1usize..1500, at in 0usize..1500, old in 0usize..1500) {
        let (at, old) = (at % size, old % (size + 1));
        let memory = Memory::default();
        let head = memory.grow(&TreeHead::EMPTY, (0..size).map(entry));
        let proof = prove_inclusion(&head, at as u64, &memory).unwrap();
        prop_assert!(proof.verify(leaf_hash(&entry(at)), &head).is_ok());
        prop_assert!(proof.verify(leaf_hash(b"another"), &head).is_err());
        let other_place = InclusionProof { index: (at as u64 + 1) % size as u64, ..proof.clone() };
        prop_assert!(size == 1 || other_place.verify(leaf_hash(&entry(at)), &head).is_err());
        let longer = InclusionProof { path: [proof.path.clone(), vec![head.root()]].concat(), ..proof };
        prop_assert!(longer.verify(leaf_hash(&entry(at)), &head).is_err());

        let (earlier, proof) = (naive_head(old), prove_consistency(&head, old as u64, &memory).unwrap());
        prop_assert!(proof.verify(&earlier, &head).is_ok());
        if old > 0 {
            let forked = TreeHead::new(old as u64, leaf_hash(b"fork")).unwrap();
            prop_assert!(proof.verify(&forked, &head).is_err());
        }
        let forked = TreeHead::new(size as u64, leaf_hash(b"fork")).unwrap();
        prop_assert!(old == 0 || proof.verify(&earlier, &forked).is_err());
    }

    #[test]
    fn no_hostile_proof_makes_it_panic(
        size in 0u64..=1 << 48, old in 0u64..=1 << 48, index in any::<u64>(), path in prop::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        let path: Vec<_> = path.into_iter().map(Sha256Digest::from_bytes).collect();
        let head = |size| TreeHead::new(size, if size == 0 { TreeHead::EMPTY.root() } else { leaf_hash(b"x") });
        let (new, old) = (head(size).unwrap(), head(old).unwrap());
        let _ = InclusionProof { index, path: path.clone() }.verify(leaf_hash(b"y"), &new);
        let _ = ConsistencyProof { path }.verify(&old, &new);
    }
}

#[test]
fn p7_every_change_of_a_log_of_a_thousand_entries_is_found_at_its_place() {
    const SIZE: usize = 1000;
    let honest: Vec<Vec<u8>> = (0..SIZE).map(entry).collect();
    let memory = Memory::default();
    let head = memory.grow(&TreeHead::EMPTY, honest.clone());
    let bundle =
        |entries: &[Vec<u8>]| portcullis::log::Bundle { entries: entries.to_vec() }.to_bytes().unwrap();
    // What whoever holds the files can do to the entries, without the log's key.
    type Change = fn(&mut Vec<Vec<u8>>, usize);
    let changes: [(&str, Change); 3] = [
        ("edited", |entries, at| entries[at].push(b'!')),
        ("dropped", |entries, at| drop(entries.remove(at))),
        ("swapped", |entries, at| {
            let last = entries.len() - 1;
            entries.swap(at, (at + 1).min(last));
        }),
    ];
    for at in 0..SIZE {
        for (name, change) in changes {
            let mut entries = honest.clone();
            change(&mut entries, at);
            if entries == honest {
                continue;
            }
            let changed = Memory { parts: RefCell::new(memory.parts.borrow().clone()) };
            for (index, part) in entries.chunks(256).enumerate() {
                changed.parts.borrow_mut().insert((None, index as u64), bundle(part));
            }
            let index = at as u64 / 256;
            let error = require_entries(&head, index, &changed).unwrap_err().to_string();
            let reason = if at == SIZE - 1 && name == "dropped" { "missing" } else { "not the log's" };
            let is_named = error.contains(&format!("entry {at} is {reason}"));
            assert!(is_named, "{name} at {at}: {error}");
        }
        // The tiles changed with the entries: then they do not fit the head.
        let forged = Memory::default();
        let mut entries = honest.clone();
        entries[at].push(b'!');
        let other = forged.grow(&TreeHead::EMPTY, entries);
        assert!(matches!(require_entries(&head, at as u64 / 256, &forged), Err(Error::Tile { .. })), "{at}");
        // A head over it, signed or not, continues nothing that an auditor saw.
        let seen = naive_head(SIZE);
        let proof = prove_consistency(&other, SIZE as u64, &forged).unwrap();
        assert!(matches!(proof.verify(&seen, &other), Err(Error::NotConsistent { .. })), "{at}");
    }
    // Truncated.
    let shorter = naive_head(SIZE - 1);
    let error = ConsistencyProof { path: Vec::new() }.verify(&head, &shorter).unwrap_err();
    assert_eq!(error.to_string(), "the log shrank from 1000 to 999 entries");
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

#[test]
fn a_head_is_believed_when_its_log_signed_it_and_enough_witnesses_saw_it() {
    let log = LogKey::new("registry.example/log", key(1).verifying_key()).unwrap();
    let mut note = HeadNote::sign(log.name(), naive_head(3), &key(1)).unwrap();
    let now = Timestamp::from_unix_seconds(1_795_000_000);
    let witness = |name: &str, seed: u8| WitnessKey::new(name, key(seed).verifying_key()).unwrap();
    let rule =
        WitnessRule { witnesses: vec![witness("w1", 2), witness("w2", 3), witness("w1-again", 2)], need: 2 };
    cosign(&mut note, "w1", &key(2), now).unwrap();
    cosign(&mut note, "w1-again", &key(2), now).unwrap();
    let refused = rule.require(&note).unwrap_err();
    assert_eq!(refused.to_string(), "the head has the cosignatures of 1 witnesses; 2 are required");
    cosign(&mut note, "w2", &key(3), now).unwrap();
    let read = HeadNote::parse(&note.to_bytes()).unwrap();
    assert_eq!(read, note);
    assert_eq!(read.verify(&log).unwrap(), naive_head(3));
    let seen = rule.require(&read).unwrap();
    assert!(seen.len() == 2 && seen.iter().all(|seen| seen.at == now), "{seen:?}");
    assert_eq!(log.to_string().parse::<LogKey>().unwrap(), log);

    let altered = |from: &str, to: &str| {
        let text = String::from_utf8(note.to_bytes()).unwrap();
        assert!(text.contains(from), "{text}");
        HeadNote::parse(text.replacen(from, to, 1).as_bytes())
    };
    let refusal =
        |result: Result<HeadNote, Error>| result.and_then(|note| note.verify(&log)).unwrap_err().to_string();
    insta::assert_snapshot!([
        refusal(altered("\n3\n", "\n4\n")),
        refusal(altered("registry.example/log\n3", "other.example/log\n3")),
        refusal(altered("\n3\n", "\n03\n")),
        refusal(altered("\n3\n", "\n281474976710657\n")),
        refusal(altered("— w1 ", "- w1 ")),
        refusal(HeadNote::parse(b"")),
        refusal(HeadNote::parse(&vec![b'x'; 70_000])),
        refusal(HeadNote::sign(log.name(), naive_head(3), &key(9))),
        LogKey::new("two words", key(1).verifying_key()).unwrap_err().to_string(),
    ].join("\n"), @"
    the head is not signed by the log `registry.example/log`
    the head is of the log `other.example/log`, not of `registry.example/log`
    the log's head is malformed: malformed checkpoint
    a tree of 281474976710657 entries is not possible, or not with this root
    the log's head is malformed: malformed note
    the log's head is malformed: malformed note
    the log's head is malformed: it is longer than 65536 bytes
    the head is not signed by the log `registry.example/log`
    `two words` is not a key name: it must not be empty and must not contain spaces or `+`
    ");
}

#[test]
fn a_verifier_key_is_written_as_gos_note_package_writes_it() {
    // golang.org/x/mod/sumdb/note, the example of its documentation.
    let name = "PeterNeumann";
    let vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let log: LogKey = vkey.parse().unwrap();
    assert_eq!((log.name(), log.to_string().as_str()), (name, vkey));
}

#[test]
fn a_growing_log_that_was_tampered_with_refuses_to_go_on() {
    let memory = Memory::default();
    let head = memory.grow(&TreeHead::EMPTY, (0..300).map(entry));
    for part in [(Some(0), 1), (Some(1), 0), (None, 1)] {
        let bytes = memory.parts.borrow()[&part].clone();
        let mut spoiled = bytes.clone();
        *spoiled.last_mut().unwrap() ^= 1;
        memory.parts.borrow_mut().insert(part, spoiled);
        assert!(matches!(LogAppender::open(&head, &memory), Err(Error::Tile { .. })), "{part:?}");
        memory.parts.borrow_mut().insert(part, bytes);
    }
    assert_eq!(memory.grow(&head, (300..1000).map(entry)), naive_head(1000));
}
