//! Getting a signature under something else than what was shown.

use std::fs;

use crate::support::failure;
use crate::support::people::{ID, POLICY, Scene};
use crate::support::served::{Ask, Database, Served, ask};

fn propose(scene: &Scene, version: u32) -> String {
    scene.write("next.toml", &POLICY.replace("version = 1", &format!("version = {version}")));
    scene.succeed("ada", &format!("catalogue propose {ID} --policy next.toml"));
    digest(scene, ID)
}

fn digest(scene: &Scene, role: &str) -> String {
    let review = scene.json("ben", "catalogue review");
    let open = review["proposed"].as_array().unwrap().iter().find(|open| open["role"] == role);
    open.unwrap_or_else(|| panic!("{review}"))["digest"].as_str().unwrap().to_owned()
}

/// The registry's folder, as whoever holds it can write to it.
fn folder(scene: &Scene) -> std::path::PathBuf {
    scene.at("registry/catalogue/proposals")
}

#[test]
fn the_registry_swaps_the_proposal_between_review_and_signature() {
    let scene = Scene::released("partners");
    let open = folder(&scene).join(format!("{ID}/{ID}.json"));
    let reviewed = propose(&scene, 2);
    let other = fs::read(&open).unwrap();
    let swapped = propose(&scene, 3);
    let newer = fs::read(&open).unwrap();
    assert_ne!(other, newer);
    let refused = scene.run_as_given("ben", &format!("catalogue sign {ID} {reviewed}"));
    let said = failure(&refused);
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains(&reviewed) && said.contains(&swapped), "{said}");
}

#[test]
fn the_registry_puts_in_a_proposal_that_nobody_proposed() {
    let scene = Scene::released("partners");
    propose(&scene, 2);
    let open = folder(&scene).join(format!("{ID}/{ID}.json"));
    let mut forged: serde_json::Value = serde_json::from_slice(&fs::read(&open).unwrap()).unwrap();
    forged["signatures"] = serde_json::json!([]);
    forged["signed"]["expires"] = "2035-01-01T00:00:00Z".into();
    fs::write(&open, serde_json::to_vec(&forged).unwrap()).unwrap();
    let said = scene.succeed("ben", "catalogue review");
    assert!(
        said.contains(&format!(
            "{ID}: refused: the proposed change of {ID} is not signed by any key that may propose it"
        )),
        "{said}"
    );
    for sign in [format!("catalogue sign {ID}"), format!("catalogue sign {ID} {}", "0".repeat(64))] {
        let refused = scene.run_as_given("ben", &sign);
        assert!(
            failure(&refused).contains("is not signed by any key that may propose it"),
            "{}",
            failure(&refused)
        );
    }
}

#[test]
fn a_rotation_of_the_owners_comes_along_with_a_harmless_change() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    // Ada alone proposes to make eve an owner, beside the change that ben means to sign.
    scene.succeed("ada", "catalogue rotate root --add cards/eve.card --threshold 2");
    let harmless = propose(scene, 2);
    scene.succeed("ben", &format!("catalogue sign {ID} {harmless}"));
    let review = scene.json("cy", "catalogue review");
    let root = review["proposed"].as_array().unwrap().iter().find(|open| open["role"] == "root").unwrap();
    let signed = root["quorums"][0]["signed"].as_array().unwrap();
    assert_eq!(signed.len(), 1, "nobody but its proposer signed the rotation: {root}");
}

#[test]
fn a_proposal_is_handed_in_without_its_proposers_signature() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    propose(scene, 2);
    let parcel = served.get_as("ada", &format!("/v1/catalogue/proposals/{ID}")).json();
    scene.succeed("ada", &format!("catalogue propose {ID} --withdraw"));
    let put = |person: &str, document: String| {
        let mut parcel = parcel.clone();
        parcel["document"] = document.into();
        let url = format!("{}/v1/catalogue/proposals/{ID}", served.process.url);
        let (bearer, body) = (Some(served.bearer(person)), Some(parcel.to_string()));
        ask(&Ask { url, method: "POST", bearer, body, ..Ask::default() })
    };
    let signed = parcel["document"].as_str().unwrap().to_owned();
    let mut unsigned: serde_json::Value = serde_json::from_str(&signed).unwrap();
    unsigned["signatures"] = serde_json::json!([]);
    let refused = put("ada", unsigned.to_string());
    assert!((400..500).contains(&refused.status), "{} {}", refused.status, refused.text);
    // Another member brings it with ada's signature alone: it is ada's, and not theirs to propose.
    let refused = put("ben", signed.clone());
    assert!((400..500).contains(&refused.status), "{} {}", refused.status, refused.text);
    let taken = put("ada", signed);
    assert!(taken.status < 300, "{} {}", taken.status, taken.text);
}
