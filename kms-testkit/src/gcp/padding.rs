//! Raw PKCS #1: the service pads what it is given.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};

use crate::material::{Done, Material, Unfit};

impl Material {
    /// RSASSA-PKCS1-v1_5 over what is to be padded, `DigestInfo` or not.
    pub(crate) fn sign_padded(&self, data: &[u8]) -> Done<Vec<u8>> {
        let Self::Rsa(key) = self else { return Err(Unfit::Misfit) };
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(key).map_err(|_| Unfit::Broken("cannot sign"))?;
        let key = RsaPrivateKey::from_pkcs8_der(pkcs8.as_ref()).map_err(|_| Unfit::Broken("cannot sign"))?;
        key.sign(Pkcs1v15Sign::new_unprefixed(), data).map_err(|_| Unfit::TooLong)
    }
}
