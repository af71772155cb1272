//! P1: sealed weights open only with the board's key, which takes a threshold of members, *and* the registry's key.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use crate::support::sealing::*;
use crate::support::workplace;
use portcullis::digest::Sha256Digest;
use portcullis::identity::OpeningKey;
use portcullis::seal::{
    Board, BoardKey, ContentKey, Error, Member, RegistryKey, SealedCheckpoint, Share, combine,
    open_registry_key, open_resealed_share, reseal_share, seal_registry_key, split,
};
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use tempfile::TempDir;

/// 3 of 5 hold the one lock, the registry the other; sealed once for all tests, which only read it.
static SEALED: LazyLock<(TempDir, Holders)> = LazyLock::new(|| {
    let folder = workplace();
    let holders = Holders::new(3, 5);
    holders.seal(&golden(folder.path()), &folder.path().join("sealed"), 1).unwrap();
    (folder, holders)
});

fn sealed_folder() -> std::path::PathBuf {
    SEALED.0.path().join("sealed")
}

fn board_of(threshold: u8, shares: &[Share]) -> Board {
    let members = shares.iter().map(|share| Member {
        key_id: person("member", share.index().number()).card().verifying_key.id(),
        index: share.index(),
        commitment: share.commitment(&"mine".parse().unwrap()),
    });
    Board { threshold, members: members.collect() }
}

/// Shares cannot be copied; the same seed makes the same.
fn shares(seed: u64, threshold: u8, members: u8) -> (BoardKey, Vec<Share>) {
    let mut rng = rng(seed);
    let key = BoardKey::random(&mut rng);
    let shares = split(&key, threshold, members, &mut rng);
    (key, shares)
}

fn chosen(shares: Vec<Share>, who: &[usize]) -> Vec<Share> {
    shares.into_iter().enumerate().filter(|(i, _)| who.contains(i)).map(|(_, share)| share).collect()
}

fn content_key(board: &BoardKey) -> ContentKey {
    ContentKey::derive(board, &RegistryKey::random(&mut rng(1)), &"mine".parse().unwrap())
}

