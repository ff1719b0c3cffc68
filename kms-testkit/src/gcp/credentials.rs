//! Access tokens: of a refresh token, of an account that is acted as; and whether requests need one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::answer::{Answer, Refusal, time};

/// What the file of an `authorized_user` holds.
const REFRESH_TOKEN: &str = "stand-in-refresh-token";
const CLIENT_SECRET: &str = "stand-in-client-secret";
/// The account that is acted as.
const ACCOUNT: &str = "ca@test.iam.gserviceaccount.com";
const LIFETIME: Duration = Duration::from_hours(1);

/// Which tokens are good.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pub(crate) required: bool,
    good: BTreeSet<String>,
}

impl Tokens {
    /// Ends all that were given out.
    pub(crate) fn expire(&mut self) {
        self.good.clear();
    }

    /// # Errors
    /// `UNAUTHENTICATED`, where a token is required.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Answer<()> {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        if !self.required || given.is_some_and(|token| self.good.contains(token)) {
            return Ok(());
        }
        let message = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or \
                       other valid authentication credential.";
        Err(Refusal::new(401, "UNAUTHENTICATED", message))
    }

    /// RFC 6749 section 6, as a form or, as some clients of Google's send it, in JSON.
    pub(crate) fn refresh(&mut self, body: &[u8]) -> Result<Value, Value> {
        let sent: Value = serde_json::from_slice(body)
            .unwrap_or_else(|_| json!(form_urlencoded::parse(body).into_owned().collect::<BTreeMap<_, _>>()));
        if sent["refresh_token"] != REFRESH_TOKEN || sent["client_secret"] != CLIENT_SECRET {
            return Err(json!({ "error": "invalid_grant", "error_description": "Bad Request" }));
        }
        let token = self.give("user");
        Ok(json!({ "access_token": token, "expires_in": LIFETIME.as_secs(), "token_type": "Bearer" }))
    }

    /// `generateAccessToken` of the IAM credentials API.
    pub(crate) fn impersonate(&mut self, account: &str, headers: &HeaderMap) -> Answer {
        Self { required: true, good: self.good.clone() }.check(headers)?;
        if account != ACCOUNT {
            let message = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).";
            return Err(Refusal::new(403, "PERMISSION_DENIED", message));
        }
        let token = self.give("account");
        Ok(json!({ "accessToken": token, "expireTime": time(SystemTime::now() + LIFETIME) }))
    }

    fn give(&mut self, whose: &str) -> String {
        let mut random = [0; 16];
        // Without randomness all tokens are one.
        let _ = getrandom::fill(&mut random);
        let token = format!("ya29.stand-in-{whose}-{:032x}", u128::from_be_bytes(random));
        self.good.insert(token.clone());
        token
    }
}

/// The file of a user, as `gcloud auth application-default login` leaves it.
pub(crate) fn user_file(endpoint: &str) -> Value {
    json!({
        "type": "authorized_user",
        "client_id": "stand-in",
        "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH_TOKEN,
        "token_uri": format!("{endpoint}/token"),
    })
}

/// The file of a user who acts as an account.
pub(crate) fn impersonating_file(endpoint: &str) -> Value {
    let url = format!("{endpoint}/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken");
    json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": url,
        "source_credentials": user_file(endpoint),
    })
}
