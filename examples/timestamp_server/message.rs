//! The messages of RFC 3161.

use cms::content_info::ContentInfo;
use der::asn1::{BitString, GeneralizedTime, Int, ObjectIdentifier, OctetString};
use der::{Encode, Sequence};
use spki::AlgorithmIdentifierOwned;
use x509_cert::ext::Extensions;

/// What a client asks for (section 2.4.1).
#[derive(Clone, Debug, Sequence)]
pub(crate) struct TimeStampReq {
    pub(crate) version: u8,
    pub(crate) message_imprint: MessageImprint,
    #[asn1(optional = "true")]
    pub(crate) req_policy: Option<ObjectIdentifier>,
    #[asn1(optional = "true")]
    pub(crate) nonce: Option<Int>,
    #[asn1(default = "no")]
    pub(crate) cert_req: bool,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(crate) extensions: Option<Extensions>,
}

/// The digest of what is stamped.
#[derive(Clone, Debug, Sequence)]
pub(crate) struct MessageImprint {
    pub(crate) hash_algorithm: AlgorithmIdentifierOwned,
    pub(crate) hashed_message: OctetString,
}

/// What is signed (section 2.4.2).
#[derive(Clone, Debug, Sequence)]
pub(crate) struct TstInfo {
    pub(crate) version: u8,
    pub(crate) policy: ObjectIdentifier,
    pub(crate) message_imprint: MessageImprint,
    pub(crate) serial_number: Int,
    pub(crate) gen_time: GeneralizedTime,
    pub(crate) accuracy: Accuracy,
    #[asn1(default = "no")]
    pub(crate) ordering: bool,
    #[asn1(optional = "true")]
    pub(crate) nonce: Option<Int>,
}

/// How far the time may be off, either way.
#[derive(Clone, Debug, Sequence)]
pub(crate) struct Accuracy {
    pub(crate) seconds: u32,
}

/// What a client gets (section 2.4.2).
#[derive(Clone, Debug, Sequence)]
pub(crate) struct TimeStampResp {
    status: PkiStatusInfo,
    #[asn1(optional = "true")]
    time_stamp_token: Option<ContentInfo>,
}

#[derive(Clone, Debug, Sequence)]
struct PkiStatusInfo {
    status: u8,
    #[asn1(optional = "true")]
    status_string: Option<Vec<String>>,
    #[asn1(optional = "true")]
    fail_info: Option<BitString>,
}

/// Why there is no time stamp: the bit of `PKIFailureInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureInfo {
    BadAlg = 0,
    BadRequest = 2,
    BadDataFormat = 5,
    TimeNotAvailable = 14,
    UnacceptedPolicy = 15,
    UnacceptedExtension = 16,
    SystemFailure = 25,
}

impl TimeStampResp {
    pub(crate) fn granted(token: ContentInfo) -> Self {
        let status = PkiStatusInfo { status: 0, status_string: None, fail_info: None };
        Self { status, time_stamp_token: Some(token) }
    }

    pub(crate) fn rejection(failure: FailureInfo, text: &str) -> der::Result<Self> {
        let status =
            PkiStatusInfo { status: 2, status_string: Some(vec![text.to_owned()]), fail_info: Some(failure.bits()?) };
        Ok(Self { status, time_stamp_token: None })
    }

    pub(crate) fn encode(&self) -> der::Result<Vec<u8>> {
        self.to_der()
    }
}

impl FailureInfo {
    /// A named bit list ends with its last one (X.690 section 11.2.2).
    fn bits(self) -> der::Result<BitString> {
        let (octet, bit) = (self as usize / 8, self as u8 % 8);
        let mut octets = vec![0; octet + 1];
        octets[octet] = 0x80 >> bit;
        BitString::new(7 - bit, octets)
    }
}

/// `default` of DER's BOOLEANs.
fn no() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use der::Decode as _;

    use super::*;

    #[test]
    fn a_failure_is_the_bit_of_its_number() {
        for (failure, expected) in [
            (FailureInfo::BadAlg, &[3, 2, 7, 0x80][..]),
            (FailureInfo::BadDataFormat, &[3, 2, 2, 0x04]),
            (FailureInfo::UnacceptedPolicy, &[3, 3, 0, 0, 1]),
            (FailureInfo::SystemFailure, &[3, 5, 6, 0, 0, 0, 0x40]),
        ] {
            assert_eq!(failure.bits().unwrap().to_der().unwrap(), expected, "{failure:?}");
        }
    }

    #[test]
    fn what_is_no_request_is_an_error() {
        for octets in [&b""[..], b"0", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", &[0x30; 4096]] {
            TimeStampReq::from_der(octets).unwrap_err();
        }
    }
}
