//! A card in a virtual reader: the protocol of `vpcd`.
//!
//! The card connects to the reader. Both send two octets of length and the octets; one octet from the reader is an order
//! (0 power off, 1 power on, 2 reset, 4 the answer to reset, please), more are an APDU.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::card::{Card, Outcome};
use super::control::Control;

/// A card in a reader. Dropping it takes the card out.
#[derive(Debug)]
pub struct Inserted {
    stream: TcpStream,
    control: Control,
    next: Arc<Mutex<Option<Card>>>,
    thread: Option<JoinHandle<(Card, io::Result<()>)>>,
}

impl Inserted {
    /// Puts a card into the reader that listens on that port of this machine. The reader notices within half a second.
    ///
    /// # Errors
    /// If nothing listens there.
    pub fn insert(mut card: Card, port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        let (control, mut theirs) = (card.control(), stream.try_clone()?);
        control.set_withdrawn(false);
        let next: Arc<Mutex<Option<Card>>> = Arc::default();
        let replacement = Arc::clone(&next);
        let serve = move || {
            card.reset();
            let served = serve(&mut card, &mut theirs, &replacement);
            // The reader notices now, and not only when the last copy of the socket is closed.
            let _ = theirs.shutdown(Shutdown::Both);
            card.reset();
            (card, served.or_else(|error| if is_end(&error) { Ok(()) } else { Err(error) }))
        };
        let thread = std::thread::Builder::new().name("piv-card".to_owned()).spawn(serve)?;
        Ok(Self { stream, control, next, thread: Some(thread) })
    }

    /// The card's handle.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Puts another card in its place between two commands, which the reader does not notice: it takes a second to notice
    /// one. For tests that need many cards and none of which is in use then.
    pub fn replace(&mut self, card: Card) {
        self.control = card.control();
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(card);
    }

    /// Takes the card out, to be inserted again.
    ///
    /// # Errors
    /// If it was out already because the connection to the reader broke.
    pub fn take_out(mut self) -> io::Result<Card> {
        self.end();
        self.join()
    }

    /// Waits until the card has left the reader by itself.
    ///
    /// # Errors
    /// If the connection to the reader broke.
    pub fn wait(mut self) -> io::Result<Card> {
        self.join()
    }

    fn join(&mut self) -> io::Result<Card> {
        let gone = || io::Error::other("the card's thread panicked");
        let (card, served) = self.thread.take().ok_or_else(gone)?.join().map_err(|_| gone())?;
        served.map(|()| card)
    }

    fn end(&self) {
        self.control.set_withdrawn(true);
        // It may have ended by itself.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Drop for Inserted {
    fn drop(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            // What it panicked with was printed.
            let _ = thread.join();
        }
    }
}

fn serve(card: &mut Card, stream: &mut TcpStream, replacement: &Mutex<Option<Card>>) -> io::Result<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut message)?;
        if let Some(next) = replacement.lock().unwrap_or_else(PoisonError::into_inner).take() {
            *card = next;
        }
        match message[..] {
            [0..=2] => card.reset(),
            [4] => send(stream, card.atr())?,
            [_] | [] => {}
            ref apdu => match card.transmit(apdu) {
                Outcome::Answer(answer) => send(stream, &answer)?,
                Outcome::Silence | Outcome::Removed => return Ok(()),
            },
        }
    }
}

fn send(stream: &mut TcpStream, octets: &[u8]) -> io::Result<()> {
    let length = u16::try_from(octets.len()).map_err(|_| io::Error::other("an answer too long for the reader"))?;
    stream.write_all(&[&length.to_be_bytes(), octets].concat())
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}
