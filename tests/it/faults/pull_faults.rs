//! Pulling from servers that fail, lie or dawdle: the result is complete and right, or the refusal says what is missing.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use crate::support::hostile_server::{Act, Server};
use crate::support::pulling::{Ground, honest, vault};
use portcullis::client::Error;
use portcullis::progress::{NoProgress, Progress};

/// Remembers what it was told.
#[derive(Default)]
struct Told {
    done: Mutex<u64>,
    notes: Mutex<Vec<String>>,
}

impl Progress for Told {
    fn begin(&self, _step: &str, _total: Option<u64>) {
        *self.done.lock().unwrap() = 0;
    }

    fn advance(&self, count: u64) {
        *self.done.lock().unwrap() += count;
    }

    fn note(&self, message: &str) {
        self.notes.lock().unwrap().push(message.to_owned());
    }
}

/// A refusal with digests and ports made the same in every run.
fn refusal(error: &Error) -> String {
    let patterns = [
        (r"\b[0-9a-f]{64}\b", "<digest>"),
        (r"127\.0\.0\.1:\d+", "<server>"),
        (r"(chunk's|chunk of) \d+", "$1 <size>"),
    ];
    patterns.iter().fold(error.to_string(), |text, (pattern, word)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, *word).into_owned()
    })
}

#[test]
fn a_connection_cut_anywhere_is_continued_there() {
    let ground = Ground::new();
    let sizes: Vec<usize> = ground.chunks.values().map(Vec::len).collect();
    let mut places = vec![0, 1, 100, 40_000];
    places.extend(sizes.iter().flat_map(|size| [size - 1, *size, size / 2]));
    for place in places {
        // Every connection of a first request is cut there.
        let server = Server::scripted(move |_, seen| match seen.range {
            None if seen.nth == 0 => Act::Cut(place),
            _ => Act::Serve,
        });
        ground.publish(&server.site);
        let (vault, told) = (vault(), Told::default());
        let pulled = ground.pull(vault.path(), &[server.url()], &told).unwrap();
        assert!(ground.is_whole(vault.path()), "cut at {place}");
        assert_eq!(pulled.fetched_bytes, ground.size());
        assert_eq!(*told.done.lock().unwrap(), ground.size(), "progress counts each byte once");
        // What came before a cut is not fetched again: only bytes that were on the way are lost.
        let sent = server.site.body_bytes.load(Ordering::SeqCst);
        let lost = sent.saturating_sub(ground.size());
        assert!(lost <= sizes.len() as u64 * 65_536, "{lost} bytes were sent twice, cut at {place}");
    }
}

#[test]
fn a_connection_cut_again_and_again_is_continued_as_long_as_bytes_come() {
    let ground = Ground::new();
    let server = Server::scripted(|_, _| Act::Cut(9_000));
    ground.publish(&server.site);
    let vault = vault();
    ground.pull(vault.path(), &[server.url()], &NoProgress).unwrap();
    assert!(ground.is_whole(vault.path()));
}

