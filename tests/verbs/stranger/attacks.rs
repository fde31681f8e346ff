//! What a store, or whoever stands before it, can try: it can deny, and never forge.

use std::fs;
use std::path::Path;

use sequoia_openpgp as pgp;
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::serialize::SerializeInto as _;

use crate::stranger::faults::certificate_of;
use crate::stranger::home::{Served, Stranger, copy, digest, released};
use crate::support::sample_train::SampleTrain;

#[test]
fn an_older_index_is_a_rollback() {
    // A train of its own: the other tests copy the shared store meanwhile.
    let (train, stranger) = (SampleTrain::new(), Stranger::new());
    train.to_the_gate();
    train.release();
    let served = Served::of(&train.store(), &[]);
    let before = tempfile::tempdir().unwrap();
    copy(&served.store(), &before.path().join("store"));
    train.run(&["refresh", "--now"]).ends_with(0);
    served.serves(&train.store());
    stranger.verify_by(&train, &["1.0.5", &served.url]).ends_with(0);
    served.serves(&before.path().join("store"));
    stranger.verify_by(&train, &["1.0.5", &served.url]).fails(6, &["it was rolled back: number"]);
    stranger.verify_by(&train, &["latest", &served.url]).fails(6, &["it was rolled back: number"]);
}

#[test]
fn files_of_another_release_or_project() {
    let (served, stranger) = (Served::new(), Stranger::new());
    let swap = |from: &str, to: &str| fs::copy(served.path(from), served.path(to)).map(drop).unwrap();
    swap("releases/2.0.2/SHA256SUMS", "releases/1.0.5/SHA256SUMS");
    stranger.verify(&["1.0.5", &served.url]).fails(6, &["`SHA256SUMS`"]);
    served.serves(&released().store());
    fs::remove_dir_all(served.path("releases/1.0.5")).unwrap();
    copy(&served.path("releases/2.0.2"), &served.path("releases/1.0.5"));
    stranger.verify(&["1.0.5", &served.url]).fails(6, &["manifest of version 2.0.2, not of 1.0.5"]);
    served.serves(&released().store());
    // A whole other store of a project that calls itself the same.
    let other = SampleTrain::new();
    other.to_the_gate();
    other.release();
    for file in ["index.json", "index.json.asc"] {
        fs::copy(other.store().join("releases").join(file), served.path("releases").join(file)).unwrap();
    }
    stranger.verify(&["1.0.5", &served.url]).fails(6, &["index"]);
    served.serves(&other.store());
    stranger
        .verify(&["1.0.5", &served.url])
        .fails(6, &["does not have the digest that was given", "nothing was accepted"]);
    // Pinning it in place of the first takes more than a digest.
    stranger.run(&["trust", "pin", &digest(), &format!("file://{}", released().store().display())]).ends_with(0);
    let theirs = lifeboat::model::Sha256::of(&fs::read(other.project().join("keys/trust.json")).unwrap()).hex();
    let said = ["another trust root is pinned", "changed: person alice", "--replace"];
    stranger.run(&["trust", "pin", &theirs, &served.url]).fails(4, &said);
    let ran = stranger.run(&["trust", "pin", "--replace", &theirs, &served.url]).ends_with(0);
    assert!(ran.stdout.contains("changed: person alice"), "{}", ran.stdout);
}

/// Without the index nothing is known of freshness, rollback and retired releases: whoever withholds it must not switch that off.
#[test]
fn an_old_release_in_the_place_of_the_store() {
    let (served, stranger) = (Served::new(), Stranger::new());
    let keys = tempfile::tempdir().unwrap();
    copy(&served.path("keys"), &keys.path().join("keys"));
    let old = keys.path().join("old");
    copy(&served.path("releases/1.0.5"), &old);
    served.serves(&old);
    let keys = keys.path().join("keys").display().to_string();
    let said = ["serves one release by itself, and no `releases/index.json`", "--layout release", "give the base"];
    stranger.verify(&["1.0.5", &served.url, "--keys", &keys]).fails(2, &said);
    stranger.verify(&["1.0.5", &served.url, "--keys", &keys, "--layout", "release"]).ends_with(0);
    // What was downloaded lies there by its owner's own doing.
    stranger.verify(&["1.0.5", &old.display().to_string(), "--keys", &keys]).ends_with(0);
}

#[test]
fn what_a_clone_and_a_script_would_read() {
    let (served, stranger) = (Served::new(), Stranger::new());
    for path in ["objects/info/http-alternates", "objects/info/alternates"] {
        let path = served.path("git/sample.git").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "https://example.org/evil.git/objects\n").unwrap();
        stranger.verify(&["1.0.5", &served.url]).fails(6, &["sends git to another place for objects"]);
        fs::remove_file(&path).unwrap();
    }
    let latest = served.path("releases/latest");
    fs::write(&latest, "1.0.4\n").unwrap();
    stranger.verify(&["1.0.5", &served.url]).fails(6, &["`releases/latest` says `1.0.4`, the signed index 2.0.2"]);
    fs::write(&latest, "2.0.2\n").unwrap();
    stranger.verify(&["1.0.5", &served.url]).ends_with(0);
}

#[test]
fn another_certificate_in_the_place_of_one() {
    let (served, stranger) = (Served::new(), Stranger::new());
    let (alice, bob) = (certificate_of("alice"), certificate_of("bob"));
    fs::copy(served.path("keys").join(&bob), served.path("keys").join(&alice)).unwrap();
    stranger.verify(&["1.0.5", &served.url]).fails(6, &["holds the certificate"]);
}

