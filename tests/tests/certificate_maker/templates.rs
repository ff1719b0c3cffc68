//! Templates beyond the published ones: the other fields that step has.

use kmskit_tests::programs::Place;

use crate::chains::{VERIFY, keys};

#[test]
fn every_field_reaches_the_certificate() {
    let place = Place::new();
    let [root, _, leaf] = keys(&place, "ec-p256");
    place.write(
        "ca.json",
        r#"{
          "version": 3, "notBefore": "2025-01-01T00:00:00Z",
          "subject": {"country": "CH", "organization": ["Example", ""], "organizationalUnit": "Ops", "locality": "Bern",
                      "province": "BE", "streetAddress": "Gasse 1", "postalCode": "3000", "serialNumber": "7",
                      "commonName": {{ .Subject.CommonName | toJson }}},
          "keyUsage": ["certSign", "crl_sign"],
          "basicConstraints": {"isCA": true, "maxPathLen": -1},
          "nameConstraints": {"critical": true, "permittedDNSDomains": "example.com", "excludedDNSDomains": [".bad.example.com"],
                              "permittedIPRanges": ["192.0.2.0/24", "2001:db8::/32"],
                              "permittedEmailAddresses": ["example.com"], "permittedURIDomains": "example.com"}
        }"#,
    );
    place.write(
        "leaf.json",
        r#"{ {{- /* a comment */ -}}
          "subject": {{ toJson .Subject }},
          "sans": [{"type": "dns", "value": "a.example.com"}, {"value": "192.0.2.1"}, {"type": "auto", "value": "https://example.com/x"}],
          "dnsNames": "*.example.com", "emailAddresses": ["ca@example.com"], "ipAddresses": ["2001:db8::1"],
          "keyUsage": ["digitalSignature", "keyAgreement"],
          "extKeyUsage": ["serverAuth", "ClientAuth"], "unknownExtKeyUsage": ["1.2.3.4"],
          "policyIdentifiers": ["2.23.140.1.2.1"],
          "crlDistributionPoints": ["http://example.com/crl"],
          "ocspServer": "http://ocsp.example.com", "issuingCertificateURL": ["http://example.com/ca"],
          "serialNumber": "0x0102", "subjectKeyId": "AQIDBA==", "signatureAlgorithm": "ECDSA-SHA256",
          "issuer": null,
          "notBefore": "2025-01-01T00:00:00Z",
          "extensions": [{"id": "1.2.3.5", "critical": false, "value": {{ asn1Enc "utf8:hello" | toJson }}}]
        }"#,
    );
    place.ok(&format!(
        "certificate_maker create a.example.com{root}{leaf} --root-template ca.json --leaf-template leaf.json --root-lifetime 100h"
    ));
    let text = |file: &str| place.ok(&format!("openssl x509 -in {file} -noout -text -nameopt RFC2253"));
    let root_text = text("root.pem");
    for part in [
        "Subject: serialNumber=7,CN=a.example.com,postalCode=3000,street=Gasse 1,ST=BE,L=Bern,OU=Ops,O=Example,C=CH",
        "X509v3 Name Constraints: critical",
        "DNS:example.com",
        "IP:192.0.2.0/255.255.255.0",
        "email:example.com",
        "URI:example.com",
        "DNS:.bad.example.com",
        "CA:TRUE\n",
    ] {
        assert!(root_text.contains(part), "{part}: {root_text}");
    }
    let leaf_text = text("leaf.pem");
    for part in [
        "Serial Number: 258 (0x102)",
        "Not Before:",
        "DNS:*.example.com, email:ca@example.com, IP Address:2001:DB8:0:0:0:0:0:1, DNS:a.example.com, IP Address:192.0.2.1, \
         URI:https://example.com/x",
        "Digital Signature, Key Agreement",
        "TLS Web Server Authentication, TLS Web Client Authentication, 1.2.3.4",
        "Policy: 2.23.140.1.2.1",
        "URI:http://example.com/crl",
        "OCSP - URI:http://ocsp.example.com",
        "CA Issuers - URI:http://example.com/ca",
        "01:02:03:04",
        "1.2.3.5",
        "..hello",
    ] {
        assert!(leaf_text.contains(part), "{part}: {leaf_text}");
    }
    place.ok(&format!("{VERIFY} -CAfile root.pem -purpose sslserver -verify_hostname b.example.com leaf.pem"));
}
