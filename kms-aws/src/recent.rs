//! What was created just now. AWS KMS may for some seconds not know it everywhere; of other keys, "not found" means that.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kms_core::Deadline;

use crate::error::Fault;
use crate::key_id::KeyId;

/// How long "not found" is not believed of what was created.
const SETTLES: Duration = Duration::from_mins(1);
/// The first pause before asking again.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// ARNs and aliases, and when they were created.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<BTreeMap<String, Instant>>);

impl Recent {
    pub(crate) fn note(&self, name: &str) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.retain(|_, since| since.elapsed() < SETTLES);
        names.insert(name.to_owned(), Instant::now());
    }

    /// Asks again while a key that was created just now is not found.
    ///
    /// # Errors
    /// The last fault.
    pub(crate) async fn settled<T, A>(
        &self,
        key: &KeyId,
        deadline: Deadline,
        mut ask: impl FnMut() -> A,
    ) -> Result<T, Fault>
    where
        A: Future<Output = Result<T, Fault>>,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            match ask().await {
                Err(fault) if fault.is_not_found() && self.has(key) && pause < deadline.remaining() => {
                    tracing::debug!(%key, ?pause, "created just now and not found yet, will try again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                other => return other,
            }
        }
    }

    fn has(&self, key: &KeyId) -> bool {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().any(|(name, since)| {
            let same = name == key.as_str() || matches!(key, KeyId::Key(_)) && key.may_be(name);
            same && since.elapsed() < SETTLES
        })
    }
}