#[test]
fn a_revocation_that_was_seen_once_stays() {
    let (served, stranger) = (Served::new(), Stranger::new());
    let path = served.path("keys").join(certificate_of("bob"));
    let stripped = fs::read(&path).unwrap();
    fs::write(&path, revoked(&released().key("bob"))).unwrap();
    stranger.verify(&["1.0.5", &served.url]).fails(6, &["is revoked"]);
    fs::write(&path, &stripped).unwrap();
    stranger.verify(&["1.0.5", &served.url]).fails(6, &["is revoked"]);
    stranger.run(&["trust", "pin", &digest(), &served.url]).ends_with(0);
    let shown = stranger.run(&["trust", "show", "--keys", &served.url]).ends_with(0).stdout;
    assert!(shown.contains("REVOKED"), "{shown}");
    // Somebody else's home never saw it.
    Stranger::new().verify(&["1.0.5", &served.url]).ends_with(0);
}

#[test]
fn a_revocation_by_somebody_else_is_none() {
    let (served, stranger) = (Served::new(), Stranger::new());
    let path = served.path("keys").join(certificate_of("bob"));
    let good = fs::read(&path).unwrap();
    let mut carol = signer(&released().key("carol"));
    let bob = pgp::Cert::from_bytes(&good).unwrap();
    let forged = pgp::cert::CertRevocationBuilder::new()
        .set_reason_for_revocation(pgp::types::ReasonForRevocation::KeyCompromised, b"")
        .unwrap()
        .build(&mut carol, &bob, None)
        .unwrap();
    let forged = bob.insert_packets(forged).unwrap().0.armored().to_vec().unwrap();
    fs::write(&path, forged).unwrap();
    stranger.verify(&["1.0.5", &served.url]).ends_with(0);
    fs::write(&path, good).unwrap();
    stranger.verify(&["1.0.5", &served.url]).ends_with(0);
}

/// Bob let Carol revoke his certificate. Anybody can write a signature that says it is hers, and nobody checks those: in a
/// directory that people look after it is believed, from a server it is not.
#[test]
fn a_revocation_in_the_name_of_a_designated_revoker_is_believed_in_a_directory_only() {
    let (served, stranger) = (Served::new(), Stranger::new());
    let path = served.path("keys").join(certificate_of("bob"));
    let good = fs::read(&path).unwrap();
    let bob = pgp::Cert::from_bytes(&good).unwrap();
    let carol = pgp::Cert::from_bytes(&fs::read(released().key("carol")).unwrap()).unwrap();
    let key = bob.primary_key().key();
    let direct = pgp::packet::signature::SignatureBuilder::new(pgp::types::SignatureType::DirectKey)
        .set_revocation_key((&carol).into())
        .unwrap()
        .sign_direct_key(&mut signer(&released().key("bob")), None)
        .unwrap();
    let forged = pgp::packet::signature::SignatureBuilder::new(pgp::types::SignatureType::KeyRevocation)
        .set_reason_for_revocation(pgp::types::ReasonForRevocation::KeyCompromised, b"")
        .unwrap()
        .set_issuer_fingerprint(carol.fingerprint())
        .unwrap()
        .sign_direct_key(&mut signer(&released().key("alice")), key)
        .unwrap();
    let cert = bob.clone().insert_packets(vec![direct, forged]).unwrap().0;
    fs::write(&path, cert.armored().to_vec().unwrap()).unwrap();
    stranger.verify(&["1.0.5", &served.url]).ends_with(0);
    let keys = served.path("keys").display().to_string();
    Stranger::new().verify(&["1.0.5", &served.url, "--keys", &keys]).fails(6, &["is revoked"]);
}

#[test]
fn a_store_keeps_what_its_certificates_said() {
    let train = SampleTrain::new();
    train.to_the_gate();
    // Another machine published a revocation of carol, who does not sign here; this one never saw it.
    let keys = train.store().join("keys");
    fs::create_dir_all(&keys).unwrap();
    let root = fs::read_to_string(train.project().join("keys/trust.json")).unwrap();
    let root: serde_json::Value = serde_json::from_str(&root).unwrap();
    let carol = keys.join(format!("{}.asc", root["people"]["carol"]["certificates"][0].as_str().unwrap()));
    fs::write(&carol, revoked(&train.key("carol"))).unwrap();
    train.release();
    let cert = pgp::Cert::from_bytes(&fs::read(&carol).unwrap()).unwrap();
    let policy = pgp::policy::StandardPolicy::new();
    assert!(matches!(cert.revocation_status(&policy, None), pgp::types::RevocationStatus::Revoked(_)));
}

fn signer(key: &Path) -> pgp::crypto::KeyPair {
    let secret = pgp::Cert::from_bytes(&fs::read(key).unwrap()).unwrap();
    secret.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap()
}

/// The certificate of a key, revoked for good by itself.
fn revoked(key: &Path) -> Vec<u8> {
    let secret = pgp::Cert::from_bytes(&fs::read(key).unwrap()).unwrap();
    let revocation = pgp::cert::CertRevocationBuilder::new()
        .set_reason_for_revocation(pgp::types::ReasonForRevocation::KeyCompromised, b"")
        .unwrap()
        .build(&mut signer(key), &secret, None)
        .unwrap();
    secret.strip_secret_key_material().insert_packets(revocation).unwrap().0.armored().to_vec().unwrap()
}
