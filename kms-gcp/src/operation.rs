//! The requests, with what each needs: so that an error can name the missing permission even where the service does not.

/// One kind of request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    /// What it does, for messages.
    pub(crate) name: &'static str,
    /// The IAM permission it needs.
    pub(crate) permission: &'static str,
}

macro_rules! operations {
    ($($id:ident = $name:literal, $permission:literal;)*) => {
        $(pub(crate) const $id: Operation = Operation { name: $name, permission: $permission };)*
    };
}

operations! {
    GET_PUBLIC_KEY = "read public key", "cloudkms.cryptoKeyVersions.viewPublicKey";
    SIGN = "sign", "cloudkms.cryptoKeyVersions.useToSign";
    DECRYPT = "decrypt", "cloudkms.cryptoKeyVersions.useToDecrypt";
    GET_VERSION = "get key version", "cloudkms.cryptoKeyVersions.get";
    LIST_VERSIONS = "list key versions", "cloudkms.cryptoKeyVersions.list";
    LIST_KEYS = "list keys", "cloudkms.cryptoKeys.list";
    LIST_KEY_RINGS = "list key rings", "cloudkms.keyRings.list";
    GET_KEY = "get key", "cloudkms.cryptoKeys.get";
    CREATE_KEY_RING = "create key ring", "cloudkms.keyRings.create";
    CREATE_KEY = "create key", "cloudkms.cryptoKeys.create";
    CREATE_VERSION = "create key version", "cloudkms.cryptoKeyVersions.create";
    UPDATE_VERSION = "update key version", "cloudkms.cryptoKeyVersions.update";
    DESTROY = "destroy key version", "cloudkms.cryptoKeyVersions.destroy";
    RESTORE = "restore key version", "cloudkms.cryptoKeyVersions.restore";
    CREATE_IMPORT_JOB = "create import job", "cloudkms.importJobs.create";
    GET_IMPORT_JOB = "get import job", "cloudkms.importJobs.get";
    IMPORT = "import key version", "cloudkms.importJobs.useToImport";
}
