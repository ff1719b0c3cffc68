//! Who may send requests.

use std::fmt;

/// What a client signs its requests with. `Debug` shows the access key alone.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// Its name, which requests carry.
    pub access_key_id: String,
    /// The key of its signatures.
    pub secret_access_key: String,
    /// What temporary credentials have besides, and every request repeats.
    pub session_token: Option<String>,
    /// The account whose keys it uses: 12 digits.
    pub account: String,
}

impl Credentials {
    /// Those that a new server knows: the examples of the service's documentation, for account 111122223333.
    pub fn example() -> Self {
        Self::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "111122223333")
    }

    /// Permanent ones.
    pub fn new(
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
        account: impl Into<String>,
    ) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: secret_access_key.into(),
            session_token: None,
            account: account.into(),
        }
    }

    /// A file of the AWS tools with these as the default profile.
    pub fn to_file(&self) -> String {
        let (id, secret) = (&self.access_key_id, &self.secret_access_key);
        let token = self.session_token.as_ref().map(|token| format!("aws_session_token = {token}\n"));
        let token = token.unwrap_or_default();
        format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n{token}")
    }

    /// Makes them temporary.
    #[must_use]
    pub fn with_session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(token.into());
        self
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}
