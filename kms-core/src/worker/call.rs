//! One call, between its caller and its thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use futures_channel::oneshot;

use super::lock;
use crate::Result;

/// A call of any type.
pub(super) trait Task: Send {
    /// Carries the call out. False when its caller had given up meanwhile, and with it the thread.
    fn carry_out(self: Box<Self>) -> bool;
}

/// A call that has not been made yet.
pub(super) struct Call<T, W> {
    pub(super) work: W,
    pub(super) sender: oneshot::Sender<Result<T>>,
    pub(super) stage: Arc<Mutex<Stage>>,
}

impl<T: Send, W: FnOnce() -> Result<T> + Send> Task for Call<T, W> {
    fn carry_out(self: Box<Self>) -> bool {
        let Self { work, sender, stage } = *self;
        if std::mem::replace(&mut *lock(&stage), Stage::Running) == Stage::Abandoned {
            *lock(&stage) = Stage::Abandoned;
            return true; // Withdrawn before it began; the thread is as good as new.
        }
        let result = catch_unwind(AssertUnwindSafe(work));
        let still_wanted = {
            let mut stage = lock(&stage);
            let wanted = *stage != Stage::Abandoned;
            if wanted {
                *stage = Stage::Done;
            }
            wanted
        };
        // A panic in the call drops the sender, which the caller sees. What nobody takes may panic when it is dropped.
        let _ = catch_unwind(AssertUnwindSafe(|| match result {
            Ok(result) if still_wanted => drop(sender.send(result)),
            other => drop(other),
        }));
        still_wanted
    }
}

/// Where a call is, as its caller and its thread must agree.
#[derive(PartialEq, Eq)]
pub(super) enum Stage {
    Queued,
    Running,
    Done,
    Abandoned,
}
