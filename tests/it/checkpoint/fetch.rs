//! Fetching a published checkpoint from servers that fail and lie. All of them are on loopback.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::fetching::*;
use crate::support::hostile_server::{Act, Seen, Server};
use portcullis::checkpoint::fetch::{DigestSource, Fetcher};
use portcullis::digest::Sha256Digest;

#[test]
fn an_honest_server_is_asked_once_for_each_piece() {
    let (server, attempt) = fetch_weights(|_, _| Act::Serve);
    attempt.assert_whole();
    assert_eq!(attempt.recorder.text(), "");
    let total: u64 = 10_500 + 6 * 300;
    assert_eq!(attempt.recorder.bytes.load(Ordering::SeqCst), total);
    assert_eq!(server.site.body_bytes.load(Ordering::SeqCst), total + 7);
    let fetched = attempt.outcome.as_ref().unwrap();
    assert!(fetched.files.iter().all(|f| f.digest_source == DigestSource::FirstUse));
}

#[test]
fn a_second_fetch_finds_everything_here_and_looks_at_it() {
    let (server, attempt) = fetch_weights(|_, _| Act::Serve);
    server.site.forget();
    let again = |recorder: &Recorder| {
        let fetcher = Fetcher::new(options(&server));
        fetcher.fetch_blocking(&openai(), attempt.folder.path(), recorder).unwrap()
    };
    assert_eq!(&again(&Recorder::default()), attempt.outcome.as_ref().unwrap());
    assert_eq!(server.site.body_bytes.load(Ordering::SeqCst), 7);
    // One bit of rot, same size: found, and fetched again.
    let mut rotten = weights();
    rotten[5000] ^= 4;
    fs::write(attempt.path(WEIGHTS), rotten).unwrap();
    again(&Recorder::default());
    attempt.assert_whole();
    assert_eq!(server.site.body_bytes.load(Ordering::SeqCst), 7 + 7 + 10_500);
}

#[test]
fn connections_that_end_at_or_inside_every_piece_are_borne() {
    for cut in [0, 1, 499, 999, 1000] {
        let (_, attempt) = fetch_weights(move |_, seen| match seen.nth {
            0 if seen.range.unwrap().0 % 1000 == 0 => Act::Cut(cut),
            _ => Act::Serve,
        });
        attempt.assert_whole();
    }
    let (_, attempt) = fetch_weights(|_, seen| if seen.nth < 3 { Act::Drop } else { Act::Serve });
    attempt.assert_whole();
}

#[test]
fn a_piece_goes_on_where_its_connection_ended() {
    // No connection ever carries more than 130 bytes, and four failures in a row would be too many.
    let (server, attempt) = fetch_weights(|_, _| Act::Cut(130));
    attempt.assert_whole();
    let total = 10_500 + 6 * 300 + 7;
    assert_eq!(server.site.body_bytes.load(Ordering::SeqCst), total);
}

#[test]
fn a_server_without_mercy_is_given_up_by_name() {
    let (server, attempt) = fetch_weights(|_, _| Act::Status(503, vec![]));
    insta::assert_snapshot!(attempt.refusal(&server), @"`model.ckpt.data-00000-of-00001` could not be fetched in 4 attempts; the last error: http://[server]/124M/model.ckpt.data-00000-of-00001: the server returned status 503");
    assert!(!attempt.path(WEIGHTS).exists());
    assert!(attempt.recorder.text().contains("attempt 4 of 4"));
}

#[test]
fn servers_that_are_busy_are_waited_for() {
    for status in [408, 429, 500, 502, 503, 504] {
        let (_, attempt) = fetch_weights(move |_, seen| match seen.nth {
            0 => Act::Status(status, vec![("Retry-After", "1".into())]),
            _ => Act::Serve,
        });
        attempt.assert_whole();
    }
    // Asked for a second, bounded to 40 ms, with at most 2 ms of jitter on top.
    let (_, attempt) = fetch_weights(|_, seen| match (seen.nth, seen.range) {
        (0, Some((0, _))) => Act::Status(429, vec![("Retry-After", "1".into())]),
        _ => Act::Serve,
    });
    let notes = attempt.recorder.text();
    assert!(notes.contains("returned status 429; attempt 2 of 4 in 0.0 s"), "{notes}");
}

#[test]
fn other_refusals_are_not_repeated() {
    let (server, attempt) = fetch_weights(|_, _| Act::Status(400, vec![]));
    insta::assert_snapshot!(attempt.refusal(&server), @"http://[server]/124M/model.ckpt.data-00000-of-00001: the server returned status 400");
    assert_eq!(attempt.recorder.text(), "");
}

