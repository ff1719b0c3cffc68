//! `certificate_maker`: Sigstore's six published templates unchanged, judged by OpenSSL and GnuTLS; and what it refuses.

mod chains;
mod environment;
mod existing;
mod refusals;
mod templates;
