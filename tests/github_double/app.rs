//! A GitHub App's side of the double: checks the JWT by which an app says who it is, and hands out installation tokens.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// An app that is installed on the repository's owner.
#[derive(Debug, Clone)]
pub struct App {
    /// The client id: `iss` of its JWTs.
    pub id: String,
    /// The number of the installation.
    pub installation: u64,
    /// Its public key, DER (RFC 8017 `RSAPublicKey`).
    pub public_key: Vec<u8>,
    /// How long a token is good for.
    pub life: SignedDuration,
    /// Every token that was handed out, and until when it is good; those that were taken back are not among them.
    pub tokens: Vec<(String, Timestamp)>,
    /// How many were handed out.
    pub granted: u32,
    /// Every JWT that came in, good or not.
    pub assertions: Vec<String>,
}

impl App {
    /// An app with this public key.
    pub fn new(public_key: Vec<u8>) -> Self {
        let (tokens, assertions, granted) = (Vec::new(), Vec::new(), 0);
        let life = SignedDuration::from_hours(1);
        Self { id: "Iv23liDouble".into(), installation: 4711, public_key, life, tokens, granted, assertions }
    }

    /// What is wrong with a JWT, as GitHub judges it.
    pub fn judge(&mut self, jwt: &str, now: Timestamp) -> Result<(), String> {
        self.assertions.push(jwt.to_owned());
        let parts: Vec<&str> = jwt.split('.').collect();
        let [header, claims, signature] = parts[..] else { return Err("no JWT".into()) };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|e| e.to_string());
        let json = |part: &str| serde_json::from_slice::<Value>(&decode(part)?).map_err(|e| e.to_string());
        if json(header)?["alg"] != "RS256" {
            return Err("another algorithm than RS256".into());
        }
        let signed = format!("{header}.{claims}");
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key)
            .verify(signed.as_bytes(), &decode(signature)?)
            .map_err(|_| "the signature is not the app's".to_owned())?;
        let claims = json(claims)?;
        let number = |name: &str| claims[name].as_i64().ok_or_else(|| format!("no `{name}`"));
        let (iat, exp, now) = (number("iat")?, number("exp")?, now.as_second());
        match () {
            () if claims["iss"] != *self.id => Err("another `iss`".into()),
            () if iat > now => Err("issued in the future".into()),
            () if exp <= now => Err("expired".into()),
            () if exp > now + 600 => Err("`exp` is too far in the future".into()),
            () => Ok(()),
        }
    }

    /// Hands out a token.
    pub fn grant(&mut self, now: Timestamp) -> (String, Timestamp) {
        self.granted += 1;
        let token = format!("ghs_canary_installation_{:032}", self.granted);
        // GitHub says whole seconds.
        let until = Timestamp::from_second(now.checked_add(self.life).unwrap().as_second()).unwrap();
        self.tokens.push((token.clone(), until));
        (token, until)
    }

    /// Whether a request with this header is authorized.
    pub fn takes(&self, authorization: &str, now: Timestamp) -> bool {
        let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
        self.tokens.iter().any(|(t, until)| t == token && now < *until)
    }
}
