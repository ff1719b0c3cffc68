//! Raw digital signatures over files, and their check: with the service or with the public key alone.

#[path = "shared/exit.rs"]
mod exit;
#[path = "shared/input.rs"]
mod input;
#[path = "shared/outputs.rs"]
mod outputs;
#[path = "shared/prompt.rs"]
mod prompt;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{ArgGroup, Parser};
use kmskit::{
    Digest, Error, ErrorKind, HashAlgorithm, KeyManager, KeyUri, OpenOptions, PublicKey, Result, SignatureAlgorithm,
    block_on,
};

/// What services take to sign as it is; a longer file is signed by its digest.
const SHORT: u64 = 4096;

/// Sign a file with the key at a URI, or verify a signature.
///
/// A signature is written in binary, as X.509 and OpenSSL have it: DER for ECDSA, plain octets for RSA, Ed25519 and
/// ML-DSA. A file of more than 4 KiB is hashed as it is read, whatever its size, and its digest is signed; the signature
/// is the same. Ed25519 and ML-DSA sign the file itself, which must then fit into memory.
#[derive(Debug, Parser)]
#[command(version, after_help = format!("\
Example:
  sign_file sign --key 'softkms:name=release;dir=keys' --out firmware.sig firmware.bin
  sign_file verify --remote 'softkms:name=release;dir=keys' --signature firmware.sig firmware.bin
  sign_file verify --public-key releases.pub --signature firmware.sig firmware.bin

{}", exit::EXIT_CODES))]
enum Arguments {
    /// Sign a file: one call to the key's device or service
    Sign {
        /// The key; `;alg=rsa-pss-sha256` in it states how an RSA key signs
        #[arg(long, alias = "remote", value_name = "URI")]
        key: KeyUri,
        /// New file for the signature
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// What is signed
        file: PathBuf,
    },
    /// Verify a signature: prints OK, or ends with exit code 1
    #[command(group(ArgGroup::new("whose").required(true).args(["remote", "public_key"])))]
    Verify {
        /// Ask the device or service for the public key of this URI
        #[arg(long, value_name = "URI")]
        remote: Option<KeyUri>,
        /// Take the public key from a PEM file; no device or service is needed
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
        /// ecdsa-sha256, rsa-pkcs1-sha256, rsa-pss-sha512 … [default: what the URI says, else what the key's type says]
        #[arg(long, value_name = "ALGORITHM")]
        alg: Option<SignatureAlgorithm>,
        /// The signature
        #[arg(long, value_name = "FILE")]
        signature: PathBuf,
        /// What was signed
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    exit::exit(match exit::arguments() {
        Arguments::Sign { key, out, file } => sign(&key, &out, &file),
        Arguments::Verify { remote, public_key, alg, signature, file } => {
            whose(remote.as_ref(), public_key.as_deref(), alg)
                .and_then(|(key, algorithm)| verify(&key, algorithm, &signature, &file))
        }
    })
}

fn sign(key: &KeyUri, out: &Path, file: &Path) -> Result<()> {
    outputs::check_absent(out)?;
    let signer = block_on(open(key)?.signer(key, None))?;
    let signature = match Content::read(file, signer.algorithm().hash())? {
        Content::Whole(message) => block_on(signer.sign(&message))?,
        Content::Digest(digest) => block_on(signer.sign_digest(digest.as_bytes()))?,
    };
    outputs::write_new(Some(out), signature.as_bytes())
}

fn verify(key: &PublicKey, algorithm: SignatureAlgorithm, signature: &Path, file: &Path) -> Result<()> {
    let signature = input::octets(signature)?;
    match Content::read(file, algorithm.hash())? {
        Content::Whole(message) => key.verify(algorithm, &message, &signature)?,
        Content::Digest(digest) => key.verify_digest(algorithm, &digest, &signature)?,
    }
    outputs::write_new(None, b"OK\n")
}

/// The key to verify with, and the algorithm that is stated or goes with its type.
fn whose(
    remote: Option<&KeyUri>,
    local: Option<&Path>,
    alg: Option<SignatureAlgorithm>,
) -> Result<(PublicKey, SignatureAlgorithm)> {
    let (key, stated) = match (remote, local) {
        (Some(uri), _) => (block_on(open(uri)?.public_key(uri))?, SignatureAlgorithm::stated(uri, alg)?),
        (None, Some(path)) => {
            let text = String::from_utf8_lossy(&input::octets(path)?).into_owned();
            (PublicKey::from_pem(&text).map_err(|error| error.in_context(path.display()))?, alg)
        }
        (None, None) => return Err(Error::new(ErrorKind::InvalidArgument, "no key to verify with")),
    };
    let algorithm = key.key_type().settle(stated)?;
    Ok((key, algorithm))
}

fn open(uri: &KeyUri) -> Result<Arc<dyn KeyManager>> {
    block_on(kmskit::registry().with_options(prompt::ask_on_terminal(OpenOptions::default())).open(uri))
}

/// What is given to a key to sign.
enum Content {
    Whole(Vec<u8>),
    Digest(Digest),
}

impl Content {
    /// Reads a file: whole where it is short or there is no hash, else only its digest.
    fn read(path: &Path, hash: Option<HashAlgorithm>) -> Result<Self> {
        let failed = |error: io::Error| input::cannot_read(path, error);
        let mut file = input::stream(path)?;
        let mut start = Vec::new();
        file.by_ref().take(SHORT + 1).read_to_end(&mut start).map_err(failed)?;
        match hash {
            Some(hash) if start.len() as u64 > SHORT => {
                hash.digest_reader(start.chain(file)).map(Self::Digest).map_err(failed)
            }
            _ => {
                file.read_to_end(&mut start).map_err(failed)?;
                Ok(Self::Whole(start))
            }
        }
    }
}
