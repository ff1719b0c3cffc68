//! A small Cloud KMS, shared by the tests.

#[path = "partition.rs"]
mod partition;
#[path = "server.rs"]
mod server;
#[path = "store.rs"]
mod store;

pub(crate) use server::StandIn;
#[allow(unused_imports, reason = "not every test twists")]
pub(crate) use server::Twist;
