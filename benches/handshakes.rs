//! How many TLS handshakes a second a server finishes with a key at a URI, against what the key's own speed allows.
//!
//! `cargo bench --bench handshakes --features examples` measures software keys, against the same keys signed with by
//! `rustls` itself. `KMSKIT_BENCH_URI` names a further key, in a token or a service:
//!
//! ```sh
//! KMSKIT_BENCH_URI='pkcs11:token=ca;object=p256?module-name=softhsm2&pin-value=1234' cargo bench --bench handshakes …
//! ```
//!
//! Its rows compare with the *limit*: what the same server would do if a signature cost no more than the key itself takes
//! when as many threads as there are clients sign with it and do nothing else. It follows from a software key: of what a
//! handshake by `rustls` itself takes, the software key's signature is taken away and the other key's put in its place.
//! The sum holds where all is computed by the same processors, as with SoftHSM. Each way to open the key has its own
//! limit: by default a signature is made on a thread that can be given up, and verified.
//!
//! Server, clients and key share this machine's processors, so the figures mean something only against each other. The
//! second pair of columns counts processor time, which other programs disturb less. TLS 1.3, no resumption, over socket
//! pairs.

#[cfg(unix)]
#[path = "../examples/tls_server/accept.rs"]
mod accept;
#[cfg(unix)]
#[path = "../examples/shared/handshake.rs"]
#[allow(dead_code, reason = "shared with the example")]
mod handshake;
#[cfg(unix)]
#[path = "handshakes/load.rs"]
mod load;
#[cfg(unix)]
#[path = "handshakes/subject.rs"]
mod subject;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

#[cfg(not(unix))]
fn main() {
    println!("needs socket pairs, which this system has not");
}

#[cfg(unix)]
fn main() -> Result<()> {
    use kmskit::{KeyType, OperationPolicy};

    let load = load::Load::new()?;
    println!("TLS 1.3, {} clients, {} server workers", load::CLIENTS, load::WORKERS);
    println!("{:<58} {:>8} {:>7} {:>12} {:>7}", "", "each s", "ratio", "processor µs", "ratio");
    for key_type in [KeyType::EcP256, KeyType::Rsa { bits: 2048 }] {
        let soft = subject::Software::new(key_type)?;
        let [own, ours] = load::compare([
            &load.handshakes(soft.by_rustls()?, soft.root())?,
            &load.handshakes(soft.identity()?, soft.root())?,
        ]);
        row(&format!("{key_type}: handshakes, by rustls itself"), own, own);
        row(&format!("{key_type}: handshakes, softkms"), ours, own);
    }
    let Ok(uri) = std::env::var("KMSKIT_BENCH_URI") else {
        println!("KMSKIT_BENCH_URI names no further key");
        return Ok(());
    };
    let (soft, other) = (subject::Software::new(KeyType::EcP256)?, subject::Other::open(&uri)?);
    for (what, policy) in [("direct, unverified", subject::direct()), ("by default", OperationPolicy::default())] {
        let [own, signed_by_own, signed, handshakes] = load::compare([
            &load.handshakes(soft.by_rustls()?, soft.root())?,
            &load::signatures(soft.direct_signer()?),
            &load::signatures(other.signer(&policy)?),
            &load.handshakes(other.identity(&policy)?, other.root())?,
        ]);
        let limit = own.with(signed, signed_by_own);
        let name = format!("{}, {what}", other.what());
        row(&format!("{name}: signatures"), signed, signed);
        row(&format!("{name}: limit of handshakes"), limit, limit);
        row(&format!("{name}: handshakes"), handshakes, limit);
    }
    Ok(())
}

/// The ratios are of speeds: 1 is as fast as `reference`.
#[cfg(unix)]
fn row(what: &str, cost: load::Cost, reference: load::Cost) {
    let (time, processor) = (reference.time / cost.time, reference.processor / cost.processor);
    println!("{what:<58} {:>8.0} {time:>7.2} {:>12.1} {processor:>7.2}", 1.0 / cost.time, cost.processor * 1e6);
}
