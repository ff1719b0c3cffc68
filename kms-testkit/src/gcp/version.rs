//! A version's record: its algorithm, its private key, and its state.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::algorithm::Algorithm;
use super::answer::{Answer, precondition, time};
use crate::material::Material;

pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) algorithm: &'static Algorithm,
    pub(crate) protection_level: &'static str,
    /// As the reference names it; what is pending is known by `pending`.
    state: &'static str,
    /// How many looks at it find it pending.
    pending: usize,
    created: SystemTime,
    /// There is none once it is destroyed, and none of what failed.
    material: Option<Arc<Material>>,
    /// What it is when it is external, for its manager.
    external_key: Value,
    imported: Option<Imported>,
    /// When it is gone, or was.
    destroy: Option<SystemTime>,
}

/// Where a version came from that was not generated.
pub(crate) struct Imported {
    pub(crate) job: String,
    /// Why it failed.
    pub(crate) failure: Option<&'static str>,
}

impl Version {
    pub(crate) fn new(name: String, algorithm: &'static Algorithm, protection_level: &'static str) -> Self {
        Self {
            name,
            algorithm,
            protection_level,
            state: "ENABLED",
            pending: 0,
            created: SystemTime::now(),
            material: None,
            external_key: Value::Null,
            imported: None,
            destroy: None,
        }
    }

    /// With the private key, which is there after some looks.
    pub(crate) fn with_material(mut self, material: Arc<Material>, pending: usize) -> Self {
        (self.material, self.pending) = (Some(material), pending);
        self
    }

    pub(crate) fn with_external_key(mut self, options: Value) -> Self {
        self.external_key = options;
        self
    }

    pub(crate) fn with_import(mut self, imported: Imported) -> Self {
        if imported.failure.is_some() {
            self.state = "IMPORT_FAILED";
        }
        self.imported = Some(imported);
        self
    }

    pub(crate) fn is_external(&self) -> bool {
        self.protection_level.starts_with("EXTERNAL")
    }

    /// One look less until it is there.
    pub(crate) fn look(&mut self) {
        self.pending = self.pending.saturating_sub(1);
    }

    /// The private key, if the version may be used. A look.
    pub(crate) fn usable(&mut self) -> Answer<Arc<Material>> {
        let state = self.state();
        self.look();
        match &self.material {
            Some(material) if state == "ENABLED" => Ok(Arc::clone(material)),
            _ => precondition(
                &format!("KEY_{state}"),
                &self.name,
                format!("{} is not enabled, current state is: {state}.", self.name),
            ),
        }
    }

    /// DER `SubjectPublicKeyInfo`, if there is a key pair.
    pub(crate) fn public_key(&self) -> Answer<Option<Vec<u8>>> {
        Ok(self.material.as_ref().map(|material| material.spki()).transpose()?)
    }

    /// Switches it on or off.
    pub(crate) fn switch(&mut self, to: &'static str) -> Answer<()> {
        self.change(&["ENABLED", "DISABLED"], &["ENABLED", "DISABLED"], to)
    }

    pub(crate) fn schedule_destruction(&mut self, after: Duration) -> Answer<()> {
        let able = ["ENABLED", "DISABLED", "IMPORT_FAILED", "GENERATION_FAILED"];
        self.change(&able, &["DESTROY_SCHEDULED"], "DESTROY_SCHEDULED")?;
        self.destroy = Some(SystemTime::now() + after);
        Ok(())
    }

    pub(crate) fn restore(&mut self) -> Answer<()> {
        self.change(&["DESTROY_SCHEDULED"], &["DISABLED"], "DISABLED")?;
        self.destroy = None;
        Ok(())
    }

    fn change(&mut self, from: &[&str], possible: &[&'static str], to: &'static str) -> Answer<()> {
        let state = self.state();
        if !from.contains(&state) || !possible.contains(&to) {
            return precondition(
                &format!("KEY_{state}"),
                &self.name,
                format!("{} cannot become {to}, current state is: {state}.", self.name),
            );
        }
        self.state = to;
        Ok(())
    }

    fn is_gone(&self) -> bool {
        self.destroy.is_some_and(|due| due <= SystemTime::now())
    }

    pub(crate) fn state(&self) -> &'static str {
        match (self.pending, &self.imported) {
            (0, _) if self.is_gone() => "DESTROYED",
            (0, _) => self.state,
            (_, None) => "PENDING_GENERATION",
            (_, Some(_)) => "PENDING_IMPORT",
        }
    }

    /// As lists have it: without an attestation.
    pub(crate) fn describe(&self) -> Value {
        let mut answer = json!({
            "name": self.name,
            "state": self.state(),
            "protectionLevel": self.protection_level,
            "algorithm": self.algorithm.name,
            "createTime": time(self.created),
        });
        let there = self.pending == 0 && self.state != "IMPORT_FAILED";
        match &self.imported {
            None if there => answer["generateTime"] = time(self.created),
            None => {}
            Some(imported) => {
                answer["importJob"] = imported.job.as_str().into();
                if there {
                    answer["importTime"] = time(self.created);
                }
                if let Some(failure) = imported.failure {
                    answer["importFailureReason"] = failure.into();
                }
            }
        }
        if let Some(due) = self.destroy {
            answer[if self.is_gone() { "destroyEventTime" } else { "destroyTime" }] = time(due);
        }
        if !self.external_key.is_null() {
            answer["externalProtectionLevelOptions"] = self.external_key.clone();
        }
        answer
    }
}
