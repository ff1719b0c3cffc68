//! Two CAs of OpenSSL's: one to be trusted, one not.

use kmskit_tests::programs::Place;

use crate::backend::Backend;
use crate::process::Server;

/// A directory with the CAs and what they certify.
pub(crate) struct Pki(Place);

impl Pki {
    pub(crate) fn new() -> Self {
        let place = Place::new();
        for ca in ["ca", "other_ca"] {
            place.ok(&format!(
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={ca} \
                 -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign \
                 -keyout {ca}.key -out {ca}.crt"
            ));
        }
        Self(place)
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0
    }

    /// The path of a file in it.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path(name).display().to_string()
    }

    /// Certifies the key at a URI for `localhost`, the CA's certificate behind its own; gives the file's path.
    pub(crate) fn certify(&self, backend: &Backend, uri: &str, ca: &str, name: &str) -> String {
        let file = format!("{name}-{}", backend.name);
        let request = self.path(&format!("{file}.csr"));
        let subject = format!("CN={name}");
        let names = ["--dns", "localhost", "--ip", "127.0.0.1"];
        let arguments = [&[uri, "--subject", &subject, "--out", &request], &names[..]].concat();
        backend.run("csr", &arguments).ended_with(0);
        self.sign(ca, &file)
    }

    /// A key and certificate of OpenSSL's own, for its own clients and servers: `NAME.key`, `NAME.crt`.
    pub(crate) fn identity(&self, ca: &str, name: &str) -> String {
        self.0.ok(&format!(
            "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} \
             -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout {name}.key -out {name}.csr"
        ));
        self.sign(ca, name)
    }

    fn sign(&self, ca: &str, name: &str) -> String {
        self.0.shell(&format!(
            "openssl x509 -req -in {name}.csr -CA {ca}.crt -CAkey {ca}.key -days 1 -copy_extensions copyall \
             -out {name}.leaf && cat {name}.leaf {ca}.crt > {name}.crt"
        ));
        self.path(&format!("{name}.crt"))
    }

    /// Starts our server with a new key of that type.
    pub(crate) fn serve(&self, backend: &Backend, key_type: &str, more: &[&str]) -> Server {
        let name = format!("server-{key_type}");
        let uri = backend.key(&name, key_type);
        let chain = self.certify(backend, &uri, "ca", &name);
        backend.serve(&uri, &chain, more)
    }
}
