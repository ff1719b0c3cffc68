//! Exit codes, error messages, and what they must not say.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::tool::{Place, binary, kms, openssl};

#[test]
fn exit_codes_tell_what_kind_of_fault() {
    let place = Place::new();
    let (root, absent) = (place.key("root", "ec-p256"), place.uri("absent"));
    let nowhere = place.path("nowhere").to_str().unwrap().to_owned();
    for (code, kind, arguments) in [
        (2, "InvalidArgument", vec!["sign"]),
        (2, "InvalidArgument", vec!["no-such-command"]),
        (2, "InvalidArgument", vec!["create", &root, "--type", "rsa-1"]),
        (2, "InvalidArgument", vec!["sign", &root, "--alg", "rot13"]),
        (2, "InvalidArgument", vec!["verify", "--signature", "x"]),
        (2, "InvalidArgument", vec!["delete", &root]),
        (2, "InvalidUri", vec!["key", "softkms"]),
        (2, "InvalidUri", vec!["key", "softkms:name=a;dir=b;colour=red"]),
        (3, "NotFound", vec!["key", &absent]),
        (3, "NotFound", vec!["sign", &absent]),
        (3, "NotFound", vec!["sign", &root, "--in", &nowhere]),
        (4, "AlreadyExists", vec!["create", &root]),
        (7, "Unsupported", vec!["key", "nokms:x"]),
        (7, "Unsupported", vec!["sign", &root, "--alg", "rsa-pss-sha256"]),
        (6, "Timeout", vec!["create", &absent, "--type", "rsa-4096", "--timeout", "1"]),
    ] {
        let ended = kms(&[&arguments[..], &["--json"]].concat()).ended_with(code);
        let error = ended.json();
        assert_eq!(error["kind"], kind, "{arguments:?}: {error}");
        assert!(error["error"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
        assert!(error["causes"].is_array() && error.as_object().unwrap().contains_key("hint"), "{error}");
        assert!(ended.stderr().starts_with("error: "), "{arguments:?}: {}", ended.stderr());
        let plain = kms(&arguments).ended_with(code);
        assert!(plain.stdout().is_empty(), "{arguments:?}: {}", plain.stdout());
    }
}

#[test]
fn a_locked_key_needs_its_password_and_nobody_is_asked_in_a_script() {
    let place = Place::new();
    let key = place.path("locked.key").to_str().unwrap().to_owned();
    let genpkey = ["genpkey", "-algorithm", "ED25519", "-aes256", "-pass", "pass:canary-secret", "-out", &key];
    openssl(&genpkey, b"").succeeded();
    let refused = kms(&["sign", &format!("softkms:path={key}"), "--json"]).ended_with(5);
    assert_eq!(refused.json()["kind"], "Unauthenticated");
    kms(&["sign", &format!("softkms:path={key}?password-value=wrong")]).ended_with(5);
    kms(&["sign", &format!("softkms:path={key}?password-value=canary-secret")]).succeeded();
}

#[test]
fn no_command_repeats_a_secret() {
    let place = Place::new();
    let uri = place.key("root", "ec-p256");
    let secret = format!("{uri}?password-value=canary-secret");
    let bad = format!("{secret}&bad name=%zz");
    for arguments in [
        vec!["uri", &secret],
        vec!["uri", &bad],
        vec!["key", &secret],
        vec!["key", &bad],
        vec!["create", &secret],
        vec!["sign", &secret],
        vec!["sign", &secret, &secret],
        vec!["sign", &uri, &bad],
        vec!["create", &uri, "--type", &secret],
        vec!["search", &secret],
        vec!["doctor", &secret],
        vec!["capabilities", &secret],
        vec!["cert", "get", &secret],
        vec!["cert", &secret],
        vec![&secret],
        vec!["bench", &secret, "--count", "2"],
        vec!["delete", &secret, "--yes"],
    ] {
        for more in [&[][..], &["--json"]] {
            let ended = kms(&[&arguments[..], more].concat());
            let said = ended.stdout() + &ended.stderr();
            assert!(!said.contains("canary"), "{arguments:?}: {said}");
        }
    }
    let type_is = format!("--type={secret}");
    let ended = kms(&["create", &uri, &type_is]).ended_with(2);
    assert!(!ended.stderr().contains("canary"), "{}", ended.stderr());
}

#[test]
fn a_reader_that_leaves_is_no_fault() {
    let place = Place::new();
    let directory = place.path("").display().to_string();
    for number in 0..3 {
        place.key(&format!("key{number}"), "ed25519");
    }
    let script = format!("'{}' search 'softkms:dir={directory}' | true; '{0}' --help | head -1", binary().display());
    let mut shell =
        Command::new("sh").args(["-c", &script]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let stderr: Vec<_> = BufReader::new(shell.stderr.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(shell.wait().unwrap().success());
    assert!(stderr.is_empty(), "{stderr:?}");
}

#[test]
fn every_command_explains_itself() {
    let help = kms(&["--help"]).succeeded().stdout();
    assert!(help.contains("Exit codes:"), "{help}");
    for command in [
        &["uri"][..],
        &["create"],
        &["key"],
        &["sign"],
        &["verify"],
        &["decrypt"],
        &["cert", "get"],
        &["cert", "put"],
        &["cert", "delete"],
        &["search"],
        &["delete"],
        &["capabilities"],
        &["doctor"],
        &["bench"],
    ] {
        let help = kms(&[command, &["--help"]].concat()).succeeded().stdout();
        assert!(help.contains("Example: kms "), "{command:?}: {help}");
    }
}
