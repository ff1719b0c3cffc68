//! The locks of the pool. Its test `interleavings` puts others in their place, which a scheduler drives.

pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
