//! Where a client goes.

use std::fmt;
use std::str::FromStr;

use tokio_rustls::rustls::pki_types::ServerName;

/// A server by name or address, and its port.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) server_name: ServerName<'static>,
    pub(crate) port: u16,
}

impl Host {
    /// Name or address, an IPv6 address without brackets.
    pub(crate) fn name(&self) -> String {
        self.server_name.to_str().into_owned()
    }
}

impl FromStr for Host {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, port) = text.rsplit_once(':').ok_or("expected HOST:PORT, without https://")?;
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let server_name = ServerName::try_from(bare.to_owned()).map_err(|_| "not a DNS name or IP address")?;
        Ok(Self { server_name, port: port.parse().map_err(|_| "not a port")? })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        if name.contains(':') { write!(f, "[{name}]:{}", self.port) } else { write!(f, "{name}:{}", self.port) }
    }
}

/// A path that can stand in a request as it is.
pub(crate) fn path(text: &str) -> Result<String, &'static str> {
    if text.starts_with('/') && text.bytes().all(|octet| octet.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("expected `/` and printable ASCII without spaces")
    }
}
