//! Asking witnesses to cosign heads (C2SP [tlog-witness](https://c2sp.org/tlog-witness)), before clients see them.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Client, StatusCode};
use tokio::sync::Mutex;

use super::record::ReadTiles;
use super::{Error, Registry};
use crate::checkpoint::fetch::BaseUrl;
use crate::log::{HeadNote, TreeHead, WitnessKey, WitnessRule, prove_consistency};

/// How long a witness may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer of a witness.
const MAX_ANSWER: usize = 16 << 10;
/// How often a witness that had seen less, or more, is asked in one round.
const TRIES: usize = 3;

/// A witness, and where it is asked.
#[derive(Debug, Clone)]
pub struct WitnessAddress {
    /// Its key, with its name.
    pub key: WitnessKey,
    /// Its address, below which `add-checkpoint` is.
    pub url: BaseUrl,
}

/// Every witness that this registry asks.
#[derive(Default)]
pub(super) struct Witnesses {
    all: Vec<WitnessAddress>,
    client: Option<Client>,
    /// One round at a time; the sizes that each witness is known to have seen.
    seen: Mutex<BTreeMap<String, u64>>,
}

impl Witnesses {
    pub(super) fn new(all: Vec<WitnessAddress>) -> Result<Self, Error> {
        let failed = |error: reqwest::Error| Error::NotWitnessed { place: 0, reason: error.to_string() };
        let client = Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .build()
            .map_err(failed)?;
        Ok(Self { all, client: Some(client), seen: Mutex::default() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// What a witness answered.
enum Answer {
    /// Its signature lines.
    Cosignature(Vec<u8>),
    /// It has seen a head of this size.
    Seen(u64),
}

impl Registry {
    /// Sees to it that the head which clients get covers the entry at `place`.
    ///
    /// # Errors
    /// [`Error::NotWitnessed`] where no witness cosigned such a head; what the log and the database say.
    pub(super) async fn require_witnessed(&self, place: u64) -> Result<(), Error> {
        if self.witnesses.is_empty() || self.cosigned_size().await? > place {
            return Ok(());
        }
        let mut seen = self.witnesses.seen.lock().await;
        // Somebody else's round may have covered it meanwhile.
        if self.cosigned_size().await? > place {
            return Ok(());
        }
        self.round(&mut seen, place).await
    }

    /// Asks the witnesses anew where the head that they saw last is behind.
    ///
    /// # Errors
    /// Those of [`Self::sequence`] and of the witnesses.
    pub async fn keep_witnessed(&self) -> Result<(), Error> {
        self.sequence().await?;
        match self.store.log_head().await?.head.size().checked_sub(1) {
            Some(last) => self.require_witnessed(last).await,
            None => Ok(()),
        }
    }

    async fn cosigned_size(&self) -> Result<u64, Error> {
        let row = self.store.log_head().await?;
        if row.cosigned.is_empty() {
            return Ok(0);
        }
        Ok(HeadNote::parse(row.cosigned.as_bytes())?.claim().size())
    }

    async fn round(&self, seen: &mut BTreeMap<String, u64>, place: u64) -> Result<(), Error> {
        let row = self.store.log_head().await?;
        let mut note = HeadNote::parse(row.note.as_bytes())?;
        let mut reason = String::new();
        let asked = self.witnesses.all.iter().map(|witness| {
            let known = seen.get(witness.key.name()).copied().unwrap_or(0);
            self.ask(witness, (&row.head, &note), known)
        });
        let mut cosigned = 0;
        for (witness, answer) in self.witnesses.all.iter().zip(futures_util::future::join_all(asked).await) {
            let taken = answer.and_then(|lines| {
                let rule = WitnessRule { witnesses: vec![witness.key.clone()], need: 1 };
                note.add_signatures(&lines)
                    .and_then(|()| rule.require(&note).map(drop))
                    .map_err(|error| format!("{}: {error}", witness.key.name()))
            });
            match taken {
                Ok(()) => {
                    cosigned += 1;
                    seen.insert(witness.key.name().to_owned(), row.head.size());
                }
                Err(refusal) => {
                    tracing::warn!(%refusal, "a witness does not cosign");
                    reason = refusal;
                }
            }
        }
        if cosigned == 0 {
            return Err(Error::NotWitnessed { place, reason });
        }
        let bytes = note.to_bytes();
        self.store.log_cosigned(&row.cosigned, &String::from_utf8_lossy(&bytes)).await?;
        Ok(())
    }

    /// The witness's signature lines for a head; it is told of its last head from there on.
    async fn ask(
        &self,
        witness: &WitnessAddress,
        (head, note): (&TreeHead, &HeadNote),
        mut known: u64,
    ) -> Result<Vec<u8>, String> {
        let name = witness.key.name();
        for _ in 0..TRIES {
            let proof = self.consistency(head, known).await.map_err(|error| error.to_string())?;
            let mut body = format!("old {known}\n");
            for hash in proof {
                body.push_str(&BASE64_STANDARD.encode(hash.as_bytes()));
                body.push('\n');
            }
            body.push('\n');
            let mut body = body.into_bytes();
            body.extend(note.to_bytes());
            match self.post(witness, body).await.map_err(|error| format!("{name}: {error}"))? {
                Answer::Cosignature(lines) => return Ok(lines),
                Answer::Seen(size) if size <= head.size() => known = size,
                Answer::Seen(size) => return Err(format!("{name} has seen a log of {size} entries")),
            }
        }
        Err(format!("{name} says again and again that it has seen another head"))
    }

    async fn post(&self, witness: &WitnessAddress, body: Vec<u8>) -> Result<Answer, String> {
        let client = self.witnesses.client.as_ref().ok_or("HTTP is not set up")?;
        let request = client.post(witness.url.join(&["add-checkpoint"])).body(body);
        let mut response = request.send().await.map_err(|error| error.without_url().to_string())?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| error.without_url().to_string())? {
            if bytes.len() + piece.len() > MAX_ANSWER {
                return Err("its answer has no end".to_owned());
            }
            bytes.extend_from_slice(&piece);
        }
        let text = || String::from_utf8_lossy(&bytes).trim().to_owned();
        match status {
            StatusCode::OK => Ok(Answer::Cosignature(bytes)),
            StatusCode::CONFLICT => {
                text().parse().map(Answer::Seen).map_err(|_| "its answer names no size".to_owned())
            }
            status => Err(format!("HTTP status {status}: {}", text().chars().take(200).collect::<String>())),
        }
    }

    async fn consistency(
        &self,
        head: &TreeHead,
        old: u64,
    ) -> Result<Vec<crate::digest::Sha256Digest>, Error> {
        let mut tiles = BTreeMap::new();
        for (level, index) in super::record::tiles_beside(old.saturating_sub(1), head.size()) {
            if let Some(bytes) = self.store.log_tile(level, index).await? {
                tiles.insert((Some(level), index), bytes);
            }
        }
        Ok(prove_consistency(head, old, &ReadTiles(tiles))?.path)
    }
}
