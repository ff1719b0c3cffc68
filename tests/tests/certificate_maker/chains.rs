//! Root and leaf, and root, intermediate and leaf, by the published templates.

use kmskit_tests::programs::Place;

/// The published templates, as they are.
pub(crate) const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/certificate_maker/templates");

/// `openssl verify` with everything it has against a certificate.
pub(crate) const VERIFY: &str = "openssl verify -x509_strict -check_ss_sig";

/// `--root-template … --intermediate-template … --leaf-template …` of one of the two published sets.
pub(crate) fn templates(set: &str) -> String {
    ["root", "intermediate", "leaf"]
        .map(|role| format!(" --{role}-template {TEMPLATES}/{set}-{role}-template.json"))
        .concat()
}

/// Makes three keys of a type, and gives `--root-key-id …` and so on.
pub(crate) fn keys(place: &Place, key_type: &str) -> [String; 3] {
    ["root", "intermediate", "leaf"]
        .map(|role| format!(" --{role}-key-id {}", place.key(&format!("{role}-{key_type}"), key_type)))
}

#[test]
fn the_published_templates_make_chains_of_three() {
    for place in Place::on_every_backend() {
        for (key_type, name) in [
            ("ec-p256", "https://fulcio.example.com"),
            ("rsa-2048", "tsa.example.com"),
            ("ec-p384", "Größe, \u{3c0}"),
            ("ed25519", "ed"),
        ] {
            let [root, intermediate, leaf] = keys(&place, key_type);
            for (set, purpose) in [("fulcio", "any"), ("timestamp", "timestampsign")] {
                place.shell("rm -f *.pem");
                let said = place
                    .command("certificate_maker")
                    .arg("create")
                    .arg(name)
                    .args(
                        format!("{}{root}{intermediate}{leaf} --chain-cert chain.pem", templates(set))
                            .split(' ')
                            .skip(1),
                    )
                    .output()
                    .unwrap();
                assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
                assert_eq!(
                    String::from_utf8_lossy(&said.stdout),
                    "Saved root cert to root.pem\nSaved intermediate cert to intermediate.pem\nSaved leaf cert to leaf.pem\n\
                     Saved chain to chain.pem\n"
                );
                place.ok(&format!("{VERIFY} -CAfile root.pem -untrusted intermediate.pem -purpose {purpose} leaf.pem"));
                assert!(!place.run(&format!("{VERIFY} -CAfile root.pem leaf.pem")).succeeded(), "without intermediate");
                let chain = ["leaf", "intermediate", "root"].map(|name| place.text(&format!("{name}.pem"))).concat();
                assert_eq!(place.text("chain.pem"), chain, "leaf first, root last");
                let judged = place.ok("certtool --verify-chain --infile chain.pem");
                assert!(judged.contains("Verified. The certificate is trusted."), "{judged}");
                for file in ["root", "intermediate", "leaf"] {
                    let subject = place.ok(&format!(
                        "openssl x509 -in {file}.pem -noout -subject -nameopt utf8,-esc_msb,sep_comma_plus"
                    ));
                    assert_eq!(subject.trim(), format!("subject=CN={name}"), "{file}");
                }
            }
        }
    }
}

#[test]
fn each_certificate_is_what_its_template_says() {
    let place = Place::new();
    let [root, intermediate, leaf] = keys(&place, "ec-p256");
    let shown = |file: &str| {
        let text = place.ok(&format!(
            "openssl x509 -in {file} -noout -ext keyUsage,extendedKeyUsage,basicConstraints,subjectAltName"
        ));
        text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>().join("|")
    };
    for (set, expected) in [
        (
            "fulcio",
            [
                "X509v3 Key Usage: critical|Certificate Sign, CRL Sign|X509v3 Basic Constraints: critical|CA:TRUE, pathlen:1",
                "X509v3 Key Usage: critical|Certificate Sign, CRL Sign|X509v3 Extended Key Usage:|Code Signing|\
                 X509v3 Basic Constraints: critical|CA:TRUE, pathlen:0",
                "X509v3 Key Usage: critical|Digital Signature|X509v3 Extended Key Usage:|Code Signing|\
                 X509v3 Basic Constraints: critical|CA:FALSE",
            ],
        ),
        (
            "timestamp",
            [
                "X509v3 Key Usage: critical|Certificate Sign, CRL Sign|X509v3 Basic Constraints: critical|CA:TRUE, pathlen:1",
                "X509v3 Key Usage: critical|Certificate Sign, CRL Sign|X509v3 Basic Constraints: critical|CA:TRUE, pathlen:0",
                "X509v3 Key Usage: critical|Digital Signature|X509v3 Basic Constraints: critical|CA:FALSE|\
                 X509v3 Extended Key Usage: critical|Time Stamping",
            ],
        ),
    ] {
        place.shell("rm -f *.pem");
        place.ok(&format!("certificate_maker create name{root}{intermediate}{leaf}{}", templates(set)));
        for (file, expected) in ["root.pem", "intermediate.pem", "leaf.pem"].into_iter().zip(expected) {
            assert_eq!(shown(file), expected, "{set} {file}");
        }
    }
    // Without --…-template, those of Fulcio are built in.
    place.shell("rm -f *.pem");
    place.ok(&format!("certificate_maker create name{root}{intermediate}{leaf}"));
    assert!(shown("leaf.pem").contains("Code Signing"));
}

#[test]
fn a_root_and_a_leaf_need_no_intermediate() {
    let place = Place::new();
    let [root, _, leaf] = keys(&place, "ec-p256");
    place.shell("mkdir out");
    place.ok(&format!(
        "certificate_maker create a{root}{leaf} --root-template {TEMPLATES}/timestamp-root-template.json \
         --leaf-template {TEMPLATES}/timestamp-leaf-template.json --root-cert out/r.pem --leaf-cert out/l.pem \
         --chain-cert out/c.pem"
    ));
    place.ok(&format!("{VERIFY} -CAfile out/r.pem -purpose timestampsign out/l.pem"));
    assert_eq!(place.text("out/c.pem"), place.text("out/l.pem") + &place.text("out/r.pem"));
    assert!(!place.path("intermediate.pem").exists());
}

#[test]
fn lifetimes_are_those_asked_for_but_never_beyond_the_issuer() {
    let place = Place::new();
    let [root, intermediate, leaf] = keys(&place, "ec-p256");
    let days = |file: &str, from: u64, until: u64| {
        let check = |days: u64| place.run(&format!("openssl x509 -in {file} -noout -checkend {}", days * 86_400));
        assert!(check(from).succeeded() && !check(until).succeeded(), "{file}: not within {from} and {until} days");
    };
    place.ok(&format!("certificate_maker create a{root}{intermediate}{leaf}"));
    days("root.pem", 3649, 3651);
    days("intermediate.pem", 1824, 1826);
    days("leaf.pem", 364, 366);
    place.shell("rm *.pem");
    place.ok(&format!(
        "certificate_maker create a{root}{intermediate}{leaf} --root-lifetime 240h --intermediate-lifetime 720h \
         --leaf-lifetime 47h60m"
    ));
    days("root.pem", 9, 11);
    let ends = |file: &str| place.ok(&format!("openssl x509 -in {file} -noout -enddate"));
    assert_eq!(ends("intermediate.pem"), ends("root.pem"));
    days("leaf.pem", 1, 3);
}
