//! Signature Version 4: whether a request was signed by whom it names.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use hyper::http::request::Parts;

use super::answer::{Answer, refuse};
use super::credentials::Credentials;

/// How far the clocks may be apart.
const SKEW: Duration = Duration::from_mins(5);

/// Whose request it is, by its own word and its signature.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) access_key_id: String,
}

/// Checks the signature of a request.
pub(crate) fn authenticate(parts: &Parts, body: &[u8], known: &[Credentials]) -> Answer<Caller> {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let Some(authorization) = header("authorization") else {
        return refuse("MissingAuthenticationTokenException", "Missing Authentication Token");
    };
    let incomplete = |what: &str| format!("Authorization header requires '{what}'");
    let Some(fields) = authorization.strip_prefix("AWS4-HMAC-SHA256 ") else {
        return refuse("IncompleteSignatureException", incomplete("AWS4-HMAC-SHA256"));
    };
    let field = |name: &str| fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
    let (Some(credential), Some(signed), Some(signature)) =
        (field("Credential"), field("SignedHeaders"), field("Signature"))
    else {
        return refuse("IncompleteSignatureException", incomplete("Credential, SignedHeaders and Signature"));
    };
    let scope: Vec<_> = credential.split('/').collect();
    let [access_key_id, date, region, service, "aws4_request"] = scope[..] else {
        return refuse("IncompleteSignatureException", "Credential should be scoped to aws4_request");
    };
    let Some(credentials) = known.iter().find(|known| known.access_key_id == access_key_id) else {
        return refuse("UnrecognizedClientException", "The security token included in the request is invalid.");
    };
    if header("x-amz-security-token") != credentials.session_token.as_deref() {
        return refuse("UnrecognizedClientException", "The security token included in the request is invalid.");
    }
    let time = header("x-amz-date").unwrap_or_default();
    if !time.starts_with(date) || !is_now(time) {
        return refuse("InvalidSignatureException", format!("Signature expired or not yet current: {time}"));
    }
    let names: Vec<_> = signed.split(';').collect();
    if !["host", "x-amz-date"].iter().all(|name| names.contains(name)) {
        return refuse("InvalidSignatureException", "'host' and 'x-amz-date' must be signed headers");
    }

    let mut request = format!("{}\n{}\n{}\n", parts.method, parts.uri.path(), parts.uri.query().unwrap_or_default());
    for name in &names {
        let values = parts.headers.get_all(*name).iter().map(|value| value.to_str().unwrap_or_default().trim());
        // Writing to a string does not fail.
        let _ = writeln!(request, "{name}:{}", values.collect::<Vec<_>>().join(","));
    }
    let _ = write!(request, "\n{signed}\n{}", hex(digest(&SHA256, body).as_ref()));
    let text = format!(
        "AWS4-HMAC-SHA256\n{time}\n{date}/{region}/{service}/aws4_request\n{}",
        hex(digest(&SHA256, request.as_bytes()).as_ref())
    );
    let first = format!("AWS4{}", credentials.secret_access_key).into_bytes();
    let key = [date, region, service, "aws4_request"].iter().fold(first, |key, part| mac(&key, part));
    let expected = hex(&mac(&key, &text));
    if verify_slices_are_equal(expected.as_bytes(), signature.as_bytes()).is_err() {
        return refuse(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        );
    }
    let [account, region, service, access_key_id] =
        [&credentials.account, region, service, access_key_id].map(str::to_owned);
    Ok(Caller { account, region, service, access_key_id })
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// Whether `20260830T123600Z` is now, give or take.
fn is_now(time: &str) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    seconds(time).is_some_and(|time| time.abs_diff(now.as_secs()) <= SKEW.as_secs())
}

/// Seconds since 1970 of `20260830T123600Z`.
fn seconds(time: &str) -> Option<u64> {
    let digits = time.strip_suffix('Z')?.replacen('T', "", 1);
    if digits.len() != 14 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| digits[from..to].parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    // Days since the first of March of year 0, in which leap days come last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day.checked_sub(1)?;
    Some(((days.checked_sub(719_468)? * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, expected) in [
            ("19700101T000000Z", Some(0)),
            ("20000229T235959Z", Some(951_868_799)),
            ("20261125T210000Z", Some(1_795_640_400)),
            ("2026-11-25T21:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    /// The example of the service's documentation, "Examples of the complete Signature Version 4 signing process".
    #[test]
    fn signatures_are_those_of_the_documentation() {
        let key = ["20150830", "us-east-1", "iam", "aws4_request"]
            .iter()
            .fold(b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec(), |key, part| mac(&key, part));
        assert_eq!(hex(&key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
    }
}
