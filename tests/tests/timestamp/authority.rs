//! A running time-stamping authority, with a certificate by OpenSSL for a key at a URI.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ExitStatus, Stdio};

use kmskit_tests::programs::Place;

/// What RFC 3161 wants of the certificate.
pub(crate) const EXTENSIONS: &str = "keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping";

/// A root and an intermediate of OpenSSL's: `root.crt`, `ca.crt` and `ca.key`.
pub(crate) fn root(place: &Place) {
    place
        .write("ca.ext", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash");
    place.shell(
        "ec='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc'
         openssl req -x509 $ec -keyout root.key -out root.crt -subj /CN=Root -days 30
         openssl req -new $ec -keyout ca.key -out ca.csr -subj /CN=Intermediate
         openssl x509 -req -in ca.csr -CA root.crt -CAkey root.key -days 20 -extfile ca.ext -out ca.crt",
    );
}

/// Has the intermediate certify the key at `uri`, and writes `NAME.crt` and the chain `NAME.pem`.
pub(crate) fn certify(place: &Place, name: &str, uri: &str, extensions: &str) {
    place.write("leaf.ext", extensions);
    place.shell(&format!("rm -f {name}.csr"));
    place.ok(&format!("csr {uri} --subject CN={name} --out {name}.csr"));
    place.shell(&format!(
        "openssl x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -days 10 -extfile leaf.ext -out {name}.crt
         cat {name}.crt ca.crt root.crt >{name}.pem"
    ));
}

/// The server; ended with the value.
pub(crate) struct Server {
    child: Child,
    /// Host and port.
    pub(crate) address: String,
}

impl Server {
    /// Makes a key and its chain, and serves with them.
    pub(crate) fn with_key(place: &Place, key_type: &str) -> Self {
        root(place);
        let uri = place.key("tsa", key_type);
        certify(place, "tsa", &uri, EXTENSIONS);
        Self::start(place, &uri, &[])
    }

    pub(crate) fn start(place: &Place, uri: &str, more: &[&str]) -> Self {
        let mut command = place.command("timestamp_server");
        command.args(["serve", "--host=127.0.0.1", "--port=0", "--timestamp-signer=kms"]);
        command.args(["--certificate-chain-path=tsa.pem", &format!("--kms-key-resource={uri}")]).args(more);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://");
        Self { address: address.unwrap_or_else(|| panic!("the server said `{line}`")).to_owned(), child }
    }

    pub(crate) fn signal(&self, place: &Place, name: &str) {
        place.shell(&format!("kill -{name} {}", self.child.id()));
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails where it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
