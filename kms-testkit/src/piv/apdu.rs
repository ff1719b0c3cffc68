//! Command APDUs (ISO 7816-4): short and extended, chained, with long answers fetched in pieces.

/// Status words.
pub(super) mod status {
    pub(crate) const OK: u16 = 0x9000;
    pub(crate) const WRONG_LENGTH: u16 = 0x6700;
    pub(crate) const SECURITY_STATUS: u16 = 0x6982;
    pub(crate) const BLOCKED: u16 = 0x6983;
    pub(crate) const CONDITIONS: u16 = 0x6985;
    pub(crate) const WRONG_DATA: u16 = 0x6a80;
    pub(crate) const NOT_FOUND: u16 = 0x6a82;
    pub(crate) const NO_SPACE: u16 = 0x6a84;
    pub(crate) const MEMORY_FAILURE: u16 = 0x6581;
    pub(crate) const WRONG_PARAMETERS: u16 = 0x6a86;
    pub(crate) const REFERENCE_NOT_FOUND: u16 = 0x6a88;
    pub(crate) const UNKNOWN_INSTRUCTION: u16 = 0x6d00;
    pub(crate) const UNKNOWN_CLASS: u16 = 0x6e00;
}

/// A command, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) class: u8,
    pub(super) instruction: u8,
    pub(super) p1: u8,
    pub(super) p2: u8,
    pub(super) data: Vec<u8>,
    /// Most octets wanted at once.
    pub(super) expected: usize,
}

impl Command {
    /// Reads a short or an extended APDU.
    pub(super) fn parse(octets: &[u8]) -> Option<Self> {
        let (&[class, instruction, p1, p2], body) = octets.split_first_chunk::<4>()?;
        let command = |data: &[u8], expected| Some(Self { class, instruction, p1, p2, data: data.to_vec(), expected });
        let short = |octet: u8| if octet == 0 { 256 } else { usize::from(octet) };
        let long = |octets: [u8; 2]| match u16::from_be_bytes(octets) {
            0 => 65_536,
            length => usize::from(length),
        };
        match *body {
            [] => command(&[], 256),
            [expected] => command(&[], short(expected)),
            [0, high, low] => command(&[], long([high, low])),
            [0, high, low, ref rest @ ..] => {
                let length = usize::from(high) << 8 | usize::from(low);
                let (data, rest) = rest.split_at_checked(length)?;
                match *rest {
                    [] => command(data, 256),
                    [high, low] => command(data, long([high, low])),
                    _ => None,
                }
            }
            [length, ref rest @ ..] => {
                let (data, rest) = rest.split_at_checked(length.into())?;
                match *rest {
                    [] => command(data, 256),
                    [expected] => command(data, short(expected)),
                    _ => None,
                }
            }
        }
    }
}

/// What answers a command.
pub(super) type Answer = Result<Vec<u8>, u16>;

/// Collects the pieces of a chained command, and hands a long answer out in pieces.
#[derive(Debug, Default)]
pub(super) struct Chaining {
    begun: Option<Command>,
    rest: Vec<u8>,
}

impl Chaining {
    /// The whole command, or what to answer to a piece.
    pub(super) fn collect(&mut self, mut command: Command) -> Result<Command, Vec<u8>> {
        const LONGEST: usize = 8192;
        if let Some(begun) = self.begun.take() {
            let same = (begun.instruction, begun.p1, begun.p2) == (command.instruction, command.p1, command.p2);
            if same && begun.data.len() + command.data.len() <= LONGEST {
                command.data = [begun.data, command.data].concat();
            } else if same {
                return Err(status::WRONG_LENGTH.to_be_bytes().to_vec());
            }
        }
        if command.class & 0x10 == 0 {
            return Ok(command);
        }
        self.begun = Some(command);
        Err(status::OK.to_be_bytes().to_vec())
    }

    /// The first piece of an answer.
    pub(super) fn first(&mut self, answer: Answer, expected: usize) -> Vec<u8> {
        match answer {
            Ok(data) => {
                self.rest = data;
                self.next(expected)
            }
            Err(status) => {
                self.rest.clear();
                status.to_be_bytes().to_vec()
            }
        }
    }

    /// The next piece of the answer before (GET RESPONSE).
    pub(super) fn next(&mut self, expected: usize) -> Vec<u8> {
        let rest = self.rest.split_off(self.rest.len().min(expected));
        let mut piece = std::mem::replace(&mut self.rest, rest);
        let status = match self.rest.len() {
            0 => status::OK,
            left => 0x6100 | u16::from(u8::try_from(left).unwrap_or(0)),
        };
        piece.extend(status.to_be_bytes());
        piece
    }

    /// Whether an answer is not fetched yet.
    pub(super) fn has_rest(&self) -> bool {
        !self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (octets, data, expected) in [
            (&[0, 1, 2, 3][..], &[][..], 256),
            (&[0, 1, 2, 3, 0], &[], 256),
            (&[0, 1, 2, 3, 9], &[], 9),
            (&[0, 1, 2, 3, 1, 7], &[7], 256),
            (&[0, 1, 2, 3, 1, 7, 4], &[7], 4),
            (&[0, 1, 2, 3, 0, 1, 0], &[], 256),
            (&[0, 1, 2, 3, 0, 0, 0], &[], 65_536),
            (&[0, 1, 2, 3, 0, 0, 1, 7], &[7], 256),
            (&[0, 1, 2, 3, 0, 0, 1, 7, 0, 0], &[7], 65_536),
        ] {
            let command = Command::parse(octets).unwrap();
            assert_eq!((&command.data[..], command.expected), (data, expected), "{octets:?}");
        }
        for bad in [&[0, 1, 2][..], &[0, 1, 2, 3, 2, 7], &[0, 1, 2, 3, 1, 7, 4, 4], &[0, 1, 2, 3, 0, 0, 2, 7]] {
            assert_eq!(Command::parse(bad), None, "{bad:?}");
        }
    }
}
