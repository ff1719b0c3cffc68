//! The talk with a card: PC/SC connections, transactions, APDUs. The only file that knows `pcsc`.
//!
//! The `yubikey` crate, whose tables of slots and algorithms the rest of this crate uses, cannot do this part: each of
//! its calls is a transaction of its own, so that another program may come between the PIN and the signature; it keeps
//! no status words; it does not recover from a reset; and it logs what it sends, PINs and imported keys with it.

use std::ffi::{CStr, CString};
use std::fmt;

use pcsc::{Context, Disposition, Protocols, Scope, ShareMode, Transaction};
use zeroize::Zeroizing;

pub(crate) use pcsc::Error as Fault;

/// A connection with the card in one reader, shared with other programs.
pub(crate) struct Card {
    handle: Option<pcsc::Card>,
    reader: CString,
    takes_extended: bool,
    /// Whether the card is to be reset when it is left, so that nobody inherits a PIN that was given.
    reset_at_end: bool,
}

/// The card, and nobody else's until it is dropped.
pub(crate) struct Exchange<'a> {
    transaction: Transaction<'a>,
    takes_extended: &'a mut bool,
    reset_at_end: &'a mut bool,
}

/// A command, whole.
#[derive(Clone, Copy)]
pub(crate) struct Command<'a> {
    pub(crate) instruction: u8,
    pub(crate) p1: u8,
    pub(crate) p2: u8,
    pub(crate) data: &'a [u8],
}

/// What a card answers. The data may be a secret.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) data: Zeroizing<Vec<u8>>,
}

/// The readers there are. None is opened.
pub(crate) fn readers() -> Result<Vec<CString>, Fault> {
    match Context::establish(Scope::User)?.list_readers_owned() {
        Err(Fault::NoReadersAvailable) => Ok(Vec::new()),
        names => names,
    }
}

impl Card {
    /// Connects with the card in that reader, if there is one.
    pub(crate) fn connect(reader: &CStr) -> Result<Self, Fault> {
        // Calls in one context wait for each other, even for one that hangs: nobody else has this one.
        let handle = Context::establish(Scope::User)?.connect(reader, ShareMode::Shared, Protocols::ANY)?;
        let (handle, reader) = (Some(handle), reader.to_owned());
        let mut card = Self { handle, reader, takes_extended: true, reset_at_end: false };
        // `pcscd` notes that a card is in use before it counts a connection. When another program, the last one, leaves the
        // card in between, the card counts as unused and loses its power within a second, and its selection and PIN with it,
        // without anybody being told. Connected again, it is in use and counted.
        card.reconnect()?;
        Ok(card)
    }

    pub(crate) fn reader(&self) -> &CStr {
        &self.reader
    }

    /// Waits until no other program has the card, for ever if need be.
    pub(crate) fn exchange(&mut self) -> Result<Exchange<'_>, Fault> {
        let transaction = self.handle.as_mut().ok_or(Fault::InvalidHandle)?.transaction()?;
        let (takes_extended, reset_at_end) = (&mut self.takes_extended, &mut self.reset_at_end);
        Ok(Exchange { transaction, takes_extended, reset_at_end })
    }

    /// Connects again, after which nothing is known of the card: after another program's reset nothing is selected, no PIN
    /// given.
    pub(crate) fn reconnect(&mut self) -> Result<(), Fault> {
        let handle = self.handle.as_mut().ok_or(Fault::InvalidHandle)?;
        handle.reconnect(ShareMode::Shared, Protocols::ANY, Disposition::LeaveCard)
    }

    /// Leaves the card as it is.
    pub(crate) fn leave(mut self) {
        self.reset_at_end = false;
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        let Some(mut handle) = self.handle.take() else { return };
        // A connection that is gone need not be closed, nor its card reset.
        if self.reset_at_end
            && let Ok(transaction) = handle.transaction()
        {
            // Not by `disconnect`: that waits for others' transactions, but then resets also one that has just begun.
            let _ = transaction.end(Disposition::ResetCard);
        }
        let _ = handle.disconnect(Disposition::LeaveCard);
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Card").field("reader", &self.reader).finish_non_exhaustive()
    }
}