/// What a server does, and its name.
type Lie = (&'static str, fn() -> Act);

#[test]
fn what_no_honest_server_sends_is_refused_and_the_server_set_aside() {
    let ground = Ground::new();
    let lies: [Lie; 4] = [
        ("a flipped bit", || Act::FlipBit),
        ("too many bytes", || Act::Overlong(1)),
        ("another length", || Act::Length(3)),
        ("status 418", || Act::Status(418, Vec::new())),
    ];
    let mut said = String::new();
    for (name, lie) in lies {
        let liar = Server::scripted(move |_, _| lie());
        ground.publish(&liar.site);
        let alone = vault();
        let error = ground.pull(alone.path(), &[liar.url()], &NoProgress).unwrap_err();
        assert!(matches!(error, Error::NoMirror { is_wrong: true, .. }), "{name}: {error}");
        assert!(ground.is_honest(alone.path()), "{name}");
        said += &format!("{name}: {}\n", refusal(&error));
        // With another server beside it, the checkpoint comes from there, and the liar is named.
        let (honest, told, vault) = (honest(&ground), Told::default(), vault());
        let pulled = ground.pull(vault.path(), &[liar.url(), honest.url()], &told).unwrap();
        assert!(ground.is_whole(vault.path()), "{name}");
        assert_eq!(pulled.set_aside.len(), 1, "{name}");
        assert!(pulled.set_aside[0].mirror.contains(&liar.address.to_string()), "{name}");
        assert!(told.notes.lock().unwrap().iter().any(|note| note.contains("is set aside: ")), "{name}");
    }
    insta::assert_snapshot!(said, @"
    a flipped bit: no server gives the chunk <digest>: http://<server>: its chunk <digest> has SHA-256 <digest>
    too many bytes: no server gives the chunk <digest>: http://<server>: it sends more than the chunk's <size> bytes
    another length: no server gives the chunk <digest>: http://<server>: it has 3 bytes under the name of a chunk of <size>
    status 418: no server gives the chunk <digest>: http://<server>: HTTP status 418 I'm a teapot
    ");
}

#[test]
fn a_server_set_aside_for_one_chunk_is_a_wrong_server_for_all() {
    let ground = Ground::new();
    // The chunk asked for first comes wrong; who waits for any other never saw more than a busy server.
    let first = OnceLock::new();
    let server = Server::scripted(move |_, seen| {
        let is_first = *first.get_or_init(|| seen.path.clone()) == seen.path;
        if is_first { Act::FlipBit } else { Act::Status(503, Vec::new()) }
    });
    ground.publish(&server.site);
    let vault = vault();
    let error = ground.pull(vault.path(), &[server.url()], &NoProgress).unwrap_err();
    assert!(matches!(error, Error::NoMirror { is_wrong: true, .. }), "{error}");
    assert!(error.to_string().contains("has SHA-256"), "{error}");
}

#[test]
fn chunks_under_each_others_names_are_refused() {
    let ground = Ground::new();
    let server = Server::honest();
    let of_size = |size: usize| ground.chunks.iter().filter(move |(_, bytes)| bytes.len() == size);
    let mut same = of_size(65_552);
    let (one, other) = (same.next().unwrap(), same.next().unwrap());
    ground.publish(&server.site);
    server.site.publish(&format!("/{}", one.0), other.1, &[]);
    let vault = vault();
    let error = ground.pull(vault.path(), &[server.url()], &NoProgress).unwrap_err();
    assert!(error.to_string().contains("has SHA-256"), "{error}");
    assert!(ground.is_honest(vault.path()));
}

#[test]
fn a_truncated_chunk_is_never_taken_for_whole() {
    let ground = Ground::new();
    // A proxy that cut the file and tells a length that fits.
    let server = Server::honest();
    for (name, bytes) in &ground.chunks {
        server.site.publish(&format!("/{name}"), &bytes[..bytes.len() - 10], &[]);
    }
    let vault = vault();
    let error = ground.pull(vault.path(), &[server.url()], &NoProgress).unwrap_err();
    assert!(matches!(error, Error::NoMirror { is_wrong: true, .. }), "{error}");
    assert!(ground.is_honest(vault.path()));
}

#[test]
fn a_busy_server_is_left_alone_for_as_long_as_it_says() {
    let ground = Ground::new();
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(365 * 24 * 3600));
    let past = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH);
    for (status, headers) in [
        (429, vec![("Retry-After", "0".to_owned())]),
        (429, Vec::new()),
        (503, vec![("Retry-After", "1".to_owned())]),
        (503, Vec::new()),
        // A clock that runs a year ahead, or stands at the beginning: neither keeps anybody waiting without end.
        (429, vec![("Retry-After", date)]),
        (503, vec![("Retry-After", past)]),
        (429, vec![("Retry-After", "soon".to_owned())]),
    ] {
        let told = headers.clone();
        let server =
            Server::scripted(
                move |_, seen| {
                    if seen.nth < 2 { Act::Status(status, headers.clone()) } else { Act::Serve }
                },
            );
        ground.publish(&server.site);
        let vault = vault();
        let pulled = ground.pull(vault.path(), &[server.url()], &NoProgress).unwrap();
        assert!(ground.is_whole(vault.path()), "{status} {told:?}");
        assert!(pulled.set_aside.is_empty(), "{status} {told:?}");
    }
}

#[test]
fn a_server_that_stays_busy_is_given_up_with_a_word() {
    let ground = Ground::new();
    let server = Server::scripted(|_, _| Act::Status(503, Vec::new()));
    ground.publish(&server.site);
    let vault = vault();
    let error = ground.pull(vault.path(), &[server.url()], &NoProgress).unwrap_err();
    assert!(matches!(error, Error::NoMirror { is_wrong: false, .. }));
    insta::assert_snapshot!(refusal(&error), @"no server gives the chunk <digest>: http://<server>: HTTP status 503 Service Unavailable");
}