fn quorums() -> impl Strategy<Value = (u64, u8, u8, Vec<usize>)> {
    (any::<u64>(), 1..=5u8)
        .prop_flat_map(|(seed, threshold)| (Just(seed), Just(threshold), threshold..=7))
        .prop_flat_map(|(seed, threshold, members)| {
            let who = subsequence((0..usize::from(members)).collect::<Vec<_>>(), usize::from(threshold));
            (Just(seed), Just(threshold), Just(members), who)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_threshold_of_shares_opens_and_any_fewer_do_not((seed, threshold, members, who) in quorums()) {
        let id = "mine".parse().unwrap();
        let (key, all) = shares(seed, threshold, members);
        let (right, board) = (content_key(&key).commitment(), board_of(threshold, &all));
        let opened = combine(chosen(all, &who), &board, &id, &mut rng(2)).unwrap();
        prop_assert!(content_key(&opened).has_commitment(&right));

        let fewer = &who[1..];
        let few = || chosen(shares(seed, threshold, members).1, fewer);
        let error = combine(few(), &board, &id, &mut rng(2)).unwrap_err();
        let (have, need) = (fewer.len(), threshold);
        prop_assert!(matches!(error, Error::TooFewShares { have: h, need: n } if (h, n) == (have, need)), "{error}");
        // Nor is it only the counting: whoever lowers the threshold gets a key, and it is another.
        if !fewer.is_empty() {
            let lowered = Board { threshold: fewer.len() as u8, ..board };
            let wrong = combine(few(), &lowered, &id, &mut rng(2)).unwrap();
            prop_assert!(!content_key(&wrong).has_commitment(&right));
        }
    }

    #[test]
    fn a_wrong_share_is_named((seed, threshold, members, who) in quorums(), wrong in any::<Index>()) {
        let id = "mine".parse().unwrap();
        let board = board_of(threshold, &shares(seed, threshold, members).1);
        let wrong = *wrong.get(&who);
        let mut given = chosen(shares(seed, threshold, members).1, &who);
        let stray = chosen(shares(seed ^ 1, threshold, members).1, &[wrong]).remove(0);
        let at = given.iter().position(|share| share.index() == stray.index()).unwrap();
        given[at] = stray;
        let error = combine(given, &board, &id, &mut rng(2)).unwrap_err().to_string();
        let member = board.members[wrong].key_id.to_string();
        prop_assert!(error.contains(&member) && error.contains("is not the share that the manifest commits to"), "{error}");
    }
}

#[test]
fn a_share_counts_once_and_only_on_its_own_board() {
    let id = "mine".parse().unwrap();
    let board = board_of(2, &shares(1, 2, 3).1);
    let second = || chosen(shares(1, 2, 3).1, &[1]);
    let twice = || second().into_iter().chain(second()).collect();
    let refused = |shares, id| combine(shares, &board, id, &mut rng(2)).unwrap_err().to_string();
    insta::assert_snapshot!([
        refused(twice(), &id),
        refused(chosen(shares(1, 2, 7).1, &[0, 6]), &id),
        refused(chosen(shares(1, 2, 3).1, &[0, 1]), &"another".parse().unwrap()),
        refused(vec![], &id),
    ].join("\n"), @"
    share 2 is given twice; each share counts once
    there is no share 7 on this checkpoint's board
    share 1, of board member 7ab6b86cb2c9684b0ddc10896153aa2595decf4d4327a5ff1a8ab7422c828b12, is not the share that the manifest commits to
    0 shares of the board's key; 2 are required
    ");
}

#[test]
fn any_three_of_five_and_the_registry_open_the_checkpoint() {
    let (folder, holders) = &*SEALED;
    for who in [[0, 1, 2], [4, 2, 0], [1, 3, 4]] {
        let opened = holders.open(&sealed_folder(), &who).unwrap();
        let config = fs::read(folder.path().join("imported/config.json")).unwrap();
        assert_eq!(opened.file("config.json").unwrap().as_slice(), config);
    }
}

#[test]
fn the_registry_alone_does_not_open() {
    let holders = &SEALED.1;
    let sealed = sealed(&sealed_folder()).unwrap();
    let registry_key = holders.registry_key(&sealed).unwrap();
    let (manifest, shares) = (sealed.manifest(), sealed.shares().unwrap());
    // It has every file and its own identity: no share opens with that.
    for member in &manifest.seal.board.members {
        let error = shares.open_share(manifest, member.key_id, holders.registry.opening_key()).unwrap_err();
        assert!(matches!(error, Error::ShareNotOpened { .. }), "{error}");
    }
    let guess = BoardKey::random(&mut rng(9));
    let key = ContentKey::derive(&guess, &registry_key, &manifest.plain.checkpoint);
    let error = sealed.unlock(&key).unwrap_err();
    insta::assert_snapshot!(error, @"the board's and the registry's key do not yield the content key that the manifest commits to");
}

#[test]
fn the_board_alone_does_not_open() {
    let holders = &SEALED.1;
    let sealed = sealed(&sealed_folder()).unwrap();
    let board_key = holders.board_key(&sealed, &[0, 1, 2, 3, 4]).unwrap();
    for member in &holders.board {
        let shares = sealed.shares().unwrap();
        assert!(shares.open_registry_key(sealed.manifest(), member.opening_key()).is_err());
    }
    let guess = RegistryKey::random(&mut rng(9));
    let key = ContentKey::derive(&board_key, &guess, &sealed.manifest().plain.checkpoint);
    assert!(matches!(sealed.unlock(&key), Err(Error::WrongKey)));
}

#[test]
fn two_members_and_the_registry_do_not_open() {
    let error = SEALED.1.open(&sealed_folder(), &[0, 4]).unwrap_err();
    insta::assert_snapshot!(error, @"2 shares of the board's key; 3 are required");
}

/// What a researcher holds under a grant and a lease, both given by digest.
fn as_researcher(grant: Sha256Digest, lease: Sha256Digest, key: &OpeningKey) -> Result<(), Error> {
    let holders = &SEALED.1;
    let sealed = sealed(&sealed_folder())?;
    let (granted, leased) = (Sha256Digest::compute(b"grant"), Sha256Digest::compute(b"lease"));
    let ada = person("Ada", 50).card().sealing_key;
    let shares = (0..3).map(|i| {
        let resealed = reseal_share(&holders.share(&sealed, i)?, &ada, granted, &mut rng(i as u64))?;
        open_resealed_share(&resealed, key, grant, sealed.manifest())
    });
    let shares = shares.collect::<Result<Vec<_>, _>>()?;
    let leased = seal_registry_key(&holders.registry_key(&sealed)?, &ada, leased, &mut rng(7))?;
    let registry = open_registry_key(&leased, key, lease)?;
    let (board, id) = (&sealed.manifest().seal.board, &sealed.manifest().plain.checkpoint);
    let key = ContentKey::derive(&combine(shares, board, id, &mut rng(8))?, &registry, id);
    sealed.unlock(&key).map(|_| ())
}

#[test]
fn a_researcher_opens_under_their_grant_and_lease_and_under_no_other() {
    let (grant, lease) = (Sha256Digest::compute(b"grant"), Sha256Digest::compute(b"lease"));
    let (ada, ben) = (person("Ada", 50), person("Ben", 51));
    as_researcher(grant, lease, ada.opening_key()).unwrap();
    let refused = |grant, lease, who: &OpeningKey| as_researcher(grant, lease, who).unwrap_err().to_string();
    insta::assert_snapshot!([
        refused(lease, lease, ada.opening_key()),
        refused(grant, grant, ada.opening_key()),
        refused(grant, lease, ben.opening_key()),
    ].join("\n"), @"
    share 1, of board member 7ab6b86cb2c9684b0ddc10896153aa2595decf4d4327a5ff1a8ab7422c828b12, does not open: it was altered, or sealed to another key or for another grant
    the message sealed as `portcullis/v1/lease` does not open: it was altered, or sealed to another key or in another context
    share 1, of board member 7ab6b86cb2c9684b0ddc10896153aa2595decf4d4327a5ff1a8ab7422c828b12, does not open: it was altered, or sealed to another key or for another grant
    ");
}

/// Opens everything that a sealed folder holds, with the manifest's digest known beforehand.
fn open_all(folder: &Path, expected: Sha256Digest) -> Result<(), Error> {
    let holders = &SEALED.1;
    let manifest = SealedCheckpoint::manifest_bytes(folder)?;
    let sealed = SealedCheckpoint::open(folder, &manifest, expected)?;
    let board = holders.board_key(&sealed, &[0, 1, 2, 3, 4])?;
    let registry = holders.registry_key(&sealed)?;
    let opened = sealed.unlock(&ContentKey::derive(&board, &registry, &"mine".parse().unwrap()))?;
    for name in ["config.json", "merges.txt", "model.safetensors", "vocab.json"] {
        opened.file(name)?;
    }
    Ok(())
}

/// Changes one bit of a file, has everything opened, and puts the bit back.
fn with_a_bit_flipped(path: &Path, bit: Index, expected: Sha256Digest, folder: &Path) -> String {
    let mut bytes = fs::read(path).unwrap();
    let bit = bit.index(8 * bytes.len());
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs::write(path, &bytes).unwrap();
    let error = open_all(folder, expected).unwrap_err().to_string();
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs::write(path, &bytes).unwrap();
    error
}

#[test]
fn a_bit_flipped_anywhere_is_refused_and_its_part_named() {
    let folder = workplace();
    crate::support::copy_tree(&sealed_folder(), folder.path());
    let manifest = SealedCheckpoint::manifest_bytes(folder.path()).unwrap();
    let (expected, sealed) = (Sha256Digest::compute(&manifest), sealed(folder.path()).unwrap());
    open_all(folder.path(), expected).unwrap();
    let chunks: Vec<_> = sealed
        .manifest()
        .seal
        .files
        .iter()
        .flat_map(|(name, chunks)| {
            chunks.iter().enumerate().map(move |(i, chunk)| (format!("chunk {i} of {name}"), chunk.sha256))
        })
        .collect();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 150,
        source_file: Some(file!()),
        ..Default::default()
    });
    let flips = (0..3u8, any::<Index>(), any::<Index>());
    runner
        .run(&flips, |(part, which, bit)| {
            let (named, path) = match part {
                0 => ("sealed manifest: ".to_owned(), folder.path().join("manifest.json")),
                1 => ("share".to_owned(), folder.path().join("shares.json")),
                _ => {
                    let (name, sha256) = which.get(&chunks);
                    (format!("{name}: SHA-256 is"), folder.path().join("chunks").join(sha256.to_string()))
                }
            };
            let error = with_a_bit_flipped(&path, bit, expected, folder.path());
            // A bit of the registry's part names the registry's key.
            let of_registry = part == 1 && (error.contains("registry"));
            prop_assert!(error.contains(&named) || of_registry, "{error} does not name {named}");
            Ok(())
        })
        .unwrap();
    open_all(folder.path(), expected).unwrap();
}
