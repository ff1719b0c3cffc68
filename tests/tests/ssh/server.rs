//! A real `sshd` on loopback and a real `ssh`: the one admits by certificates of users, the other trusts by that of the
//! host.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use kmskit_tests::programs::{Ended, Place};

use crate::certificates::subject;

/// A server that runs until it is dropped.
struct Sshd {
    child: Child,
    port: u16,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Sshd {
    /// Serves with the key and certificate `host`, and trusts `user_ca.pub`.
    fn start(place: &Place) -> Self {
        // Where it locks itself in when it is root; Debian makes it with the service.
        drop(fs::create_dir("/run/sshd"));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = |name| place.path(name).display().to_string();
        place.write(
            "sshd_config",
            format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nHostCertificate {}\nTrustedUserCAKeys {}\n\
                 AuthorizedKeysFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n\
                 PermitRootLogin yes\nPidFile none\nStrictModes no\nMaxStartups 100\nLogLevel VERBOSE\n",
                path("host"),
                path("host-cert.pub"),
                path("user_ca.pub")
            ),
        );
        // It starts itself anew for each connection, and so wants its whole path.
        let mut child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-f", &path("sshd_config"), "-E", &path("sshd.log")])
            .stdin(Stdio::null())
            .spawn()
            .expect("openssh-server is installed");
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none() && start.elapsed() < Duration::from_secs(10), "sshd: {}", place.text("sshd.log"));
            thread::sleep(Duration::from_millis(20));
        }
        Self { child, port }
    }

    /// `ssh` with a key and its certificate, to a host of that name.
    fn run(&self, place: &Place, certificate: &str, host: &str) -> Ended {
        let user = place.ok("id -un").trim().to_owned();
        let options = "-o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none -o StrictHostKeyChecking=yes \
                       -o UserKnownHostsFile=known_hosts -o GlobalKnownHostsFile=/dev/null -o ConnectTimeout=10";
        let options = options.split_whitespace().collect::<Vec<_>>().join(" ");
        let port = self.port;
        place.run(&format!(
            "ssh -F none {options} -o HostKeyAlias={host} -o CertificateFile={certificate} -i user -p {port} \
             {user}@127.0.0.1 echo admitted"
        ))
    }

    #[track_caller]
    fn admits(&self, place: &Place, certificate: &str, says: &str) {
        assert_eq!(self.run(place, certificate, "www.example").ended_with(0).stdout(), says, "{certificate}");
    }

    #[track_caller]
    fn refuses(&self, place: &Place, certificate: &str, log: &str) {
        let before = place.text("sshd.log").len();
        let said = self.run(place, certificate, "www.example").ended_with(255).stderr();
        assert!(said.contains("Permission denied"), "{certificate}: {said}");
        // The server writes its log a moment later than it answers.
        let start = Instant::now();
        while !place.text("sshd.log")[before..].contains(log) {
            let since = &place.text("sshd.log")[before..];
            assert!(start.elapsed() < Duration::from_secs(5), "{certificate}: no `{log}` in {since}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_server_admits_users_and_is_trusted() {
    for place in Place::on_every_backend() {
        for (key_type, subjects) in [("ec-p256", "-t ed25519"), ("rsa-2048", "-t ecdsa"), ("ec-p384", "-t rsa -b 2048")]
        {
            let [users, hosts, strangers] =
                ["users", "hosts", "strangers"].map(|ca| place.key(&format!("{ca}-{key_type}"), key_type));
            place.shell("rm -f host host.pub host-cert.pub user user.pub *.crt sshd.log");
            subject(&place, "host", subjects);
            subject(&place, "user", subjects);
            place.write("user_ca.pub", place.ok(&format!("ssh_ca public-key --key {users}")));
            let known =
                |ca: &str| format!("@cert-authority *.example {}", place.ok(&format!("ssh_ca public-key --key {ca}")));
            place.write("known_hosts", known(&hosts));
            place.ok(&format!("ssh_ca host --key {hosts} --principal www.example host.pub"));
            let server = Sshd::start(&place);

            let name = place.ok("id -un").trim().to_owned();
            let user = |ca: &str, rest: &str, out: &str| {
                place.ok(&format!("ssh_ca user --key {ca} {rest} --out {out} user.pub"));
            };
            user(&users, &format!("--principal {name}"), "good.crt");
            server.admits(&place, "good.crt", "admitted\n");
            user(&users, &format!("--principal {name} --critical-option force-command=whoami"), "forced.crt");
            server.admits(&place, "forced.crt", &format!("{name}\n"));
            user(&users, &format!("--principal {name} --critical-option source-address=127.0.0.0/8"), "near.crt");
            server.admits(&place, "near.crt", "admitted\n");

            user(&users, &format!("--principal {name} --critical-option source-address=192.0.2.0/24"), "far.crt");
            server.refuses(&place, "far.crt", "not from a permitted source address");
            user(&users, "--principal somebody-else", "other.crt");
            server.refuses(&place, "other.crt", "not a listed principal");
            user(&strangers, &format!("--principal {name}"), "stranger.crt");
            server.refuses(&place, "stranger.crt", "Failed publickey");
            user(&users, &format!("--principal {name} --valid-from 2090-01-01T00:00:00Z"), "early.crt");
            server.refuses(&place, "early.crt", "not yet valid");
            place.ok(&format!("ssh_ca host --key {users} --principal {name} --out host.crt user.pub"));
            server.refuses(&place, "host.crt", "Failed publickey");

            let distrusted = server.run(&place, "good.crt", "ftp.example").ended_with(255).stderr();
            assert!(distrusted.contains("not a listed principal"), "{distrusted}");
            place.write("known_hosts", known(&users));
            let distrusted = server.run(&place, "good.crt", "www.example").ended_with(255).stderr();
            assert!(distrusted.contains("Host key verification failed"), "{distrusted}");
        }
    }
}
