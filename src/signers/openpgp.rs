//! Ed25519 secret keys in files, held in this process.

use std::io::Read;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use openpgp::cert::{CertBuilder, CipherSuite};
use openpgp::crypto::{KeyPair, Password};
use openpgp::packet::signature::SignatureBuilder;
use openpgp::parse::Parse as _;
use openpgp::policy::StandardPolicy;
use openpgp::serialize::SerializeInto as _;
use openpgp::types::{HashAlgorithm, KeyFlags, PublicKeyAlgorithm, RevocationStatus, SignatureType};
use openpgp::{Cert, Profile};
use sequoia_openpgp as openpgp;

use crate::effects::Signer;
use crate::error::{Context as _, Error, Result};
use crate::formats::openpgp::{Certificate, Hashed, armor, cause, hash_reader};
use crate::model::{Fingerprint, Secret};

/// A key that was just made.
pub struct GeneratedKey {
    /// The secret key, ASCII-armored; for a file that only its owner can read.
    pub secret_armored: Secret,
    /// The certificate, ASCII-armored.
    pub certificate_armored: String,
    /// The certificate's fingerprint.
    pub fingerprint: Fingerprint,
}

/// What [`generate_with`] makes.
#[derive(Debug, Clone)]
pub struct KeySpec<'a> {
    /// `Name <address>`.
    pub user_id: &'a str,
    /// When it says it was made.
    pub created: Timestamp,
    /// How long it is good; forever if none.
    pub valid_for: Option<Duration>,
    /// Protects the secret key.
    pub passphrase: Option<&'a Secret>,
    /// Whether it has a subkey to which messages can be encrypted.
    pub reads: bool,
}

/// Makes an Ed25519 version 4 key that certifies and signs, without expiry and passphrase.
///
/// # Errors
/// A time that OpenPGP cannot express.
pub fn generate(user_id: &str, created: Timestamp) -> Result<GeneratedKey> {
    generate_with(&KeySpec { user_id, created, valid_for: None, passphrase: None, reads: false })
}

/// Makes the same for a person: with a subkey to which messages can be encrypted.
///
/// # Errors
/// As [`generate`].
pub fn generate_for_person(user_id: &str, created: Timestamp) -> Result<GeneratedKey> {
    generate_with(&KeySpec { user_id, created, valid_for: None, passphrase: None, reads: true })
}

/// Makes an Ed25519 version 4 key that certifies and signs, and whose subkey reads messages if wanted.
///
/// # Errors
/// A time that OpenPGP cannot express.
pub fn generate_with(spec: &KeySpec<'_>) -> Result<GeneratedKey> {
    let what = format!("cannot make a key for `{}`", crate::model::escape(spec.user_id));
    let failed = |e: openpgp::anyhow::Error| Error::fatal(what.clone()).because(cause(&e));
    let builder = CertBuilder::new()
        .set_cipher_suite(CipherSuite::Cv25519)
        .set_profile(Profile::RFC4880)
        .map_err(failed)?
        .set_creation_time(SystemTime::from(spec.created))
        .set_validity_period(spec.valid_for)
        .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
        .set_password(spec.passphrase.map(|p| Password::from(p.expose())))
        .add_userid(spec.user_id);
    let builder = if spec.reads { builder.add_transport_encryption_subkey() } else { builder };
    let (cert, _revocation) = builder.generate().map_err(failed)?;
    let secret = cert.as_tsk().armored().to_vec().map_err(failed)?;
    let certificate = cert.clone().strip_secret_key_material().armored().to_vec().map_err(failed)?;
    Ok(GeneratedKey {
        secret_armored: Secret::new(String::from_utf8(secret).context(&what)?),
        certificate_armored: String::from_utf8(certificate).context(&what)?,
        fingerprint: cert.fingerprint().to_hex().parse()?,
    })
}

/// A secret key in this process.
pub struct SecretKey {
    certificate: Certificate,
    pair: KeyPair,
}

