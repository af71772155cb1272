//! Answers of a registry that nobody takes, and connections that nobody uses.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use portcullis::digest::Sha256Digest;

use super::public::public;
use crate::support::people::ID;
use crate::support::served::{Database, Served};

/// How much more memory a server may hold while nobody reads its answers.
const MAX_GROWTH: u64 = 32 << 20;

/// A connection of HTTP/2 whose streams take a byte each, with so many questions for a file.
fn ask_and_take_nothing(url: &str, streams: u32) -> TcpStream {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let literal =
        |index: u8, text: &str| [&[index, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // The first window of a stream: one byte.
    bytes.extend(frame(4, 0, 0, &[0, 4, 0, 0, 0, 1]));
    let path = format!("/{ID}/resolve/main/model.safetensors");
    let head = [vec![0x82, 0x86], literal(4, &path), literal(1, address)].concat();
    for number in 0..streams {
        bytes.extend(frame(1, 5, 2 * number + 1, &head));
    }
    stream.write_all(&bytes).unwrap();
    stream
}

#[test]
fn streams_that_take_nothing_make_the_registry_hold_no_chunks_and_are_cut() {
    let served = public().limited("limits.seconds = 2\nlimits.per_address = 0\n");
    let model = || served.get(&format!("/{ID}/resolve/main/model.safetensors"));
    let whole = model();
    assert_eq!(whole.status, 200);
    assert_eq!(Some(Sha256Digest::compute(&whole.bytes).to_string().as_str()), whole.header("x-sha256"));
    let before = served.process.resident_bytes();
    let held: Vec<_> = (0..4).map(|_| ask_and_take_nothing(&served.process.url, 190)).collect();
    std::thread::sleep(Duration::from_secs(1));
    let grown = served.process.resident_bytes().saturating_sub(before);
    assert!(grown < MAX_GROWTH, "{grown} bytes more");
    // Whoever takes nothing for as long as the settings say is left.
    let begun = Instant::now();
    for mut stream in held {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.read_to_end(&mut Vec::new()).ok();
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(model().bytes == whole.bytes, "others are served");
}

#[test]
fn one_address_does_not_take_every_connection() {
    let served = Served::unfounded(Database::Sqlite);
    let address = served.process.url.strip_prefix("http://").unwrap();
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        stream
    };
    let held: Vec<_> = (0..128).map(|_| connect()).collect();
    std::thread::sleep(Duration::from_millis(500));
    let ended = connect().read(&mut [0; 1]);
    assert!(
        !matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
        "it is closed at once: {ended:?}"
    );
    drop(held);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(served.get("/healthz").status, 200);
}
