//! Key types and signature algorithms: names, sizes and object identifiers, each in one table.

mod key_type;
mod oid;
mod signature_algorithm;

pub use self::key_type::KeyType;
pub use self::signature_algorithm::SignatureAlgorithm;
