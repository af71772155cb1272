//! A journal that is put back from a copy, by somebody who edits the home's mark of it by hand too: what is left for the registry to refuse.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};

use super::copy_tree;
use super::people::Scene;

/// Copies a person's journal and its mark.
pub fn copy_journal(scene: &Scene, person: &str) {
    copy_tree(&scene.at(&format!("homes/{person}/usage")), &scene.at("copy"));
    fs::copy(scene.at(&format!("homes/{person}/usage-mark.json")), scene.at("copy-mark.json")).unwrap();
}

/// Puts the copy back, with a mark that says that it was never away.
pub fn put_back_with_an_edited_mark(scene: &Scene, person: &str) {
    fs::remove_dir_all(scene.at(&format!("homes/{person}/usage"))).unwrap();
    copy_tree(&scene.at("copy"), &scene.at(&format!("homes/{person}/usage")));
    let mut mark: Value = serde_json::from_slice(&fs::read(scene.at("copy-mark.json")).unwrap()).unwrap();
    // Written in place, so it stays the file that it is.
    let path = scene.at(&format!("homes/{person}/usage-mark.json"));
    let file = fs::metadata(&path).unwrap();
    let born =
        file.created().ok().map(|born| born.duration_since(UNIX_EPOCH).unwrap().as_nanos().to_string());
    mark["file"] = match born {
        Some(born) => json!({ "inode": file.ino(), "born": born }),
        None => json!({ "inode": file.ino() }),
    };
    fs::write(&path, mark.to_string()).unwrap();
}
