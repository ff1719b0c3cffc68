//! Who may have the card: programs that are known to take it for themselves.

use std::fs;

/// By the names under which the system runs them, fifteen characters at most.
const KNOWN: &[&str] = &[
    "scdaemon",
    "gsd-smartcard",
    "ykman",
    "yubico-piv-tool",
    "yubico-authenti",
    "authenticator",
    "yubikey-agent",
    "pivy-agent",
    "age-plugin-yubi",
    "pcsc_scan",
    "opensc-tool",
    "pkcs11-tool",
    "ssh-pkcs11-helper",
    "geoclue",
];

/// The first of them that runs, with its process. Reads `/proc`; on other systems nobody is named.
pub(crate) fn likely() -> Option<String> {
    let processes = fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|process| {
        let id =
            process.file_name().into_string().ok().filter(|name| name.bytes().all(|octet| octet.is_ascii_digit()))?;
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        let name = name.trim_end();
        KNOWN.iter().any(|known| known.get(..15).unwrap_or(known) == name).then(|| format!("{name} (process {id})"))
    })
}
