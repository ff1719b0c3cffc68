//! A handshake blocks no other task: 64 at once with a key that takes 200 ms, on a runtime with two workers.

use std::io::Read as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use kms_testkit::faults::{Fault, FaultySigner};
use kms_testkit::pkcs11::{FaultModule, SoftHsm};
use kmskit::KeyType;
use kmskit::adapters::tls::{TlsIdentity, TlsKey};
use kmskit_tests::{create, memory};
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, ServerConfig, SupportedProtocolVersion};
use tokio::net::TcpListener;

use crate::accept::accept;
use crate::backend::Backend;
use crate::identity::{roots, self_signed};
use crate::pki::Pki;

const HANDSHAKES: usize = 64;
const SIGNATURE: Duration = Duration::from_millis(200);
const GOAL: Duration = Duration::from_secs(2);

/// The example itself, its key in a token that is slow to sign.
#[test]
fn the_server_finishes_64_handshakes_with_a_slow_token_in_2_s() {
    let module = FaultModule::wrap(&SoftHsm::module().unwrap()).unwrap();
    let (pki, backend) = (Pki::new(), Backend::softhsm_by(&module.path().display().to_string()));
    let server = pki.serve(&backend, "ec-p256", &[]);
    let ca = CertificateDer::from_pem_slice(&pki.place().read("ca.crt")).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots(&ca)).with_no_client_auth();

    module.set(&format!("fault C_Sign slow={}", SIGNATURE.as_millis())).unwrap();
    let taken = connect_all(SocketAddr::from(([127, 0, 0, 1], server.port)), &Arc::new(config));
    assert!(taken >= SIGNATURE && taken < GOAL, "{taken:?}");
    assert!(module.faults().unwrap() >= HANDSHAKES as u64);
    assert_eq!(server.stop(), "");
}

/// Its way to accept a connection, for both versions and when the client must begin anew, which moves the signature to
/// another step; and meanwhile the runtime's own tasks go on.
#[test]
fn no_other_task_waits_for_a_slow_signature() {
    let manager = memory();
    let key = create(&manager, "key", KeyType::EcP256);
    let certificate = self_signed(&manager, &key);
    let signer = block_on(manager.signer(&key.uri, None)).unwrap();
    let slow = Arc::new(FaultySigner::new(signer, Fault::Slow(SIGNATURE)));
    let tls = TlsKey::new([slow.clone() as _]).unwrap();
    let identity = Arc::new(TlsIdentity::new(vec![certificate.clone()], tls).unwrap());

    let mut only_x25519 = default_provider();
    only_x25519.kx_groups = vec![kx_group::X25519];
    let server = ServerConfig::builder_with_provider(Arc::new(only_x25519))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(identity);
    let server = Arc::new(server);
    let tls12 = &rustls::version::TLS12;
    let tls13 = &rustls::version::TLS13;
    for (what, version, groups) in [
        ("TLS 1.2", tls12, vec![kx_group::X25519]),
        ("TLS 1.3", tls13, vec![kx_group::X25519]),
        ("TLS 1.3 with a HelloRetryRequest", tls13, vec![kx_group::SECP256R1, kx_group::X25519]),
    ] {
        let before = slow.calls();
        let (taken, longest_pause) = run(&server, &client(&certificate, version, groups));
        println!("{what}: {taken:?}, longest pause of another task {longest_pause:?}");
        assert!(taken >= SIGNATURE && taken < GOAL, "{what}: {taken:?}");
        assert!(longest_pause < SIGNATURE, "{what}: another task paused for {longest_pause:?}");
        assert_eq!(slow.calls() - before, HANDSHAKES, "{what}");
    }
}

fn client(
    root: &CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
    groups: Vec<&'static dyn rustls::crypto::SupportedKxGroup>,
) -> Arc<ClientConfig> {
    let mut provider = default_provider();
    provider.kx_groups = groups;
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots(root))
        .with_no_client_auth();
    Arc::new(config)
}

/// How long all handshakes take, and the longest pause of a task that wakes every few milliseconds.
fn run(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> (Duration, Duration) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let server = Arc::clone(server);
    runtime.spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                let stream = accept(tcp, server).await.unwrap();
                // The client has what it came for, and goes.
                drop(stream);
            });
        }
    });
    let (stop, mut stopped) = tokio::sync::oneshot::channel();
    let ticking = runtime.spawn(async move {
        let mut longest = Duration::ZERO;
        while stopped.try_recv().is_err() {
            let start = Instant::now();
            tokio::time::sleep(Duration::from_millis(5)).await;
            longest = longest.max(start.elapsed());
        }
        longest
    });
    let taken = connect_all(address, client);
    stop.send(()).unwrap();
    (taken, runtime.block_on(ticking).unwrap())
}

/// All handshakes at once, each on a thread of the client's.
fn connect_all(address: SocketAddr, config: &Arc<ClientConfig>) -> Duration {
    let barrier = Arc::new(Barrier::new(HANDSHAKES + 1));
    let clients: Vec<_> = (0..HANDSHAKES)
        .map(|_| {
            let (config, barrier) = (Arc::clone(config), Arc::clone(&barrier));
            thread::spawn(move || {
                let mut tls = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
                barrier.wait();
                let mut tcp = TcpStream::connect(address).unwrap();
                while tls.is_handshaking() {
                    tls.complete_io(&mut tcp).unwrap();
                }
                let done = Instant::now();
                tls.send_close_notify();
                // The server may have gone. If not, it is to read all that was sent, which closing at once would cut off.
                let _ = tls.write_tls(&mut tcp).and_then(|_| tcp.shutdown(Shutdown::Write));
                let _ = tcp.read_to_end(&mut Vec::new());
                done
            })
        })
        .collect();
    barrier.wait();
    let start = Instant::now();
    let last = clients.into_iter().map(|client| client.join().unwrap()).max();
    last.unwrap().duration_since(start)
}
