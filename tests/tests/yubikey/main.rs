//! A CA on a YubiKey: the examples with a virtual card behind `pcscd`, judged by OpenSSL, OpenSSH and curl.

use std::io::{BufRead, BufReader};
use std::process::{Child, ExitCode, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kms_testkit::piv::{Card, CardOptions, Inserted, PcscRig, reexec_with_pcsc};
use kmskit_tests::programs::{Place, example};
use libtest_mimic::{Arguments, Trial};

const KMS: &str = "yubikey:?pin-source=file:pin&management-key-source=file:management-key";

type Test = (&'static str, fn(&Authority));

fn main() -> ExitCode {
    reexec_with_pcsc().expect("a network and a /run of one's own");
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let authority = if arguments.list { None } else { Some(Arc::new(Authority::new())) };
    let tests: [Test; 6] = [
        ("pki_init_prints_what_it_made", pki_init_prints_what_it_made),
        ("step_config_opens_the_intermediate", step_config_opens_the_intermediate),
        ("step_config_says_what_it_understood", step_config_says_what_it_understood),
        ("curl_accepts_the_server", curl_accepts_the_server),
        ("ssh_keygen_reads_the_certificates", ssh_keygen_reads_the_certificates),
        ("nothing_is_overwritten", nothing_is_overwritten),
    ];
    let trials = tests.into_iter().map(|(name, test)| {
        let authority = authority.clone();
        Trial::test(name, move || {
            test(authority.as_ref().ok_or("no card")?);
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// A PKI whose keys are all on one card.
struct Authority {
    place: Place,
    said: String,
    _inserted: Inserted,
    _rig: PcscRig,
}

impl Authority {
    fn new() -> Self {
        let rig = PcscRig::start(1).expect("pcscd and vpcd");
        let card = Card::new(&CardOptions::default().with_serial(12_345_678)).expect("a card");
        let inserted = rig.insert(card, 0).expect("a free reader");
        let place = Place::new();
        place.write("pin", "123456\n");
        place.write("management-key", "010203040506070801020304050607080102030405060708\n");
        let start = Instant::now();
        while !place.run("kms search yubikey:").succeeded() {
            assert!(start.elapsed() < Duration::from_secs(30), "no card after 30 s");
            sleep(Duration::from_millis(200));
        }
        let said = place.ok(&format!("pki_init --ssh --kms {KMS}"));
        Self { place, said, _inserted: inserted, _rig: rig }
    }
}

fn pki_init_prints_what_it_made(authority: &Authority) {
    let uri = |slot: &str| format!("yubikey:serial=12345678;slot-id={slot}");
    for line in [
        "Creating PKI ...".to_owned(),
        format!("✔ Root Key: {}", uri("9a")),
        "✔ Root Certificate: ./pki/root_ca.crt".to_owned(),
        format!("✔ Intermediate Key: {}", uri("9c")),
        "✔ Intermediate Certificate: ./pki/intermediate_ca.crt".to_owned(),
        "Creating SSH Keys ...".to_owned(),
        "✔ SSH User Public Key: ./pki/ssh_user_ca_key.pub".to_owned(),
        format!("✔ SSH User Private Key: {}", uri("82")),
        "✔ SSH Host Public Key: ./pki/ssh_host_ca_key.pub".to_owned(),
        format!("✔ SSH Host Private Key: {}", uri("83")),
    ] {
        assert!(authority.said.lines().any(|said| said == line), "{line}\n{}", authority.said);
    }
    let place = &authority.place;
    let verify = "openssl verify -x509_strict -check_ss_sig -CAfile pki/root_ca.crt";
    place.ok(&format!("{verify} pki/root_ca.crt"));
    place.ok(&format!("{verify} pki/intermediate_ca.crt"));
    let leaf = "-purpose sslserver -verify_hostname localhost pki/leaf.crt";
    place.ok(&format!("{verify} -untrusted pki/intermediate_ca.crt {leaf}"));
    assert!(!place.run(&format!("{verify} {leaf}")).succeeded(), "a leaf without its issuer");
}

/// In step's words: the kind, the PIN, and a key by its slot alone.
fn step_config_opens_the_intermediate(authority: &Authority) {
    let place = &authority.place;
    for kms in [
        r#"{ "type": "yubikey", "pin": "123456" }"#,
        r#"{ "type": "yubikey", "uri": "yubikey:serial=12345678?pin-source=pin" }"#,
        r#"{ "uri": "yubikey:?pin-value=123456" }"#,
    ] {
        place.write(
            "ca.json",
            format!(
                r#"{{ "root": "pki/root_ca.crt", "crt": "pki/intermediate_ca.crt", "key": "yubikey:slot-id=9c", "kms": {kms} }}"#
            ),
        );
        let said = place.ok("step_config ca.json");
        assert!(said.contains("is the key of `crt`") && !said.contains("123456\n"), "{kms}: {said}");
    }
}

/// Of a device that is not there, with the secrets left out.
fn step_config_says_what_it_understood(authority: &Authority) {
    let place = &authority.place;
    for (kms, key, uri) in [
        (
            r#"{ "type": "yubikey", "uri": "yubikey:serial=112233", "pin": "canary", "managementKey": "canary" }"#,
            "yubikey:slot-id=9c",
            "yubikey:slot-id=9c;serial=112233",
        ),
        (
            r#"{ "type": "yubikey", "uri": "yubikey:serial=112233?pin-source=/run/pin" }"#,
            "9A",
            "yubikey:slot-id=9a;serial=112233?pin-source=file:/run/pin",
        ),
    ] {
        place.write("ca.json", format!(r#"{{ "key": "{key}", "kms": {kms} }}"#));
        let said = place.run("step_config ca.json").ended_with(3).stdout();
        assert!(said.starts_with("✘ key\n") && said.contains(&format!("    URI: {uri}\n")), "{said}");
        assert!(said.contains("NotFound: ") && !said.contains("canary"), "{said}");
    }
}

fn curl_accepts_the_server(authority: &Authority) {
    let place = &authority.place;
    let mut command = place.command(&example("tls_server").display().to_string());
    command.args(["yubikey:slot-id=9e?pin-source=file:pin", "--cert", "pki/chain.pem"]);
    let child = command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut server = Server(child);
    let lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let line = lines.map_while(Result::ok).find(|line| line.contains("127.0.0.1:")).expect("it listens");
    let port = line.rsplit(':').next().unwrap_or_default().trim();
    for version in ["--tlsv1.2 --tls-max 1.2", "--tlsv1.3"] {
        let page = place.ok(&format!(
            "curl -sS --noproxy * --cacert pki/root_ca.crt --resolve localhost:{port}:127.0.0.1 {version} https://localhost:{port}/"
        ));
        assert!(page.contains("version: TLS"), "{page}");
    }
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ssh_keygen_reads_the_certificates(authority: &Authority) {
    let place = &authority.place;
    place.shell("ssh-keygen -q -t ed25519 -N '' -f id");
    place.ok("ssh_ca user --key yubikey:slot-id=82?pin-source=file:pin --principal alice id.pub");
    let shown = place.ok("ssh-keygen -L -f id-cert.pub");
    let fingerprint = place.ok("ssh-keygen -l -f pki/ssh_user_ca_key.pub");
    let fingerprint = fingerprint.split(' ').nth(1).unwrap();
    assert!(shown.contains(fingerprint) && shown.contains("alice"), "{shown}");
}

fn nothing_is_overwritten(authority: &Authority) {
    let place = &authority.place;
    let said = place.fails(4, &format!("pki_init --out other --kms {KMS}"));
    assert!(said.contains("slot-id=9a") && said.contains("were left as they are"), "{said}");
}