impl SecretKey {
    /// Reads a secret key, ASCII-armored or binary, and unlocks it; `name` is the file, for messages. `now` decides
    /// whether the key is good.
    ///
    /// # Errors
    /// A certificate without secret key, RSA and other algorithms, an expired or revoked key, a missing or wrong passphrase.
    pub fn parse(bytes: &[u8], name: &str, passphrase: Option<&Secret>, now: Timestamp) -> Result<Self> {
        let cert = Cert::from_bytes(bytes)
            .map_err(|e| Error::input(format!("`{name}` is not an OpenPGP secret key")).because(cause(&e)))?;
        if !cert.is_tsk() {
            return Err(Error::input(format!("`{name}` holds a certificate, no secret key")).hint(
                "export the secret key with `gpg --armor --export-secret-keys FINGERPRINT`, or sign through gpg",
            ));
        }
        let policy = StandardPolicy::at(SystemTime::from(now));
        let unusable = |why: String| {
            Error::input(format!("the key in `{name}` cannot sign now: {why}"))
                .detail(format!("certificate: {}", cert.fingerprint().to_hex()))
                .hint("name another key in `lifeboat.toml`, or extend this one and put its certificate into `keys/` again")
                .hint(format!("if it should be good now, this machine's clock may be wrong: it shows {now}"))
        };
        if cert.primary_key().key().creation_time() > SystemTime::from(now) {
            return Err(Error::input(format!("the key in `{name}` was made after {now}"))
                .detail(format!("certificate: {}", cert.fingerprint().to_hex()))
                .hint("this machine's clock may be behind: set it (`timedatectl` shows it)"));
        }
        let valid = cert.with_policy(&policy, SystemTime::from(now)).map_err(|e| unusable(cause(&e)))?;
        if !matches!(valid.revocation_status(), RevocationStatus::NotAsFarAsWeKnow) {
            return Err(unusable("it is revoked".into()));
        }
        valid.alive().map_err(|e| unusable(cause(&e)))?;
        let mut keys = valid.keys().for_signing().alive().revoked(false).secret();
        let key = keys.next().ok_or_else(|| unusable("it has no secret key that is good for signing".into()))?;
        if !matches!(key.key().pk_algo(), PublicKeyAlgorithm::EdDSA | PublicKeyAlgorithm::Ed25519) {
            // Software RSA leaks its key through timing (RUSTSEC-2023-0071).
            return Err(Error::input(format!(
                "the key in `{name}` is {}; only Ed25519 signs in this process",
                key.key().pk_algo()
            ))
            .hint(format!(
                "import it into gpg and name it in `lifeboat.toml`: gpg = \"{}\"",
                cert.fingerprint().to_hex()
            )));
        }
        if key.key().version() != 4 {
            return Err(Error::input(format!("the key in `{name}` has version {}", key.key().version()))
                .hint("use a version 4 key, whose signatures gpg 2.2 can verify"));
        }
        let mut key = key.key().clone();
        if key.secret().is_encrypted() {
            let passphrase = passphrase.ok_or_else(|| {
                Error::input(format!("the key in `{name}` needs a passphrase, and none is configured"))
                    .hint("add `passphrase = { env = \"NAME\" }`, `{ file = … }` or `{ command = […] }` to the key")
            })?;
            key = key.decrypt_secret(&Password::from(passphrase.expose())).map_err(|_| {
                Error::input(format!("wrong passphrase for the key in `{name}`"))
                    .hint("fix where `passphrase` of the key points to, and run the same command again")
            })?;
        }
        let pair = key
            .into_keypair()
            .map_err(|e| Error::input(format!("cannot use the key in `{name}`")).because(cause(&e)))?;
        let public = cert.clone().strip_secret_key_material();
        let bytes = public.to_vec().map_err(|e| Error::fatal("cannot write a certificate").because(cause(&e)))?;
        Ok(Self { certificate: Certificate::parse(&bytes, name)?, pair })
    }

    /// Signs a content that was hashed already; takes the same time whatever the content's size.
    pub fn sign_hashed(&self, content: &Hashed) -> Result<String> {
        self.sign_with(SignatureBuilder::new(SignatureType::Binary), content)
    }

    /// As [`SecretKey::sign_hashed`], dated `made`; for rehearsals.
    ///
    /// # Errors
    /// A time that OpenPGP cannot express, or one before the key was made.
    pub fn sign_hashed_at(&self, content: &Hashed, made: Timestamp) -> Result<String> {
        let builder = SignatureBuilder::new(SignatureType::Binary)
            .set_signature_creation_time(SystemTime::from(made))
            .map_err(|e| Error::fatal("cannot date a signature").because(cause(&e)))?;
        self.sign_with(builder, content)
    }

    fn sign_with(&self, builder: SignatureBuilder, content: &Hashed) -> Result<String> {
        let mut pair = self.pair.clone();
        let signature = builder
            .set_hash_algo(HashAlgorithm::SHA512)
            .sign_hash(&mut pair, content.context())
            .map_err(|e| Error::fatal(format!("cannot sign with {}", self.fingerprint())).because(cause(&e)))?;
        armor(signature)
    }
}

impl Signer for SecretKey {
    fn fingerprint(&self) -> String {
        self.certificate.fingerprint().to_string()
    }

    fn certificate(&self) -> Result<String> {
        self.certificate.armored()
    }

    fn sign(&self, data: &mut (dyn Read + Send)) -> Result<String> {
        let hashed = hash_reader(data, u64::MAX).context("cannot read what is to be signed")?;
        let hashed = hashed.ok_or_else(|| Error::fatal("what is to be signed has no end"))?;
        self.sign_hashed(&hashed)
    }
}
