//! `timestamp_server`, judged by `openssl ts`, on every backend.

mod authority;
mod client;
mod hostile;
mod load;
mod made;
mod refusals;
mod stamps;
