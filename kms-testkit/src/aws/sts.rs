//! As much of the token service as it takes to take on a role: `AssumeRole`, in its XML.

use std::fmt::Write as _;

use super::answer::{Answer, invalid, refuse};
use super::credentials::Credentials;
use super::sigv4::hex;

/// Credentials for the role that the form asks for, and the answer that tells them.
pub(crate) fn assume_role(body: &[u8]) -> Answer<(Credentials, String)> {
    let text = String::from_utf8_lossy(body);
    let field = |name: &str| {
        text.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(decode).unwrap_or_default()
    };
    if field("Action") != "AssumeRole" {
        return refuse("InvalidAction", "the stand-in has AssumeRole only");
    }
    let role = field("RoleArn");
    let parts: Vec<_> = role.splitn(6, ':').collect();
    let ["arn", _, "iam", "", account, resource] = parts[..] else {
        return invalid("RoleArn is not the ARN of a role");
    };
    let Some(name) = resource.strip_prefix("role/") else { return invalid("RoleArn is not the ARN of a role") };
    let mut random = [0; 40];
    if getrandom::fill(&mut random).is_err() {
        return refuse("InternalFailure", "no randomness");
    }
    let (id, secret, token) = (hex(&random[..8]).to_uppercase(), hex(&random[8..28]), hex(&random[28..]));
    let credentials = Credentials::new(format!("ASIA{id}"), secret, account).with_session_token(token);
    let (id, secret) = (&credentials.access_key_id, &credentials.secret_access_key);
    let (token, session) = (credentials.session_token.as_deref().unwrap_or_default(), field("RoleSessionName"));
    let xml = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><AssumedRoleUser>\
         <AssumedRoleId>AROA:{session}</AssumedRoleId>\
         <Arn>arn:aws:sts::{account}:assumed-role/{name}/{session}</Arn></AssumedRoleUser><Credentials>\
         <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
         <SessionToken>{token}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
         </AssumeRoleResult><ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></AssumeRoleResponse>"
    );
    Ok((credentials, xml))
}

/// An error in its XML.
pub(crate) fn error(code: &str, message: &str) -> String {
    let mut xml = String::from("<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>");
    let escaped = message.replace('&', "&amp;").replace('<', "&lt;");
    let _ = write!(xml, "<Type>Sender</Type><Code>{code}</Code><Message>{escaped}</Message></Error></ErrorResponse>");
    xml
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut octets, mut at) = (Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let escaped = text.get(at + 1..at + 3).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (byte, escaped) {
            (b'%', Some(octet)) => {
                octets.push(octet);
                at += 2;
            }
            (b'+', _) => octets.push(b' '),
            _ => octets.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&octets).into_owned()
}
