//! Two replicas on one PostgreSQL and one S3: either may be killed at any time, and nothing that was acknowledged is lost.

use crate::support::people::ID;
use crate::support::s3::{BUCKET, S3};
use crate::support::served::{Ask, Database, Served, ask};

#[test]
fn chunks_lie_in_s3_and_are_fetched_from_there() {
    let s3 = S3::start();
    let blobs = format!("s3://{BUCKET}/some/prefix");
    let served = Served::unfounded_with(Database::Sqlite, &blobs, s3.environment());
    served.found();
    served.release("partners");
    served.granted();
    let scene = &served.scene;
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(scene.at("homes/ada/sealed/tiny/manifest.json")).unwrap())
            .unwrap();
    let chunk = manifest["seal"]["files"]["model.safetensors"][0]["sha256"].as_str().unwrap();
    let answer = served.get(&format!("/v1/chunks/{chunk}"));
    assert_eq!(answer.status, 307, "{}", answer.text);
    let place = answer.header("location").unwrap().to_owned();
    assert!(place.contains("X-Amz-Signature="), "{place}");
    let bytes = ask(&Ask { url: place, ..Ask::default() }).bytes;
    assert_eq!(portcullis::digest::Sha256Digest::compute(&bytes).to_string(), chunk);
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    // Or through the registry, for those who can reach nothing else.
    let settings = std::fs::read_to_string(scene.at("reg/portcullis.toml")).unwrap();
    scene.write("reg/portcullis.toml", &format!("{settings}presign = false\n"));
    let replica = served.replica();
    let part = ask(&Ask {
        url: format!("{}/v1/chunks/{chunk}", replica.url),
        headers: vec![("range", "bytes=10-19".to_owned())],
        ..Ask::default()
    });
    assert_eq!((part.status, part.bytes.as_slice()), (206, &bytes[10..20]));
    // Sealing again, or from another machine, hands nothing in twice.
    let again = scene.succeed("ada", "seal plain --chunk-size 65536");
    assert!(again.contains("6 chunks, 6 of them there already"), "{again}");
}

#[test]
fn either_of_two_replicas_may_be_killed_at_any_time() {
    let s3 = S3::start();
    let blobs = format!("s3://{BUCKET}");
    let mut served = Served::unfounded_with(Database::Postgres, &blobs, s3.environment());
    let mut other = served.replica();
    // Before each step one of the two dies; the step is taken at the one that is left.
    let mut turn = 0;
    let mut swap = |served: &mut Served, other: &mut crate::support::served::Process| {
        let fresh = served.replica();
        let dying = std::mem::replace(if turn % 2 == 0 { &mut served.process } else { other }, fresh);
        turn += 1;
        dying.kill();
        std::mem::swap(&mut served.process, other);
    };
    served.found();
    swap(&mut served, &mut other);
    served.release("partners");
    swap(&mut served, &mut other);
    let mut acknowledged = Vec::new();
    for round in 0..4 {
        let scene = &served.scene;
        let here = served.process.url.clone();
        let new = format!(
            "--registry {here} request new {ID} --purpose Round{round} --use detection --days 30 --accept-agreement"
        );
        let request = scene.digits(&scene.json("rosa", &new)["request"]);
        swap(&mut served, &mut other);
        let (scene, here) = (&served.scene, served.process.url.clone());
        scene.succeed("ada", &format!("approve {request} --registry {here}"));
        swap(&mut served, &mut other);
        let (scene, here) = (&served.scene, served.process.url.clone());
        scene.succeed("ben", &format!("approve {request} --registry {here}"));
        acknowledged.push(request);
    }
    swap(&mut served, &mut other);
    for url in [served.process.url.clone(), other.url.clone()] {
        for request in &acknowledged {
            let shown = served.scene.succeed("rosa", &format!("--registry {url} request show {request}"));
            assert!(shown.starts_with("granted until"), "{shown}");
        }
        let scene = &served.scene;
        scene.succeed("rosa", &format!("--registry {url} pull {ID}"));
        scene.succeed("rosa", &format!("--registry {url} lease"));
    }
    served.scene.succeed("rosa", &format!("--registry {} run {ID} Hello -n 2", other.url));
    assert_eq!(s3.objects(), 6);
}
