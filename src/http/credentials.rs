//! What a request authorizes itself with: a token as it is, or one that is fetched for a GitHub App and kept until shortly
//! before it expires (docs.github.com, "Authenticating as a GitHub App installation").

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};

use super::AppSpec;
use crate::error::{Context as _, Error, Result};
use crate::model::Secret;

/// A fetched token is not used any more this long before it expires: an upload may take a while.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// A JWT begins in the past, because this machine's clock may be ahead of GitHub's …
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// … and lasts less than the ten minutes that GitHub allows.
const LIFE: SignedDuration = SignedDuration::from_mins(8);

/// The header that authorizes a request, and until when it does; no `Debug` shows it.
struct Bearer {
    header: HeaderValue,
    until: Option<Timestamp>,
}

/// The header that is in use.
#[derive(Default)]
pub(crate) struct CachedBearer(Mutex<Option<Bearer>>);

impl CachedBearer {
    fn lock(&self) -> MutexGuard<'_, Option<Bearer>> {
        self.0.lock()
    }

    /// The header, if it lasts for another while.
    pub(crate) fn get(&self, now: Timestamp) -> Option<HeaderValue> {
        let lasts = |b: &&Bearer| b.until.is_none_or(|until| now < until.checked_sub(MARGIN).unwrap_or(until));
        self.lock().as_ref().filter(lasts).map(|b| b.header.clone())
    }

    /// Keeps a token, until it expires if it does.
    ///
    /// # Errors
    /// A token that no header can hold; the error says nothing of it.
    pub(crate) fn put(
        &self,
        forge: &str,
        scheme: &str,
        token: &Secret,
        until: Option<Timestamp>,
    ) -> Result<HeaderValue> {
        let header = authorization(forge, scheme, token)?;
        *self.lock() = Some(Bearer { header: header.clone(), until });
        Ok(header)
    }

    /// Forgets a fetched token that was refused; whether there was one. A token as it is would only be refused again.
    pub(crate) fn forget(&self, refused: &HeaderValue) -> bool {
        let mut kept = self.lock();
        let fetched = kept.as_ref().is_some_and(|b| b.until.is_some() && b.header == *refused);
        if fetched {
            *kept = None;
        }
        fetched
    }
}

/// `Bearer …` as a header that no `Debug` shows.
pub(crate) fn authorization(forge: &str, scheme: &str, token: &Secret) -> Result<HeaderValue> {
    // The parser's error would carry nothing of the token, but neither is it needed.
    let mut value = HeaderValue::from_str(&format!("{scheme} {}", token.expose()))
        .map_err(|_| Error::input(format!("the token of forge `{forge}` is not one line of plain text")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `POST /app/installations/{installation_id}/access_tokens`: no more than this one repository.
#[derive(Serialize)]
pub(crate) struct TokenRequest<'a> {
    pub(crate) repositories: [&'a str; 1],
}

/// Its answer. No `Debug`: it holds the token.
#[derive(Deserialize)]
pub(crate) struct Granted {
    pub(crate) token: String,
    pub(crate) expires_at: Timestamp,
}

/// The JWT (RFC 7519, RS256) by which an app says who it is: valid around `now`, to be used once.
///
/// # Errors
/// A key that is none; the error says nothing of it.
pub(crate) fn assertion(forge: &str, app: &AppSpec, key: &Secret, now: Timestamp) -> Result<Secret> {
    #[derive(Serialize)]
    struct Claims<'a> {
        iat: i64,
        exp: i64,
        iss: &'a str,
    }
    let at = |t: std::result::Result<Timestamp, jiff::Error>| t.context("the clock is out of range");
    let claims = Claims {
        iat: at(now.checked_sub(SKEW))?.as_second(),
        exp: at(now.checked_add(LIFE))?.as_second(),
        iss: &app.id,
    };
    let claims = serde_json::to_vec(&claims).context("cannot write the claims of a JWT")?;
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"RS256","typ":"JWT"}"#);
    let text = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let pair = key_pair(key).ok_or_else(|| {
        Error::input(format!("`app.private_key` of forge `{forge}` is not an RSA private key"))
            .hint("expected the PEM file that GitHub gives when a private key is made in the app's settings")
    })?;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .map_err(|_| Error::fatal(format!("`app.private_key` of forge `{forge}` cannot sign")))?;
    Ok(Secret::new(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

/// The key in a PEM file: PKCS#1, as GitHub gives it, or PKCS#8.
fn key_pair(pem: &Secret) -> Option<RsaKeyPair> {
    let lines = pem.expose().lines().map(str::trim).skip_while(|l| !l.starts_with("-----BEGIN "));
    let body: String = lines.skip(1).take_while(|l| !l.starts_with("-----END ")).collect();
    let der = STANDARD.decode(body).ok()?;
    RsaKeyPair::from_der(&der).or_else(|_| RsaKeyPair::from_pkcs8(&der)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetched_token_is_kept_until_shortly_before_it_expires_and_forgotten_when_refused() {
        let at = |s: i64| Timestamp::from_second(s).unwrap();
        let kept = CachedBearer::default();
        assert!(kept.get(at(0)).is_none());
        let header = kept.put("github", "Bearer", &Secret::new("ghs_1"), Some(at(3_600))).unwrap();
        assert_eq!(format!("{header:?}"), "Sensitive");
        assert_eq!(kept.get(at(3_299)), Some(header.clone()));
        assert_eq!(kept.get(at(3_300)), None);
        assert!(!kept.forget(&HeaderValue::from_static("Bearer other")), "another one, fetched meanwhile, stays");
        assert!(kept.forget(&header));
        assert_eq!(kept.get(at(0)), None);
        let fixed = kept.put("github", "Bearer", &Secret::new("ghp_1"), None).unwrap();
        assert!(!kept.forget(&fixed), "a token as it is would only be refused again");
        assert_eq!(kept.get(at(100_000_000_000)), Some(fixed));
    }

    #[test]
    fn what_is_not_a_key_is_refused_without_being_shown() {
        let app =
            AppSpec { id: "Iv1.a".into(), installation: 1, private_key: crate::model::SecretRef::Env("K".into()) };
        for text in ["hunter2", "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----"] {
            let e = assertion("github", &app, &Secret::new(text), Timestamp::UNIX_EPOCH).unwrap_err();
            assert!(e.message().contains("app.private_key") && !e.report().contains("hunter2"), "{}", e.report());
        }
    }
}
