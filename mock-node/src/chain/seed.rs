//! Where hashes, keys and choices come from: SHA-256 of the seed, a word for what it is, and counters.

use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};

/// Multiples of secp256k1's generator, compressed: valid keys whose secrets everybody knows.
const SECP256K1: [&str; 5] = [
    "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
    "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
    "02e493dbf1c10d80f3581e4904930b1404cc6c13900ee0758474fa94abe8c4cd13",
    "022f8bde4d1a07209355b4a7250a5c5128e88b84bddc619ab7cba8d569b240efe4",
];

#[derive(Debug, Clone, Copy)]
pub(super) struct Seed(pub(super) u64);

impl Seed {
    pub(super) fn bytes(self, what: &str, a: u64, b: u64) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(self.0.to_le_bytes());
        hasher.update(a.to_le_bytes());
        hasher.update(b.to_le_bytes());
        hasher.update(what);
        hasher.finalize().into()
    }

    /// 64 hex digits.
    pub(super) fn hash(self, what: &str, a: u64, b: u64) -> String {
        hex(&self.bytes(what, a, b))
    }

    /// A number below `bound`.
    pub(super) fn below(self, bound: u64, what: &str, a: u64, b: u64) -> u64 {
        let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = self.bytes(what, a, b);
        u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]) % bound.max(1)
    }

    /// A public key: its algorithm's tag and a point of its curve.
    pub(super) fn public_key(self, what: &str, number: u64) -> String {
        if number % 5 == 4 {
            return format!("02{}", SECP256K1[(number / 5) as usize % SECP256K1.len()]);
        }
        let secret = SigningKey::from_bytes(&self.bytes(what, number, 0));
        format!("01{}", hex(secret.verifying_key().as_bytes()))
    }

    /// A signature that the parsers of both algorithms take: 64 bytes, both halves below the order of the curve.
    pub(super) fn signature(self, signer: &str, what: &str, a: u64, b: u64) -> String {
        let (mut r, mut s) = (self.bytes(what, a, b), self.bytes("signature", a, b));
        if signer.starts_with("02") {
            r[0] &= 0x7f;
            s[0] &= 0x7f;
        } else {
            s[31] &= 0x0f;
        }
        format!("{}{}{}", &signer[..2], hex(&r), hex(&s))
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
