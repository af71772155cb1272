//! Measures sealing and opening beside `openssl speed`, in interleaved rounds of one run.
//!
//! `cargo run --release --example seal_speed -- IMPORTED SCRATCH [ROUNDS]`: IMPORTED is an imported checkpoint's folder, and
//! SCRATCH is a folder with room for it twice. Prints, for each step, the median (least–most) of the rounds in GB/s, and its
//! ratio to `openssl speed -evp aes-256-gcm` on one core times the number of cores.
#![expect(clippy::print_stdout, reason = "an example prints its finding")]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Context as _;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use portcullis::digest::Sha256Digest;
use portcullis::identity::{Identity, OpeningKey};
use portcullis::progress::NoProgress;
use portcullis::seal::{
    ChunkSize, ContentKey, OpenedCheckpoint, Recipient, Recipients, SealRequest, SealedCheckpoint, combine,
    seal_checkpoint,
};
use portcullis::time::Timestamp;
use rayon::prelude::*;

const CHUNK: usize = 8 << 20;
/// Chunks that each thread works through in memory.
const CHUNKS: usize = 64;

const STEPS: [&str; 10] = [
    "openssl, one core",
    "openssl × cores",
    "cipher alone: seal",
    "cipher alone: open",
    "SHA-256 alone",
    "cipher and SHA-256 of the ciphertext: seal",
    "cipher and SHA-256 of the ciphertext: open",
    "seal a checkpoint, files to files",
    "open a checkpoint, files to tensors in memory",
    "open a checkpoint, files to files",
];

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let imported = arguments.next().context("give an imported checkpoint's folder")?;
    let scratch = arguments.next().context("give a scratch folder")?;
    let rounds: usize = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let (imported, scratch) = (Path::new(&imported), Path::new(&scratch));
    let mut speeds = vec![Vec::new(); STEPS.len()];
    for _ in 0..rounds {
        for (step, speed) in round(imported, scratch)?.into_iter().enumerate() {
            speeds[step].push(speed);
        }
    }
    let median = |speeds: &[f64]| {
        let mut sorted = speeds.to_vec();
        sorted.sort_by(f64::total_cmp);
        (sorted[sorted.len() / 2], sorted[0], sorted[sorted.len() - 1])
    };
    let (reference, ..) = median(&speeds[1]);
    println!("| step | GB/s | of openssl × cores |\n|---|---:|---:|");
    for (step, speeds) in STEPS.iter().zip(&speeds) {
        let (middle, least, max) = median(speeds);
        println!("| {step} | {middle:.2} ({least:.2}–{max:.2}) | {:.0} % |", 100.0 * middle / reference);
    }
    Ok(())
}

fn round(imported: &Path, scratch: &Path) -> anyhow::Result<[f64; STEPS.len()]> {
    let cores = rayon::current_num_threads();
    let openssl = openssl()?;
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32])?);
    let nonce = || Nonce::assume_unique_for_key([0; 12]);
    let seal = |buffer: &mut Vec<u8>| {
        buffer.truncate(CHUNK);
        key.seal_in_place_append_tag(nonce(), Aad::empty(), buffer).is_ok()
    };
    // Opening spoils the buffer, so each is sealed anew first; the time of that is taken off.
    let sealing = in_memory(&seal);
    let both = in_memory(&|buffer| seal(buffer) && key.open_in_place(nonce(), Aad::empty(), buffer).is_ok());
    let hashing = in_memory(&|buffer| Sha256Digest::compute(buffer) != Sha256Digest::compute(b""));
    let sealing_hashed =
        in_memory(&|buffer| seal(buffer) && Sha256Digest::compute(buffer) != Sha256Digest::compute(b""));
    let opening = 1.0 / (1.0 / both - 1.0 / sealing);
    let opening_hashed = 1.0 / (1.0 / opening + 1.0 / hashing);
    let [sealed, opened, unsealed] = end_to_end(imported, scratch)?;
    let total = openssl * cores as f64;
    Ok([openssl, total, sealing, opening, hashing, sealing_hashed, opening_hashed, sealed, opened, unsealed])
}

