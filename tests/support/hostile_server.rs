//! A loopback HTTP/1.1 server that misbehaves on request, for one file of tests.
//!
//! A script decides for each request what happens to the honest answer. Everything that was asked is remembered.

#![allow(dead_code, reason = "each file of tests uses a part")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A file on the server.
#[derive(Clone, Default)]
pub(crate) struct Published {
    pub(crate) bytes: Vec<u8>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) range: Option<(usize, usize)>,
    pub(crate) headers: BTreeMap<String, String>,
    /// How many requests for this path and these bytes came before.
    pub(crate) nth: usize,
    /// How many requests of any kind came before.
    pub(crate) count: usize,
}

/// What happens to a request.
pub(crate) enum Act {
    Serve,
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// The connection ends before an answer.
    Drop,
    Status(u16, Vec<(&'static str, String)>),
    IgnoreRange,
    /// As [`Act::IgnoreRange`], chunked and so without a length; truncated after so many bytes, if at all.
    Chunked(Option<usize>),
    /// The whole file without a length, ended by closing.
    UntilClose,
    /// The honest part under this `Content-Range`.
    ContentRange(String),
    /// The honest body under this `Content-Length`.
    Length(usize),
    /// A part with this many bytes too many, chunked.
    Overlong(usize),
    FlipBit,
    /// The head, then a byte now and then.
    Drip(Duration),
    Silence(Duration),
    /// The honest body in pieces of so many bytes, with a pause before each.
    Slow(usize, Duration),
}

type Script = dyn Fn(&Site, &Seen) -> Act + Send + Sync;

/// What the server has and what it saw.
#[derive(Default)]
pub(crate) struct Site {
    files: Mutex<BTreeMap<String, Published>>,
    seen: Mutex<Vec<Seen>>,
    pub(crate) body_bytes: AtomicU64,
    pub(crate) answers: AtomicUsize,
    talks: AtomicUsize,
}

impl Site {
    pub(crate) fn publish(&self, path: &str, bytes: &[u8], headers: &[(&'static str, String)]) {
        let file = Published { bytes: bytes.to_vec(), headers: headers.to_vec() };
        self.files.lock().unwrap().insert(path.to_owned(), file);
    }

    pub(crate) fn withdraw(&self, path: &str) {
        self.files.lock().unwrap().remove(path);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Forgets what it saw, once nobody talks to it: a client that gave up may have left requests unread.
    pub(crate) fn forget(&self) {
        let mut quiet = 0;
        while quiet < 4 {
            thread::sleep(Duration::from_millis(3));
            let talks = self.talks.load(Ordering::SeqCst);
            quiet = if talks == 0 { quiet + 1 } else { 0 };
        }
        self.seen.lock().unwrap().clear();
        self.body_bytes.store(0, Ordering::SeqCst);
    }
}

pub(crate) struct Server {
    pub(crate) site: Arc<Site>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// An honest server.
    pub(crate) fn honest() -> Self {
        Self::scripted(|_, _| Act::Serve)
    }

    pub(crate) fn scripted(script: impl Fn(&Site, &Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let site = Arc::new(Site::default());
        let (shared, script): (_, Arc<Script>) = (site.clone(), Arc::new(script));
        // The thread lives as long as the test process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (site, script) = (shared.clone(), script.clone());
                site.talks.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    let _ = converse(&site, &*script, stream);
                    site.talks.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { site, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn converse(site: &Site, script: &Script, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(seen) = read_request(site, &mut reader)? {
        let act = script(site, &seen);
        let file = site.files.lock().unwrap().get(&seen.path).cloned();
        let go_on = answer(site, &mut stream, &seen, act, file)?;
        site.answers.fetch_add(1, Ordering::SeqCst);
        if !go_on {
            break;
        }
    }
    Ok(())
}

fn read_request(site: &Site, reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Seen>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    // A proxy is asked in absolute form.
    if let Some(rest) = target.strip_prefix("http://") {
        target = rest[rest.find('/').unwrap()..].to_owned();
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let range = headers.get("range").and_then(|text| {
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?))
    });
    let mut all = site.seen.lock().unwrap();
    let same = |seen: &&Seen| seen.path == target && seen.range == range;
    let seen = Seen { nth: all.iter().filter(same).count(), count: all.len(), path: target, range, headers };
    all.push(seen.clone());
    Ok(Some(seen))
}

fn answer(
    site: &Site,
    stream: &mut TcpStream,
    seen: &Seen,
    act: Act,
    file: Option<Published>,
) -> std::io::Result<bool> {
    if let Act::Status(status, headers) = &act {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.clone())).collect();
        head(stream, *status, &headers, Some(0))?;
        return Ok(true);
    }
    if matches!(act, Act::Drop) {
        return Ok(false);
    }
    let Some(file) = file else {
        head(stream, 404, &[], Some(0))?;
        return Ok(true);
    };
    let mut headers = file.headers.clone();
    let etag = headers.iter().find(|(name, _)| *name == "ETag");
    let unchanged = match seen.headers.get("if-range") {
        Some(tag) => etag.is_some_and(|(_, now)| now == tag),
        None => true,
    };
    let whole = matches!(act, Act::IgnoreRange | Act::Chunked(_) | Act::UntilClose) || !unchanged;
    let size = file.bytes.len();
    let (status, mut body) = match seen.range {
        Some((first, _)) if !whole && first >= size => {
            headers.push(("Content-Range", format!("bytes */{size}")));
            (416, Vec::new())
        }
        Some((first, last)) if !whole => {
            let last = last.min(size - 1);
            let range = match &act {
                Act::ContentRange(lie) => lie.clone(),
                _ => format!("bytes {first}-{last}/{size}"),
            };
            headers.push(("Content-Range", range));
            (206, file.bytes[first..=last].to_vec())
        }
        _ => (200, file.bytes),
    };
    send(site, stream, act, (status, headers), &mut body)
}

type Head = (u16, Vec<(&'static str, String)>);

fn send(
    site: &Site,
    stream: &mut TcpStream,
    act: Act,
    (status, mut headers): Head,
    body: &mut Vec<u8>,
) -> std::io::Result<bool> {
    let mut length = Some(body.len());
    let (mut cut, mut go_on) = (body.len(), true);
    match &act {
        Act::Cut(after) => (cut, go_on) = ((*after).min(cut), false),
        Act::Length(lie) => (length, go_on) = (Some(*lie), false),
        Act::FlipBit => {
            if let Some(byte) = body.last_mut() {
                *byte ^= 1;
            }
        }
        Act::UntilClose => (length, go_on) = (None, false),
        Act::Chunked(after) => {
            headers.push(("Transfer-Encoding", "chunked".into()));
            length = None;
            go_on = after.is_none();
            cut = after.unwrap_or(cut).min(cut);
        }
        Act::Overlong(more) => {
            headers.push(("Transfer-Encoding", "chunked".into()));
            length = None;
            body.extend(vec![7; *more]);
            cut = body.len();
        }
        Act::Silence(time) => {
            thread::sleep(*time);
            return Ok(false);
        }
        _ => {}
    }
    // Counted before it is sent: what the client has, is counted.
    site.body_bytes.fetch_add(cut as u64, Ordering::SeqCst);
    head(stream, status, &headers, length)?;
    if let Act::Drip(pause) = act {
        for byte in body.iter() {
            stream.write_all(&[*byte])?;
            thread::sleep(pause);
        }
        return Ok(true);
    }
    if let Act::Slow(piece, pause) = act {
        for piece in body.chunks(piece) {
            thread::sleep(pause);
            stream.write_all(piece)?;
        }
        return Ok(true);
    }
    let chunked = headers.iter().any(|(name, _)| *name == "Transfer-Encoding");
    if chunked {
        write!(stream, "{:x}\r\n", body.len())?;
    }
    stream.write_all(&body[..cut])?;
    if chunked && go_on {
        stream.write_all(b"\r\n0\r\n\r\n")?;
    }
    stream.flush()?;
    Ok(go_on)
}

fn head(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
    length: Option<usize>,
) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} Whatever\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(length) = length {
        text.push_str(&format!("Content-Length: {length}\r\n"));
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes())
}
