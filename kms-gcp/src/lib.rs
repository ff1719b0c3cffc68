//! Signing keys in Google Cloud KMS. In the works.

#![forbid(unsafe_code)]
