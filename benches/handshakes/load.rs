//! Clients that ask for one thing after another, and how often they get it.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kmskit::{Signer, block_on};
use rustix::time::{ClockId, clock_gettime};
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::server::ResolvesServerCert;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use tokio::runtime::Runtime;

use crate::Result;
use crate::accept::accept;

/// Clients at a time, each with a thread.
pub(crate) const CLIENTS: usize = 8;
/// Workers of the server's runtime.
pub(crate) const WORKERS: usize = 2;

const ROUNDS: usize = 41;
const ROUND: Duration = Duration::from_millis(120);

/// A piece of work, done over and over.
pub(crate) type Work<'a> = Box<dyn Fn() + Sync + 'a>;

/// A runtime for servers.
pub(crate) struct Load(Runtime);

impl Load {
    pub(crate) fn new() -> io::Result<Self> {
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().map(Self)
    }

    /// One handshake with a server of that certificate, which is its own root.
    pub(crate) fn handshakes(
        &self,
        identity: Arc<dyn ResolvesServerCert>,
        root: &CertificateDer<'static>,
    ) -> Result<Work<'_>> {
        let mut server = ServerConfig::builder().with_no_client_auth().with_cert_resolver(identity);
        server.send_tls13_tickets = 0;
        let server = Arc::new(server);
        let mut roots = RootCertStore::empty();
        roots.add(root.clone())?;
        let mut client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        client.resumption = Resumption::disabled();
        let client = Arc::new(client);
        Ok(Box::new(move || self.handshake(&server, &client).expect("a handshake")))
    }

    fn handshake(&self, server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> Result<()> {
        let (mut ours, theirs) = UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        let server = Arc::clone(server);
        let _context = self.0.enter();
        let theirs = tokio::net::UnixStream::from_std(theirs)?;
        let accepted = self.0.spawn(async move { accept(theirs, server).await.map(drop) });
        let mut tls = ClientConnection::new(Arc::clone(client), "localhost".try_into()?)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut ours)?;
        }
        // Finished is when the server has finished.
        self.0.block_on(accepted)??;
        Ok(())
    }
}

/// What one piece of work takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Seconds between two, for all clients together.
    pub(crate) time: f64,
    /// Seconds of one processor. Other programs' load changes little here.
    pub(crate) processor: f64,
}

impl Cost {
    /// This, with one part replaced by another.
    pub(crate) fn with(self, new: Self, instead_of: Self) -> Self {
        Self {
            time: self.time - instead_of.time + new.time,
            processor: self.processor - instead_of.processor + new.processor,
        }
    }
}

/// What each costs: the medians of short rounds taken in turns, so that a busy neighbour slows all alike.
pub(crate) fn compare<const N: usize>(works: [&Work<'_>; N]) -> [Cost; N] {
    let mut rounds = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (work, rounds) in works.iter().zip(&mut rounds) {
            rounds.push(round(work));
        }
    }
    rounds.map(|rounds| Cost {
        time: median(rounds.iter().map(|cost| cost.time)),
        processor: median(rounds.iter().map(|cost| cost.processor)),
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One signature of as many octets as TLS 1.3 signs.
pub(crate) fn signatures(signer: Arc<dyn Signer>) -> Work<'static> {
    Box::new(move || drop(block_on(signer.sign(&[0x20; 146])).expect("a signature")))
}

fn round(work: &Work<'_>) -> Cost {
    let (start, processor) = (Instant::now(), processor_time());
    let client = || {
        let mut done = 0_u32;
        while start.elapsed() < ROUND {
            work();
            done += 1;
        }
        done
    };
    let done: u32 = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().map(|client| client.join().expect("a client")).sum()
    });
    let each = |seconds: f64| seconds / f64::from(done);
    Cost {
        time: each(start.elapsed().as_secs_f64()),
        processor: each(processor_time().saturating_sub(processor).as_secs_f64()),
    }
}

/// Of this process, all threads.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("a time since the process began")
}
