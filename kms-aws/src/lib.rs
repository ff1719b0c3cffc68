//! Signing keys in AWS KMS. In the works.

#![forbid(unsafe_code)]
