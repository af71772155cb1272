//! The bundle: one file with everything that an audit reads, in order.
//!
//! JSON lines: the header with the log's head, the catalogue's files, then the records of the log with their statements. The last line has
//! the number of lines and the SHA-256 of all earlier ones, which detects accidents; signatures detect forgery.

use std::io::{BufRead, Read as _, Write};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::Error;
use crate::api::AuditRecord;
use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::time::Timestamp;

/// The version of the bundle format.
const FORM: u32 = 1;
/// Maximum line: a catalogue file in base64.
const MAX_LINE: u64 = 192 << 20;

/// The first line.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    #[serde(rename = "portcullis-bundle")]
    form: u32,
    pub created: Timestamp,
    /// The note of the log's head.
    pub head: String,
}

impl Header {
    /// A header in the current format; `head` is the note of the log's head.
    pub fn new(created: Timestamp, head: String) -> Self {
        Self { form: FORM, created, head }
    }
}

/// A line after the header.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug)]
pub enum Line {
    /// A file of the catalogue.
    File { path: String, bytes: Vec<u8> },
    /// A log entry with its statement.
    Record(AuditRecord),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLine {
    file: String,
    bytes: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndLine {
    lines: u64,
    sha256: Sha256Digest,
}

/// Writes a bundle.
pub struct BundleWriter<W> {
    to: W,
    hasher: Sha256Hasher,
    lines: u64,
}

impl<W: Write> BundleWriter<W> {
    /// Begins a bundle with its header.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn begin(to: W, header: &Header) -> Result<Self, Error> {
        let mut writer = Self { to, hasher: Sha256Hasher::default(), lines: 0 };
        writer.line(&serde_json::to_string(header).unwrap_or_default())?;
        Ok(writer)
    }

    /// Writes a line; returns its length in bytes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&mut self, line: &Line) -> Result<u64, Error> {
        let text = match line {
            Line::File { path, bytes } => {
                let line = FileLine { file: path.clone(), bytes: BASE64_STANDARD.encode(bytes) };
                serde_json::to_string(&line).unwrap_or_default()
            }
            Line::Record(record) => record_line(record),
        };
        self.line(&text)?;
        Ok(text.len() as u64 + 1)
    }

    fn line(&mut self, text: &str) -> Result<(), Error> {
        self.hasher.update(text.as_bytes());
        self.hasher.update(b"\n");
        self.to.write_all(text.as_bytes())?;
        self.to.write_all(b"\n")?;
        self.lines += 1;
        Ok(())
    }

    /// Writes the last line; returns the number of lines.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(mut self) -> Result<u64, Error> {
        let end = json!({ "lines": self.lines, "sha256": self.hasher.finish() });
        writeln!(self.to, "{end}")?;
        self.to.flush()?;
        Ok(self.lines)
    }
}

/// A record in one line, without white space from its envelopes.
fn record_line(record: &AuditRecord) -> String {
    let compact = |raw: &RawValue| {
        crate::json::from_str::<serde_json::Value>(raw.get())
            .map(|value| value.to_string())
            .unwrap_or_default()
    };
    let statements: Vec<String> = record.statements.iter().map(|raw| compact(raw)).collect();
    let entry = serde_json::Value::from(record.entry.as_str());
    format!("{{\"entry\":{entry},\"statements\":[{}]}}", statements.join(","))
}

/// Reads a bundle line by line, and checks its end.
pub struct BundleReader<R> {
    from: R,
    hasher: Sha256Hasher,
    lines: u64,
    header: Header,
    text: String,
    has_ended: bool,
}

impl<R: BufRead> BundleReader<R> {
    /// Opens a bundle and reads the header.
    ///
    /// # Errors
    /// [`Error::Bundle`], [`Error::Io`].
    pub fn open(from: R) -> Result<Self, Error> {
        let header = Header::new(Timestamp::from_unix_seconds(0), String::new());
        let mut reader = Self {
            from,
            hasher: Sha256Hasher::default(),
            lines: 0,
            header,
            text: String::new(),
            has_ended: false,
        };
        reader.read_line()?;
        let header: Header =
            crate::json::from_str(&reader.text).map_err(|_| refused("it is not an audit bundle"))?;
        if header.form != FORM {
            return Err(refused(&format!("it has form {}; this version supports {FORM}", header.form)));
        }
        reader.take_line();
        reader.header = header;
        Ok(reader)
    }

    /// The bundle's first line.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next unparsed lines, at most `max`; none after the verified end of the file.
    ///
    /// # Errors
    /// [`Error::Bundle`], [`Error::Io`].
    pub fn next_texts(&mut self, max: usize) -> Result<Vec<String>, Error> {
        let mut texts = Vec::new();
        while texts.len() < max && !self.has_ended {
            self.read_line()?;
            if self.text.starts_with("{\"lines\":") {
                let Ok(EndLine { lines, sha256 }) = crate::json::from_str(&self.text) else {
                    return Err(refused("its last line is malformed"));
                };
                self.require_end(lines, sha256)?;
                self.has_ended = true;
                break;
            }
            self.take_line();
            texts.push(std::mem::take(&mut self.text));
        }
        Ok(texts)
    }

    fn require_end(&mut self, lines: u64, sha256: Sha256Digest) -> Result<(), Error> {
        if lines != self.lines {
            return Err(refused("lines are missing"));
        }
        let found = std::mem::take(&mut self.hasher).finish();
        if found == sha256 { Ok(()) } else { Err(refused("its SHA-256 does not match its lines")) }
    }

    fn read_line(&mut self) -> Result<(), Error> {
        self.text.clear();
        let count = (&mut self.from).take(MAX_LINE).read_line(&mut self.text)?;
        if count == 0 || !self.text.ends_with('\n') {
            return Err(refused("it was cut off"));
        }
        self.text.pop();
        Ok(())
    }

    fn take_line(&mut self) {
        self.hasher.update(self.text.as_bytes());
        self.hasher.update(b"\n");
        self.lines += 1;
    }
}

/// Parses a line after the header.
///
/// # Errors
/// [`Error::Bundle`].
pub(super) fn parse_line(text: &str) -> Result<Line, Error> {
    let malformed = |error: serde_json::Error| refused(&error.to_string());
    if text.starts_with("{\"entry\":") {
        return crate::json::from_str(text).map(Line::Record).map_err(malformed);
    }
    let FileLine { file, bytes } = crate::json::from_str(text).map_err(malformed)?;
    let bytes = BASE64_STANDARD.decode(bytes).map_err(|_| refused("a file is not base64"))?;
    Ok(Line::File { path: file, bytes })
}

fn refused(reason: &str) -> Error {
    Error::Bundle { reason: reason.to_owned() }
}