impl Exchange<'_> {
    /// Notes that a PIN was given.
    pub(crate) fn reset_at_end(&mut self) {
        *self.reset_at_end = true;
    }

    /// Sends a command and fetches the whole answer. What is longer than a short APDU goes in an extended one or, once a
    /// card has refused that, in pieces.
    pub(crate) fn send(&mut self, command: Command<'_>) -> Result<Reply, Fault> {
        const SHORT: usize = 255;
        if command.data.len() <= SHORT {
            return self.send_short(0, command);
        }
        if *self.takes_extended {
            let [.., high, low] = command.data.len().to_be_bytes();
            let reply =
                self.finish(&self.transmit(&[&head(0, command), &[0, high, low], command.data, &[0, 0]], LONG)?)?;
            // Class, instruction or length not known: as cards say that have no extended APDUs.
            if !matches!(reply.status, 0x6700 | 0x6d00 | 0x6e00 | 0x6883 | 0x6884) {
                return Ok(reply);
            }
            *self.takes_extended = false;
        }
        let mut pieces = command.data.chunks(SHORT).peekable();
        while let Some(data) = pieces.next() {
            let class = if pieces.peek().is_some() { 0x10 } else { 0 };
            let reply = self.send_short(class, Command { data, ..command })?;
            if pieces.peek().is_none() || reply.status != status::OK {
                return Ok(reply);
            }
        }
        Err(Fault::InvalidParameter)
    }

    fn send_short(&self, class: u8, command: Command<'_>) -> Result<Reply, Fault> {
        let length = u8::try_from(command.data.len()).map_err(|_| Fault::InvalidParameter)?;
        let head = head(class, command);
        let first = match length {
            0 => self.transmit(&[&head, &[0]], SHORT_ANSWER)?,
            length => self.transmit(&[&head, &[length], command.data, &[0]], SHORT_ANSWER)?,
        };
        self.finish(&first)
    }

    /// Fetches what is left of an answer.
    fn finish(&self, first: &[u8]) -> Result<Reply, Fault> {
        const GET_RESPONSE: u8 = 0xc0;
        const MOST: usize = 64 * 1024;
        let (mut data, mut status) = split(first)?;
        while let [0x61, left] = status.to_be_bytes() {
            let (more, next) = split(&self.transmit(&[&[0, GET_RESPONSE, 0, 0, left]], SHORT_ANSWER)?)?;
            if !matches!(next, status::OK | 0x6100..=0x63ff) {
                // It has forgotten what it was saying. `pcscd` waits with another program's reset until a transaction
                // ends, but may carry it out when the next one, ours, has begun.
                return Err(Fault::ResetCard);
            }
            if data.len() + more.len() > MOST || (more.is_empty() && next == status) {
                return Err(Fault::CommError);
            }
            data = Zeroizing::new([&data[..], &more].concat());
            status = next;
        }
        Ok(Reply { status, data })
    }

    fn transmit(&self, parts: &[&[u8]], longest: usize) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let apdu = Zeroizing::new(parts.concat());
        let mut answer = Zeroizing::new(vec![0; longest]);
        let length = self.transaction.transmit(&apdu, &mut answer)?.len();
        answer.truncate(length);
        Ok(answer)
    }
}

/// 256 octets and the status words.
const SHORT_ANSWER: usize = 258;

/// More than any card answers with at once.
const LONG: usize = 8 * 1024;

fn head(class: u8, command: Command<'_>) -> [u8; 4] {
    [class, command.instruction, command.p1, command.p2]
}

fn split(answer: &[u8]) -> Result<(Zeroizing<Vec<u8>>, u16), Fault> {
    let (data, status) = answer.split_last_chunk::<2>().ok_or(Fault::CommError)?;
    Ok((Zeroizing::new(data.to_vec()), u16::from_be_bytes(*status)))
}

/// Status words (ISO 7816-4, SP 800-73-4 part 2).
pub(crate) mod status {
    pub(crate) const OK: u16 = 0x9000;
    pub(crate) const WRONG_LENGTH: u16 = 0x6700;
    pub(crate) const SECURITY_STATUS: u16 = 0x6982;
    pub(crate) const BLOCKED: u16 = 0x6983;
    pub(crate) const WRONG_DATA: u16 = 0x6a80;
    pub(crate) const UNSUPPORTED: u16 = 0x6a81;
    pub(crate) const NOT_FOUND: u16 = 0x6a82;
    pub(crate) const NO_SPACE: u16 = 0x6a84;
    pub(crate) const WRONG_PARAMETERS: u16 = 0x6a86;
    pub(crate) const REFERENCE_NOT_FOUND: u16 = 0x6a88;
    pub(crate) const WRONG_REFERENCE: u16 = 0x6b00;
    pub(crate) const UNKNOWN_INSTRUCTION: u16 = 0x6d00;
    pub(crate) const UNKNOWN_CLASS: u16 = 0x6e00;
}
