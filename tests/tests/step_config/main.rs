//! `step_config`: a step-ca `ca.json` is read as step reads it, its keys are opened and compared with its certificate.

mod dialect;
mod files;
mod refusals;
mod services;
