//! The template functions that encode ASN.1: base64 of DER in and out, as step has them.

use base64ct::{Base64, Encoding};
use der::asn1::{GeneralizedTime, Ia5StringRef, ObjectIdentifier, PrintableStringRef, UtcTime, Utf8StringRef};
use der::{Any, AnyRef, DateTime, Decode, Encode, Tag};
use kmskit::{Error, ErrorKind, Result};

/// `asn1Enc`: the DER of `type:value`; a text without a type is a `PrintableString`.
pub(crate) fn encode(text: &str) -> Result<String> {
    let (name, value) = text.split_once(':').unwrap_or(("printable", text));
    let wrong = |error: der::Error| bad(format!("asn1Enc: `{value}` is not of type `{name}`")).with_source(error);
    let no_value = || bad(format!("asn1Enc: `{value}` is not of type `{name}`"));
    let der = match name {
        "oid" => ObjectIdentifier::new(value).map_err(|error| no_value().with_source(error))?.to_der(),
        "printable" => PrintableStringRef::new(value).and_then(|value| value.to_der()),
        "utf8" => Utf8StringRef::new(value).and_then(|value| value.to_der()),
        "ia5" => Ia5StringRef::new(value).and_then(|value| value.to_der()),
        "numeric" if value.bytes().all(|octet| octet.is_ascii_digit() || octet == b' ') => {
            Any::new(Tag::NumericString, value.as_bytes()).and_then(|value| value.to_der())
        }
        "int" => value.parse::<i64>().map_err(|error| no_value().with_source(error))?.to_der(),
        "bool" | "boolean" => value.parse::<bool>().map_err(|error| no_value().with_source(error))?.to_der(),
        "utc" => value.parse().and_then(UtcTime::from_date_time).and_then(|time| time.to_der()),
        "generalized" => value.parse::<DateTime>().and_then(|time| GeneralizedTime::from_date_time(time).to_der()),
        "raw" => return decode(value).map(|_| value.to_owned()),
        "numeric" => return Err(no_value()),
        _ => {
            return Err(bad(format!("asn1Enc knows no type `{name}`"))
                .with_hint("known: oid, printable, utf8, ia5, numeric, int, bool, utc, generalized, raw"));
        }
    };
    Ok(Base64::encode_string(&der.map_err(wrong)?))
}

/// `asn1Seq`: a SEQUENCE of the parts, in their order.
pub(crate) fn sequence(parts: &[String]) -> Result<String> {
    wrap(Tag::Sequence, &parts.iter().map(|part| decode(part)).collect::<Result<Vec<_>>>()?)
}

/// `asn1Set`: a SET of the parts, in the order that DER wants.
pub(crate) fn set(parts: &[String]) -> Result<String> {
    let mut parts = parts.iter().map(|part| decode(part)).collect::<Result<Vec<_>>>()?;
    parts.sort();
    wrap(Tag::Set, &parts)
}

/// The octets of one value in base64, which must be well-formed DER.
pub(crate) fn decode(base64: &str) -> Result<Vec<u8>> {
    let der = Base64::decode_vec(base64).map_err(|error| bad("not base64".to_owned()).with_source(error))?;
    AnyRef::from_der(&der).map_err(|error| bad("not one value in DER".to_owned()).with_source(error))?;
    Ok(der)
}

fn wrap(tag: Tag, parts: &[Vec<u8>]) -> Result<String> {
    let der = Any::new(tag, parts.concat()).and_then(|value| value.to_der());
    der.map(|der| Base64::encode_string(&der)).map_err(|error| bad("cannot be encoded".to_owned()).with_source(error))
}

fn bad(context: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}