/// GB/s of one core.
fn openssl() -> anyhow::Result<f64> {
    let arguments = ["speed", "-seconds", "2", "-bytes", "8388608", "-evp", "aes-256-gcm", "-mr"];
    let output = Command::new("openssl").args(arguments).output().context("openssl is needed")?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().find(|line| line.starts_with("+F:")).context("openssl says no speed")?;
    let speed: f64 = line.rsplit(':').next().context("openssl says no number")?.parse()?;
    Ok(speed / 1e9)
}

/// GB/s of all cores together at work on chunks in memory.
fn in_memory(work: &(impl Fn(&mut Vec<u8>) -> bool + Sync)) -> f64 {
    let cores = rayon::current_num_threads();
    let mut buffers: Vec<Vec<u8>> = (0..cores)
        .map(|_| {
            let mut buffer = Vec::with_capacity(CHUNK + 16);
            buffer.resize(CHUNK, 1);
            buffer
        })
        .collect();
    let started = Instant::now();
    buffers.par_iter_mut().with_max_len(1).for_each(|buffer| {
        for _ in 0..CHUNKS {
            assert!(black_box(work(buffer)));
        }
    });
    (cores * CHUNKS * CHUNK) as f64 / started.elapsed().as_secs_f64() / 1e9
}

fn end_to_end(imported: &Path, scratch: &Path) -> anyhow::Result<[f64; 3]> {
    let person = |seed: u8| {
        let name = "Ada".parse()?;
        anyhow::Ok(Identity::new(name, None, &[seed; 32], &[seed; 32], Timestamp::from_unix_seconds(0)))
    };
    let (member, registry) = (person(1)?, person(2)?);
    let recipients = Recipients::new(1, vec![Recipient::from(member.card())], registry.card().into())?;
    let (sealed, plain) = (scratch.join("sealed"), scratch.join("plain"));
    let request = SealRequest {
        source: imported,
        destination: &sealed,
        recipients: &recipients,
        chunk_size: ChunkSize::DEFAULT,
        sealer: member.opening_key(),
    };
    let started = Instant::now();
    let done = seal_checkpoint(&request, &mut rand::rng(), &NoProgress)?;
    let seconds = started.elapsed().as_secs_f64();
    let size = done.manifest.plain.size() as f64 / 1e9;
    let opened = open(&sealed, member.opening_key(), registry.opening_key(), done.digest)?;
    let started = Instant::now();
    let weights = opened.weights(&opened.config()?)?;
    weights.entries().par_iter().try_for_each(|(_, entry)| {
        let mut tensor = vec![0; entry.length as usize];
        weights.read_at(entry, 0, &mut tensor)
    })?;
    let reading = started.elapsed().as_secs_f64();
    let started = Instant::now();
    opened.unseal_to(&plain, &NoProgress)?;
    let unsealing = started.elapsed().as_secs_f64();
    for folder in [&sealed, &plain] {
        fs::remove_dir_all(folder)?;
    }
    Ok([size / seconds, size / reading, size / unsealing])
}

fn open(
    folder: &Path,
    member: &OpeningKey,
    registry: &OpeningKey,
    digest: Sha256Digest,
) -> anyhow::Result<OpenedCheckpoint> {
    let sealed = SealedCheckpoint::open(folder, &SealedCheckpoint::manifest_bytes(folder)?, digest)?;
    let (manifest, shares) = (sealed.manifest(), sealed.shares()?);
    let share = shares.open_share(manifest, manifest.seal.board.members[0].key_id, member)?;
    let checkpoint = &manifest.plain.checkpoint;
    let board = combine(vec![share], &manifest.seal.board, checkpoint, &mut rand::rng())?;
    let key = ContentKey::derive(&board, &shares.open_registry_key(manifest, registry)?, checkpoint);
    Ok(sealed.unlock(&key)?)
}