#[test]
fn a_range_that_is_refused_or_ignored_begins_the_chunk_again() {
    let ground = Ground::new();
    for lie in
        [|| Act::Status(416, Vec::new()), || Act::IgnoreRange, || Act::ContentRange("bytes 0-1/2".into())]
    {
        let server = Server::scripted(move |_, seen| match seen.range {
            None if seen.nth == 0 => Act::Cut(1000),
            Some(_) if seen.nth == 0 => lie(),
            _ => Act::Serve,
        });
        ground.publish(&server.site);
        let (vault, told) = (vault(), Told::default());
        ground.pull(vault.path(), &[server.url()], &told).unwrap();
        assert!(ground.is_whole(vault.path()));
        assert_eq!(*told.done.lock().unwrap(), ground.size(), "progress never goes backwards, nor beyond");
    }
}

#[test]
fn a_server_that_drips_is_set_aside() {
    let ground = Ground::new();
    let slow = Server::scripted(|_, _| Act::Drip(Duration::from_millis(20)));
    ground.publish(&slow.site);
    let begun = Instant::now();
    let (honest, first) = (honest(&ground), vault());
    let pulled = ground.pull(first.path(), &[slow.url(), honest.url()], &NoProgress).unwrap();
    assert!(ground.is_whole(first.path()));
    assert_eq!(pulled.set_aside.len(), 1);
    let error = ground.pull(vault().path(), &[slow.url()], &NoProgress).unwrap_err();
    insta::assert_snapshot!(refusal(&error), @"no server gives the chunk <digest>: http://<server>: fewer than 512 bytes came within 0.3 s");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn servers_that_are_not_there_are_set_aside() {
    let ground = Ground::new();
    let nobody = format!("http://127.0.0.1:{}", crate::support::postgres::free_port());
    let nowhere = "http://no-such-host.invalid".to_owned();
    let empty = Server::honest();
    let (honest, vault_one) = (honest(&ground), vault());
    let servers = [nobody.clone(), nowhere, empty.url(), honest.url()];
    let pulled = ground.pull(vault_one.path(), &servers, &NoProgress).unwrap();
    assert!(ground.is_whole(vault_one.path()));
    assert_eq!(pulled.set_aside.len(), 2, "one that lacks a chunk may have another: {:?}", pulled.set_aside);
    let vault_two = vault();
    let error = ground.pull(vault_two.path(), &[empty.url()], &NoProgress).unwrap_err();
    insta::assert_snapshot!(refusal(&error), @"no server gives the chunk <digest>: it does not have the chunk");
}

#[test]
fn a_second_pull_hashes_only_what_changed() {
    let ground = Ground::new();
    let (server, vault) = (honest(&ground), vault());
    ground.pull(vault.path(), &[server.url()], &NoProgress).unwrap();
    server.site.forget();
    let told = Told::default();
    let again = ground.pull(vault.path(), &[server.url()], &told).unwrap();
    assert_eq!((again.already_there, again.fetched_bytes), (ground.chunks.len(), 0));
    assert_eq!(server.site.seen().len(), 0, "nothing is asked for");
    // A bit flips on the disk: that chunk alone is fetched again.
    let folder = vault.path().join("sealed/tiny").join(ground.rules.manifest.to_string()).join("chunks");
    let victim = folder.join(ground.chunks.keys().next().unwrap());
    let mut bytes = std::fs::read(&victim).unwrap();
    bytes[5] ^= 1;
    std::fs::write(&victim, &bytes).unwrap();
    let healed = ground.pull(vault.path(), &[server.url()], &NoProgress).unwrap();
    assert_eq!(healed.already_there, ground.chunks.len() - 1);
    assert!(ground.is_whole(vault.path()));
    assert_eq!(server.site.seen().len(), 1);
}

#[test]
fn another_versions_chunks_are_shared() {
    let ground = Ground::new();
    let (server, vault) = (honest(&ground), vault());
    let other = vault.path().join("sealed/tiny").join("ab".repeat(32)).join("chunks");
    std::fs::create_dir_all(&other).unwrap();
    let mut names = ground.chunks.iter();
    let (good, spoiled) = (names.next().unwrap(), names.next().unwrap());
    std::fs::write(other.join(good.0), good.1).unwrap();
    std::fs::write(other.join(spoiled.0), vec![0; spoiled.1.len()]).unwrap();
    let pulled = ground.pull(vault.path(), &[server.url()], &NoProgress).unwrap();
    assert_eq!(pulled.shared, 1, "what is spoiled there is not shared");
    assert_eq!(server.site.seen().len(), ground.chunks.len() - 1);
    assert!(ground.is_whole(vault.path()));
}
