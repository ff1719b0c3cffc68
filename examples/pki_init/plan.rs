//! Which key is made where, and the making.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use kmskit::{
    Error, ErrorKind, KeyManager, KeySpec, KeyType, KeyUri, OpenOptions, PublicKey, Registry, Result, Signer,
};

use crate::{Arguments, prompt, ssh};

/// Which key is made where.
pub(crate) struct Plan {
    registry: Registry,
    keys: Vec<Planned>,
    existing_keys: bool,
}

struct Planned {
    name: &'static str,
    uri: KeyUri,
    key_type: KeyType,
}

/// A key that is there, and its signer.
pub(crate) struct Ready {
    pub(crate) uri: KeyUri,
    pub(crate) public_key: PublicKey,
    pub(crate) signer: Arc<dyn Signer>,
}

impl Plan {
    pub(crate) fn new(arguments: &Arguments) -> Result<Self> {
        let kms = arguments.kms.clone().map_or_else(|| beside(&arguments.out), Ok)?;
        let place = |name, own: &Option<KeyUri>, key_type| -> Result<Planned> {
            let uri = own.clone().map_or_else(|| named(&kms, name), Ok)?;
            Ok(Planned { name, uri, key_type })
        };
        let (key_type, ssh_type) = (arguments.key_type, arguments.ssh_type.unwrap_or(arguments.key_type));
        let mut keys = vec![
            place("root", &arguments.root, key_type)?,
            place("intermediate", &arguments.intermediate, key_type)?,
            place("leaf", &arguments.leaf, arguments.leaf_type.unwrap_or(key_type))?,
        ];
        if arguments.ssh {
            ssh::check(ssh_type)?;
            keys.push(place("ssh-user", &arguments.ssh_user, ssh_type)?);
            keys.push(place("ssh-host", &arguments.ssh_host, ssh_type)?);
        }
        for (index, planned) in keys.iter().enumerate() {
            if let Some(same) = keys[..index].iter().find(|before| before.uri.to_string() == planned.uri.to_string()) {
                let context = format!("the {} key and the {} key have the same URI", same.name, planned.name);
                return Err(Error::new(ErrorKind::InvalidArgument, context).with_hint("give each key its own"));
            }
        }
        let registry = kmskit::registry().with_options(prompt::ask_on_terminal(OpenOptions::default()));
        Ok(Self { registry, keys, existing_keys: arguments.existing_keys })
    }

    /// Fails if a file or key is there that must not be, and names them all.
    pub(crate) fn check_absent(&self, directory: &Path, files: &[&str]) -> Result<()> {
        let paths = files.iter().map(|file| directory.join(file));
        let mut existing: Vec<_> =
            paths.filter(|path| path.symlink_metadata().is_ok()).map(|path| path.display().to_string()).collect();
        let mut unknown = Ok(());
        for planned in &self.keys {
            match self.find(&planned.uri) {
                Ok(Some(_)) if !self.existing_keys => existing.push(planned.uri.to_string()),
                Ok(_) => {}
                Err(error) => unknown = unknown.and(Err(error.in_context(format!("{} key", planned.name)))),
            }
        }
        if existing.is_empty() {
            return unknown;
        }
        let context = format!("these exist already and were left as they are: {}", existing.join(", "));
        Err(Error::new(ErrorKind::AlreadyExists, context)
            .with_hint("choose another --out or other keys; --existing-keys uses keys that exist"))
    }

    /// The key of that name, made now unless it may exist and does.
    pub(crate) fn key(&self, name: &str, made: &mut Vec<KeyUri>) -> Result<Ready> {
        let planned = self.keys.iter().find(|planned| planned.name == name).ok_or_else(|| unplanned(name))?;
        let manager = kmskit::block_on(self.registry.open(&planned.uri))?;
        let found = if self.existing_keys { self.find(&planned.uri)? } else { None };
        let (uri, public_key) = match found {
            Some(public_key) => (planned.uri.without_secrets(), public_key),
            None => create(&*manager, planned, made)?,
        };
        // The URI returned holds no secret; the one given may, and is needed to open the key.
        let signer = kmskit::block_on(manager.signer(&planned.uri, None))?;
        if *signer.public_key() == public_key {
            return Ok(Ready { uri, public_key, signer });
        }
        Err(Error::new(ErrorKind::KeyMismatch, format!("the {name} key is not the one made a moment ago"))
            .with_hint("two keys of one name, or somebody else works in the same place"))
    }

    fn find(&self, uri: &KeyUri) -> Result<Option<PublicKey>> {
        let found = kmskit::block_on(async { self.registry.open(uri).await?.public_key(uri).await });
        match found {
            Ok(key) => Ok(Some(key)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn create(manager: &dyn KeyManager, planned: &Planned, made: &mut Vec<KeyUri>) -> Result<(KeyUri, PublicKey)> {
    let progress = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    progress.set_message(format!("creating the {} key ({})", planned.name, planned.key_type));
    progress.enable_steady_tick(Duration::from_millis(100));
    let key = kmskit::block_on(manager.create_key(&planned.uri, &KeySpec::new(planned.key_type)));
    progress.finish_and_clear();
    let key = key.map_err(|error| error.in_context(format!("{} key", planned.name)))?;
    made.push(key.uri.clone());
    Ok((key.uri, key.public_key))
}

/// Keys in a directory beside the certificates.
fn beside(out: &Path) -> Result<KeyUri> {
    Ok(KeyUri::builder("softkms").path("dir", out.join("keys").as_os_str().as_encoded_bytes()).build()?)
}

/// The URI of a key of that name in the place that `kms` names.
fn named(kms: &KeyUri, name: &'static str) -> Result<KeyUri> {
    match kms.scheme() {
        "softkms" | "awskms" => Ok(kms.with_path("name", name.as_bytes())?),
        "pkcs11" => Ok(kms.with_path("object", name.as_bytes())?),
        "cloudkms" | "gcpkms" => version(kms, name),
        "yubikey" => Ok(kms.with_path("slot-id", slot(name))?),
        scheme => Err(Error::new(ErrorKind::Unsupported, format!("no rule for naming keys under `{scheme}:`"))
            .with_hint("give each key its own URI: --root, --intermediate, --leaf")),
    }
}

/// The first version of a key of that name in the key ring that `kms` names.
fn version(kms: &KeyUri, name: &str) -> Result<KeyUri> {
    let resource = kms.path().find(|attribute| attribute.name() == "resource").and_then(|attribute| attribute.text());
    let key_ring = resource.filter(|resource| resource.contains("/keyRings/") && !resource.contains("/cryptoKeys"));
    let key_ring = key_ring.ok_or_else(|| {
        Error::new(ErrorKind::InvalidUri, "the URI does not say in which key ring the keys are made")
            .with_hint("write `cloudkms:projects/PROJECT/locations/LOCATION/keyRings/RING`")
    })?;
    Ok(kms.with_path("resource", format!("{key_ring}/cryptoKeys/{name}/cryptoKeyVersions/1"))?)
}

/// Where keys of a CA are on a YubiKey: as step has it, and then what is free.
fn slot(name: &str) -> &'static str {
    match name {
        "root" => "9a",
        "intermediate" => "9c",
        "leaf" => "9e",
        "ssh-user" => "82",
        _ => "83",
    }
}

fn unplanned(name: &str) -> Error {
    Error::new(ErrorKind::Other, format!("no {name} key was planned"))
}
