//! Keys that want to be touched: somebody has to be told, and given time.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::device::Stage;
use crate::policy::TouchPolicy;

/// Told that a key waits to be touched.
pub trait TouchPrompt: fmt::Debug + Send + Sync {
    /// The key blinks. Called on the thread that waits for it, and once for each use; must return at once.
    fn touch(&self, request: &TouchRequest);
}

/// Which key waits to be touched.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TouchRequest {
    /// The serial of the device.
    pub serial: u32,
    /// The slot, as URIs write it: `9c`.
    pub slot: String,
}

/// How touches are asked for, and how long they may take.
#[derive(Clone, Debug)]
pub(crate) struct Touch {
    pub(crate) prompt: Option<Arc<dyn TouchPrompt>>,
    pub(crate) timeout: Duration,
}

/// A key whose touch is cached answers at once, or waits: after that time, it waits.
const CACHED: Duration = Duration::from_millis(500);

impl Default for Touch {
    fn default() -> Self {
        // A YubiKey itself gives up after 15 s.
        Self { prompt: None, timeout: Duration::from_secs(20) }
    }
}

impl Touch {
    /// Does `work`, which may wait for a touch, and says so to whoever is to be told.
    pub(crate) fn during<T>(
        &self,
        policy: TouchPolicy,
        request: &TouchRequest,
        stage: &Stage,
        work: impl FnOnce() -> T,
    ) -> T {
        if policy == TouchPolicy::Never {
            return work();
        }
        stage.set(Stage::TOUCH);
        let done = match (&self.prompt, policy) {
            (None, _) => work(),
            (Some(prompt), TouchPolicy::Always) => {
                prompt.touch(request);
                work()
            }
            (Some(prompt), _) => std::thread::scope(|scope| {
                let (finished, wait) = channel::<()>();
                scope.spawn(move || {
                    if wait.recv_timeout(CACHED) == Err(RecvTimeoutError::Timeout) {
                        prompt.touch(request);
                    }
                });
                let done = work();
                drop(finished);
                done
            }),
        };
        stage.touched();
        done
    }
}
