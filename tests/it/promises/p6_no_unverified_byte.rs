//! P6: no byte is used, or stored as complete, before its digest was checked.

use std::fs;
use std::path::PathBuf;

use crate::support::people::{ID, Scene};
use crate::support::served::{Database, Served};
use crate::support::{fixture, run_in, workplace};

fn pulled() -> Served {
    let served = Served::released(Database::Sqlite, "partners");
    served.granted();
    served.scene.succeed("rosa", &format!("pull {ID}"));
    served
}

/// The chunks that rosa pulled.
fn chunks(scene: &Scene) -> Vec<PathBuf> {
    let mut chunks = scene.files("homes/rosa/vault");
    chunks
        .retain(|path| path.iter().any(|part| part == "chunks") && fs::metadata(path).unwrap().len() > 1000);
    assert!(!chunks.is_empty());
    chunks
}

fn flip(path: &PathBuf) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn p6_a_chunk_that_changed_on_the_disk_is_used_by_nothing_and_fetched_again() {
    let served = pulled();
    let scene = &served.scene;
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    let chunks = chunks(scene);
    let whole: Vec<_> = chunks.iter().map(|path| fs::read(path).unwrap()).collect();
    chunks.iter().for_each(flip);
    for command in ["run tiny Hello -n 2", "score tiny --tokens 1,2,3"] {
        let said = scene.refuse("rosa", command);
        assert!(said.contains("chunk"), "{command}: {said}");
    }
    scene.succeed("rosa", &format!("pull {ID}"));
    for (path, bytes) in chunks.iter().zip(whole) {
        assert!(fs::read(path).unwrap() == bytes, "{} is as it was published", path.display());
    }
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
}

#[test]
fn p6_an_import_of_a_file_that_ends_early_leaves_nothing() {
    let folder = workplace();
    let source = folder.path().join("source");
    crate::support::copy_tree(&fixture("golden/f32"), &source);
    let weights = source.join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() - 1]).unwrap();
    let refused = run_in(folder.path(), "import mine source --to imported");
    assert!(!refused.status.success());
    assert!(!folder.path().join("imported").exists());
}
