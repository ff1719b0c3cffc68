//! Faults on demand.

use std::collections::BTreeMap;
use std::time::Duration;

/// How the server misbehaves.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Fault {
    /// Not at all.
    #[default]
    None,
    /// Refuses this share of requests with `ThrottlingException`: evenly spread.
    Throttle {
        /// Of a hundred.
        percent: u8,
    },
    /// Answers with this error before doing anything.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// `KMSInternalException`, `ExpiredTokenException`, …
        code: &'static str,
    },
    /// Answers rightly, but only after a time.
    Delay(Duration),
    /// Takes the request and never answers.
    Hang,
    /// Does what was asked, then closes the connection without an answer.
    Cut,
    /// Answers a page of HTML with status 200, as a captive portal does.
    Html,
    /// Turns over one bit of each signature.
    CorruptSignature,
    /// Lets another key of the same kind sign, but says that it was the right one.
    OtherKey,
    /// Says that another key has answered.
    OtherKeyId,
    /// Says that another algorithm was used.
    OtherAlgorithm,
}

/// Faults by operation, with the requests left for which they hold.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    by_operation: BTreeMap<String, (Fault, Option<usize>)>,
    throttled: u32,
}

impl Faults {
    pub(crate) fn set(&mut self, operation: &str, fault: Fault, times: Option<usize>) {
        self.by_operation.insert(operation.to_owned(), (fault, times));
    }

    pub(crate) fn clear(&mut self) {
        self.by_operation.clear();
    }

    /// The fault of this request.
    pub(crate) fn next(&mut self, operation: &str) -> Fault {
        let key = if self.by_operation.contains_key(operation) { operation } else { "*" };
        let Some((fault, times)) = self.by_operation.get_mut(key) else { return Fault::None };
        match times {
            Some(0) => return Fault::None,
            Some(times) => *times -= 1,
            None => {}
        }
        if let Fault::Throttle { percent } = fault {
            // By the golden ratio: never long runs, and no rhythm that clients could fall in with.
            self.throttled = self.throttled.wrapping_add(2_654_435_769);
            let share = (u64::from(self.throttled) * 100) >> 32;
            return if share < u64::from(*percent) { fault.clone() } else { Fault::None };
        }
        fault.clone()
    }
}
