//! The attestation key in slot F9, its certificate, and the statements it signs.

use p256::ecdsa::signature::Signer as _;

use super::key::{Key, Pair};
use super::policy::{PinPolicy, TouchPolicy};
use super::tlv::object;

/// What attests: a root that only this card has, and the key and certificate in slot F9.
#[derive(Clone)]
pub(super) struct Attestor {
    pub(super) key: Key,
    pub(super) certificate: Vec<u8>,
    pub(super) root: Vec<u8>,
}

/// What a statement says of the device.
#[derive(Clone, Copy)]
pub(super) struct Device {
    pub(super) firmware: [u8; 3],
    pub(super) serial: u32,
    pub(super) form_factor: u8,
}

impl Attestor {
    pub(super) fn new(firmware: [u8; 3]) -> Option<Self> {
        let (root_key, pair) = (Pair::generate(0x11).ok()?, Pair::generate(0x11).ok()?);
        let (root, own) = (name("kmskit test PIV Root CA"), name("Yubico PIV Attestation"));
        let authority = extension(&[0x55, 0x1d, 0x13], true, &object(0x30, &object(1, &[0xff])));
        let firmware = extension(&FIRMWARE, false, &firmware);
        let certificate = certify(&root_key, &root, &own, &pair, &[authority.clone(), firmware].concat())?;
        let root = certify(&root_key, &root, &root, &root_key, &authority)?;
        let key = Key { pair, pin: PinPolicy::Never, touch: TouchPolicy::Never, imported: false };
        Some(Self { key, certificate, root })
    }

    /// The statement about a key: a certificate for it.
    pub(super) fn attest(&self, slot: u8, key: &Key, device: Device) -> Option<Vec<u8>> {
        let mut serial: Vec<u8> = device.serial.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
        if serial.first().is_none_or(|octet| *octet > 0x7f) {
            serial.insert(0, 0);
        }
        let extensions = [
            extension(&FIRMWARE, false, &device.firmware),
            extension(&SERIAL, false, &object(2, &serial)),
            extension(&POLICY, false, &[key.pin.octet(), key.touch.octet()]),
            extension(&FORM_FACTOR, false, &[device.form_factor]),
        ];
        let subject = name(&format!("YubiKey PIV Attestation {slot:x}"));
        certify(&self.key.pair, &name("Yubico PIV Attestation"), &subject, &key.pair, &extensions.concat())
    }
}

/// 1.3.6.1.4.1.41482.3.3, the others beside it.
const FIRMWARE: [u8; 10] = [0x2b, 6, 1, 4, 1, 0x82, 0xc4, 0x0a, 3, 3];
const SERIAL: [u8; 10] = [0x2b, 6, 1, 4, 1, 0x82, 0xc4, 0x0a, 3, 7];
const POLICY: [u8; 10] = [0x2b, 6, 1, 4, 1, 0x82, 0xc4, 0x0a, 3, 8];
const FORM_FACTOR: [u8; 10] = [0x2b, 6, 1, 4, 1, 0x82, 0xc4, 0x0a, 3, 9];

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { object(1, &[0xff]) } else { Vec::new() };
    object(0x30, &[object(6, oid), critical, object(4, value)].concat())
}

/// `CN=` and that.
fn name(common: &str) -> Vec<u8> {
    let attribute = [object(6, &[0x55, 4, 3]), object(0x0c, common.as_bytes())].concat();
    object(0x30, &object(0x31, &object(0x30, &attribute)))
}

/// A certificate (RFC 5280 section 4.1), valid as long as those of a YubiKey: for ever, near enough.
fn certify(issuing: &Pair, issuer: &[u8], subject: &[u8], key: &Pair, extensions: &[u8]) -> Option<Vec<u8>> {
    // ecdsa-with-SHA256
    let algorithm = object(0x30, &object(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]));
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).ok()?;
    serial[0] = serial[0] & 0x7f | 0x40;
    let time = |text: &[u8]| object(0x18, text);
    let signed = object(
        0x30,
        &[
            object(0xa0, &object(2, &[2])),
            object(2, &serial),
            algorithm.clone(),
            issuer.to_vec(),
            object(0x30, &[object(0x17, b"160314000000Z"), time(b"20520417000000Z")].concat()),
            subject.to_vec(),
            key.spki()?,
            object(0xa3, &object(0x30, extensions)),
        ]
        .concat(),
    );
    let Pair::P256(issuing) = issuing else { return None };
    let signature: p256::ecdsa::DerSignature = p256::ecdsa::SigningKey::from(issuing).sign(&signed);
    let bits = [&[0], signature.as_bytes()].concat();
    Some(object(0x30, &[signed, algorithm, object(3, &bits)].concat()))
}
