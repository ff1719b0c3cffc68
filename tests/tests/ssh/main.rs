//! SSH certificates by `ssh_ca` and the adapter: judged by `ssh-keygen`, and by an `sshd` and an `ssh` that use them.

mod certificates;
mod refusals;
mod server;
mod signatures;
