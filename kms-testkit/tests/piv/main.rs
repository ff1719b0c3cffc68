//! The virtual PIV card, through `pcscd`, before programs that are not ours: they say that it is a PIV card of Yubico's.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kms_testkit::piv::{Card, CardOptions, Inserted, PcscRig, reexec_with_pcsc};
use libtest_mimic::{Arguments, Trial};

type Test = (&'static str, fn(&Bench));

fn main() -> ExitCode {
    reexec_with_pcsc().expect("a network and a /run of one's own");
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let rig = if arguments.list { None } else { Some(PcscRig::start(2).expect("pcscd and vpcd")) };
    let rig = Arc::new(Mutex::new(rig));
    let tests: [Test; 4] = [
        ("ykman", ykman),
        ("yubico_piv_tool", yubico_piv_tool),
        ("opensc", opensc),
        ("older_firmware", older_firmware),
    ];
    let trials = tests.into_iter().map(|(name, test)| {
        let rig = Arc::clone(&rig);
        Trial::test(name, move || {
            let rig = rig.lock().unwrap_or_else(PoisonError::into_inner);
            let rig = rig.as_ref().ok_or("no readers")?;
            // What is in Debian 12 knows no management key but 3DES, and 5.7 has another one from the factory.
            test(&Bench::new(rig, if name == "ykman" { [5, 7, 1] } else { [5, 4, 3] }));
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// A card in a reader, and a directory.
struct Bench {
    inserted: Option<Inserted>,
    directory: tempfile::TempDir,
    root: Vec<u8>,
}

impl Bench {
    fn new(rig: &PcscRig, firmware: [u8; 3]) -> Self {
        let options = CardOptions::default().with_firmware(firmware).with_serial(12_345_678);
        let card = Card::new(&options).expect("a card");
        let root = card.attestation_root().to_vec();
        let inserted = Some(rig.insert(card, 0).expect("a free reader"));
        let this = Self { inserted, directory: tempfile::tempdir().expect("a directory"), root };
        let start = Instant::now();
        while !this.run("yubico-piv-tool -a status").0 {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "no card after 30 s: {}",
                this.run("yubico-piv-tool -a status").1
            );
            sleep(Duration::from_millis(200));
        }
        this
    }

    /// Whether a program succeeded, and all that it said. Words are parted by spaces.
    fn run(&self, line: &str) -> (bool, String) {
        let mut words = line.split(' ');
        let name = words.next().expect("a program");
        let program = if name == "ykman" { judges().join(name) } else { name.into() };
        // By the reader: what looks for devices is slow.
        let reader = ["--reader", "Yubico YubiKey OTP+FIDO+CCID 00 00"];
        let reader = if name == "ykman" && !line.ends_with(" list") { &reader[..] } else { &[] };
        let output = Command::new(&program).args(reader).args(words).current_dir(self.directory.path()).output();
        let output = output.unwrap_or_else(|error| panic!("{}: {error}; scripts/test installs it", program.display()));
        let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
        (output.status.success(), said)
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        let (done, said) = self.run(line);
        assert!(done, "{line}\n{said}");
        said
    }

    #[track_caller]
    fn fails(&self, line: &str, says: &str) {
        let (done, said) = self.run(line);
        assert!(!done && said.to_lowercase().contains(says), "{line}\n{said}");
    }

    fn write(&self, name: &str, octets: impl AsRef<[u8]>) {
        std::fs::write(self.directory.path().join(name), octets).expect("a file");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(self.inserted.take());
        // The reader looks twice in a second.
        sleep(Duration::from_millis(1200));
    }
}

const KEY: &str = "010203040506070801020304050607080102030405060708";

/// Where `KMSKIT_PYTHON` is, or `.judges` beside the workspace.
fn judges() -> std::path::PathBuf {
    let python = std::env::var("KMSKIT_PYTHON").map(Into::into);
    let python = python.unwrap_or_else(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.judges/bin/python3"));
    python.parent().expect("a directory").to_owned()
}

fn ykman(bench: &Bench) {
    assert!(bench.ok("ykman list").contains("Serial: 12345678"));
    let info = bench.ok("ykman piv info");
    for words in ["PIV version:              5.7.1", "PIN tries remaining:      3/3"] {
        assert!(info.contains(words), "{words}\n{info}");
    }
    for (algorithm, slot) in [("eccp256", "9a"), ("eccp384", "9c"), ("rsa2048", "9d"), ("ed25519", "82")] {
        bench.ok(&format!("ykman piv keys generate -m {KEY} -a {algorithm} {slot} {slot}.pem"));
        bench.ok(&format!("ykman piv certificates generate -m {KEY} -P 123456 -s CN=test {slot} {slot}.pem"));
        bench.ok(&format!("ykman piv certificates export {slot} {slot}.crt"));
        // It signed itself: OpenSSL verifies what the card's key made.
        bench.ok(&format!("openssl verify -check_ss_sig -CAfile {slot}.crt {slot}.crt"));
        assert!(bench.ok(&format!("ykman piv keys info {slot}")).to_lowercase().contains("generated"));
    }
    bench.fails(&format!("ykman piv certificates generate -m {KEY} -P 000000 -s CN=test 9a 9a.pem"), "2 tries");
    bench.ok("ykman piv keys attest 9a attestation.crt");
    bench.ok("ykman piv certificates export f9 f9.crt");
    bench.write("root.der", &bench.root);
    bench.ok("openssl x509 -inform DER -in root.der -out root.crt");
    bench.ok("openssl verify -CAfile root.crt -untrusted f9.crt attestation.crt");
    bench.ok(&format!("ykman piv keys move -m {KEY} 9a 83"));
    bench.fails("ykman piv keys info 9a", "no key");
    bench.ok(&format!("ykman piv keys delete -m {KEY} 83"));
    bench.ok(&format!("ykman piv access change-management-key -m {KEY} -a aes256 -n {}", "0a".repeat(32)));
    bench.fails(&format!("ykman piv keys generate -m {KEY} -a eccp256 9a -"), "management key");
    bench.ok("ykman piv access change-pin -P 123456 -n 654321");
    bench.ok("ykman piv access change-puk -p 12345678 -n 87654321");
    bench.ok("ykman piv access unblock-pin -p 87654321 -n 123456");
}

fn yubico_piv_tool(bench: &Bench) {
    let status = bench.ok("yubico-piv-tool -a status");
    for words in ["12345678", "5.4.3", "PIN tries left:\t3"] {
        assert!(status.contains(words), "{words}\n{status}");
    }
    for (algorithm, slot) in [("ECCP256", "9a"), ("ECCP384", "9c"), ("RSA2048", "9e")] {
        bench.ok(&format!("yubico-piv-tool -s {slot} -A {algorithm} -a generate -o {slot}.pem"));
        certify(bench, slot);
        bench.ok(&format!("yubico-piv-tool -s {slot} -a read-certificate -o read.crt"));
        bench.ok(&format!("yubico-piv-tool -s {slot} -P 123456 -a verify-pin -a test-signature -i read.crt"));
        bench.ok(&format!("yubico-piv-tool -s {slot} -a attest -o attestation.crt"));
    }
    bench.ok("openssl ecparam -name prime256v1 -genkey -noout -out key.pem");
    bench.ok("yubico-piv-tool -s 9d -a import-key -i key.pem");
    bench.fails("yubico-piv-tool -P 000000 -a verify-pin", "2 tries left");
}

/// Stores a certificate that the key has signed itself. The tool of Debian 12 signs none with its OpenSSL.
fn certify(bench: &Bench, slot: &str) {
    bench.ok(&format!("ykman piv certificates generate -m {KEY} -P 123456 -s CN=test {slot} {slot}.pem"));
}

fn opensc(bench: &Bench) {
    bench.ok("yubico-piv-tool -s 9a -A ECCP256 -a generate -o 9a.pem");
    certify(bench, "9a");
    bench.ok("yubico-piv-tool -a set-chuid");
    let name = bench.ok("opensc-tool -n").to_lowercase();
    assert!(name.contains("piv") || name.contains("yubikey"), "{name}");
    let objects = bench.ok("pkcs11-tool --list-objects --type cert");
    assert!(objects.contains("Certificate for PIV Authentication"), "{objects}");
    bench.write("message", "message");
    bench.ok("openssl dgst -sha256 -binary -out digest message");
    bench.ok(
        "pkcs11-tool --login --pin 123456 --id 01 --sign -m ECDSA --signature-format openssl -i digest -o signature",
    );
    assert!(bench.ok("openssl dgst -sha256 -verify 9a.pem -signature signature message").contains("Verified OK"));
}

/// What a device before 5.7 does not know is refused as that one does.
fn older_firmware(bench: &Bench) {
    assert!(bench.ok("ykman piv info").contains("PIV version:              5.4.3"));
    bench.fails(&format!("ykman piv keys generate -m {KEY} -a ed25519 9a -"), "5.7");
    bench.ok(&format!("ykman piv keys generate -m {KEY} -a eccp256 9a -"));
    bench.fails(&format!("ykman piv keys delete -m {KEY} 9a"), "5.7");
}