#[test]
fn lies_about_ranges_and_lengths_are_never_written_as_complete() {
    type Lie = fn(&Seen) -> Act;
    let lies: [(&str, Lie); 7] = [
        ("shifted", |_| Act::ContentRange("bytes 1-1000/10500".into())),
        ("beyond", |seen| Act::ContentRange(format!("bytes {}-10499/10500", seen.range.unwrap().0))),
        ("nonsense", |_| Act::ContentRange("bytes all/of it".into())),
        ("short", |_| Act::Length(400)),
        ("long", |_| Act::Length(1400)),
        ("overlong", |_| Act::Overlong(5)),
        ("416", |_| Act::Status(416, vec![("Content-Range", "bytes */10500".into())])),
    ];
    let mut refusals = String::new();
    for (name, lie) in lies {
        let is_first = |seen: &Seen| seen.range.is_some_and(|(first, _)| first < 1000);
        let (server, attempt) =
            fetch_weights(move |_, seen| if is_first(seen) { lie(seen) } else { Act::Serve });
        refusals += &format!("{name}: {}\n", attempt.refusal(&server));
        assert!(!attempt.path(WEIGHTS).exists(), "{name}");
        // Told once only, the lie is borne.
        let (_, attempt) = fetch_weights(move |_, seen| match seen.nth {
            0 if is_first(seen) => lie(seen),
            _ => Act::Serve,
        });
        attempt.assert_whole();
    }
    insta::assert_snapshot!(refusals, @"
    shifted: `model.ckpt.data-00000-of-00001` could not be fetched in 4 attempts; the last error: http://[server]/124M/model.ckpt.data-00000-of-00001: inconsistent response: bytes 0-999 were requested, 1-1000 of 10500 received
    beyond: `model.ckpt.data-00000-of-00001` could not be fetched in 4 attempts; the last error: http://[server]/124M/model.ckpt.data-00000-of-00001: inconsistent response: bytes 0-999 were requested, 0-10499 of 10500 received
    nonsense: `model.ckpt.data-00000-of-00001` could not be fetched in 4 attempts; the last error: http://[server]/124M/model.ckpt.data-00000-of-00001: inconsistent response: malformed Content-Range `bytes all/of it`
    short: `model.ckpt.data-00000-of-00001` could not be fetched in 4 attempts; the last error: http://[server]/124M/model.ckpt.data-00000-of-00001: inconsistent response: 1000 bytes by Content-Range, 400 by Content-Length
    long: `model.ckpt.data-00000-of-00001` could not be fetched in 4 attempts; the last error: http://[server]/124M/model.ckpt.data-00000-of-00001: inconsistent response: 1000 bytes by Content-Range, 1400 by Content-Length
    overlong: `model.ckpt.data-00000-of-00001` could not be fetched in 4 attempts; the last error: http://[server]/124M/model.ckpt.data-00000-of-00001: inconsistent response: the body is longer than stated
    416: `model.ckpt.data-00000-of-00001` could not be fetched in 4 attempts; the last error: http://[server]/124M/model.ckpt.data-00000-of-00001: inconsistent response: status 416 for a range inside the file
    ");
}

#[test]
fn a_server_that_ignores_ranges_gets_one_stream() {
    let server = Server::scripted(|_, seen| match (&seen.range, seen.nth) {
        (Some(_), _) => Act::IgnoreRange,
        (None, 0) if seen.path.ends_with(WEIGHTS) => Act::Cut(7_700),
        _ => Act::Serve,
    });
    publish_openai(&server.site);
    let attempt = Attempt::at(&openai(), options(&server));
    attempt.assert_whole();
    assert!(attempt.recorder.text().contains("the server does not support ranges"));
    assert_eq!(attempt.recorder.bytes.load(Ordering::SeqCst), 10_500 + 6 * 300);
    // One that honours them for the first byte only.
    let (_, attempt) = fetch_weights(|_, seen| match seen.range {
        Some(_) => Act::IgnoreRange,
        None => Act::Serve,
    });
    attempt.assert_whole();
}

#[test]
fn a_length_must_be_stated_or_shown() {
    let without_length = |act: fn(&Seen) -> Act| {
        let server =
            Server::scripted(
                move |_, seen| {
                    if seen.path.ends_with("encoder.json") { act(seen) } else { Act::Serve }
                },
            );
        publish_openai(&server.site);
        let attempt = Attempt::at(&openai(), options(&server));
        (server, attempt)
    };
    without_length(|_| Act::Chunked(None)).1.assert_whole();
    let (_, attempt) = without_length(|seen| match seen.nth {
        0 if seen.range.is_none() => Act::Chunked(Some(100)),
        _ => Act::Chunked(None),
    });
    attempt.assert_whole();
    let (server, attempt) = without_length(|_| Act::UntilClose);
    insta::assert_snapshot!(attempt.refusal(&server), @"`encoder.json` was refused: the server does not state its length, so a truncated file could not be detected; use another mirror");
}

#[test]
fn a_file_that_changes_underway_is_begun_again_with_a_word() {
    let new = noise(99, 10_500);
    let published = new.clone();
    let (_, attempt) = fetch_weights(move |site, seen| {
        if (seen.range, seen.nth) == (Some((4000, 4999)), 0) {
            site.publish(&format!("/124M/{WEIGHTS}"), &published, &[etag("2")]);
        }
        Act::Serve
    });
    let fetched = attempt.outcome.as_ref().unwrap();
    assert_eq!(sha256_of(fetched, WEIGHTS), Sha256Digest::compute(&new));
    let notes = attempt.recorder.text();
    assert!(notes.contains("starting again"), "{notes}");
}

#[test]
fn a_file_that_never_holds_still_is_given_up() {
    let (server, attempt) = fetch_weights(|site, seen| {
        let version = etag(&format!("v{}", seen.count));
        site.publish(&format!("/124M/{WEIGHTS}"), &weights(), &[version]);
        Act::Serve
    });
    insta::assert_snapshot!(attempt.refusal(&server), @"`model.ckpt.data-00000-of-00001` changed on the server or on disk during each of 5 attempts; use a mirror whose files do not change");
}

#[test]
fn other_bytes_than_the_known_ones_are_refused_by_name() {
    let server = hostile_weights(|_, seen| match seen.range {
        Some((4000, _)) => Act::FlipBit,
        _ => Act::Serve,
    });
    let mut options = options(&server);
    options.expected.insert(WEIGHTS.into(), Sha256Digest::compute(&weights()));
    let attempt = Attempt::at(&openai(), options.clone());
    insta::assert_snapshot!(attempt.refusal(&server), @"`model.ckpt.data-00000-of-00001` was refused: its SHA-256 is 857624c9d045504265ac20034775d33c6df07b153bf4340fc72b9e96048e9d4b, and the known digest is 63c81e89526da70ea35b58664b9f760535ab4f9b7d6fbe8c0ffa24f792edd6c6; the download was removed; try again, or use another source");
    assert!(!attempt.path(WEIGHTS).exists());
    assert!(!attempt.path(&format!("{WEIGHTS}.part")).exists());
    // The same options and an honest server.
    let honest = Server::honest();
    publish_openai(&honest.site);
    options.mirror = Some(honest.url().parse().unwrap());
    let attempt = Attempt::at(&openai(), options);
    attempt.assert_whole();
    let fetched = attempt.outcome.unwrap();
    let weights = fetched.files.iter().find(|f| f.name == WEIGHTS).unwrap();
    assert_eq!(weights.digest_source, DigestSource::Expected);
}

#[test]
fn files_too_large_for_their_kind_are_refused_before_they_come() {
    let server = Server::scripted(|_, seen| match &seen.path[..] {
        "/124M/hparams.json" => Act::ContentRange("bytes 0-0/99999999999".into()),
        _ => Act::Serve,
    });
    publish_openai(&server.site);
    let attempt = Attempt::at(&openai(), options(&server));
    insta::assert_snapshot!(attempt.refusal(&server), @"`hparams.json` has 99999999999 bytes; at most 1048576 are accepted for this kind of file");
}

#[test]
fn servers_that_trickle_or_fall_silent_are_left() {
    let acts: [fn() -> Act; 2] =
        [|| Act::Drip(Duration::from_millis(100)), || Act::Silence(Duration::from_secs(3))];
    let fetch = |act: fn() -> Act, times: usize| {
        let server = hostile_weights(move |_, seen| match seen.range {
            Some((3000..4000, _)) if seen.nth < times => act(),
            _ => Act::Serve,
        });
        let mut options = options(&server);
        options.retry.attempts = 2;
        options.pace.connect = Duration::from_millis(200);
        options.pace.idle = Duration::from_millis(250);
        let attempt = Attempt::at(&openai(), options);
        (server, attempt)
    };
    let refusals = acts.map(|act| {
        let (server, attempt) = fetch(act, usize::MAX);
        attempt.refusal(&server)
    });
    insta::assert_snapshot!(refusals.join("\n"), @"
    `model.ckpt.data-00000-of-00001` could not be fetched in 2 attempts; the last error: http://[server]/124M/model.ckpt.data-00000-of-00001: stalled: fewer than 16 bytes within 0.25 s
    `model.ckpt.data-00000-of-00001` could not be fetched in 2 attempts; the last error: http://[server]/124M/model.ckpt.data-00000-of-00001: no response within 0.45 s
    ");
    // Once only, it is borne.
    fetch(acts[1], 1).1.assert_whole();
}

#[test]
fn a_folder_takes_one_fetch_at_a_time() {
    let server = Server::honest();
    publish_openai(&server.site);
    let folder = tempfile::tempdir().unwrap();
    let lock = fs::File::create(folder.path().join(".fetch.lock")).unwrap();
    lock.lock().unwrap();
    let fetcher = Fetcher::new(options(&server));
    let fetch = || fetcher.fetch_blocking(&openai(), folder.path(), &Recorder::default());
    let refusal = fetch().unwrap_err().to_string();
    let refusal = refusal.replace(&folder.path().display().to_string(), "[folder]");
    insta::assert_snapshot!(refusal, @"[folder] is in use: another fetch writes to this folder; wait until it ends, or stop it");
    drop(lock);
    fetch().unwrap();
}
