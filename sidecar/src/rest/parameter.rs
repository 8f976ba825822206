//! What a path names: each form in which a client may name something, checked when it is read.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use crate::refusal::Refusal;

/// A segment of the path, of the form `T`.
pub(super) struct Named<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for Named<T>
where
    T: FromStr<Err = Refusal>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Refusal::Parameter("expected UTF-8".to_owned()))?;
        text.parse().map(Self)
    }
}

/// The hash of a block or a deploy: 64 hexadecimal digits in either case.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hash(pub(super) String);

/// What a block is found by.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BlockName {
    Hash(Hash),
    Height(u64),
}

/// What faults are found by.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FaultName {
    /// The public key of a validator, with the tag of its algorithm in front.
    PublicKey(String),
    Era(u64),
}

/// A number without sign or space.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Number(pub(super) u64);

const HASH_DIGITS: usize = 64;

/// Digits of an Ed25519 and of a Secp256k1 key, tag included.
const KEY_DIGITS: [usize; 2] = [66, 68];

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

fn hash(text: &str) -> Option<Hash> {
    (text.len() == HASH_DIGITS && is_hexadecimal(text)).then(|| Hash(text.to_owned()))
}

fn refused<T>(expected: &str) -> Result<T, Refusal> {
    Err(Refusal::Parameter(format!("expected {expected}")))
}

impl FromStr for Hash {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        hash(text).map_or_else(|| refused("a hash of 64 hexadecimal digits"), Ok)
    }
}

impl FromStr for BlockName {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        match (hash(text), number(text)) {
            (Some(hash), _) => Ok(Self::Hash(hash)),
            (None, Some(height)) => Ok(Self::Height(height)),
            (None, None) => refused("a block hash of 64 hexadecimal digits, or a block height"),
        }
    }
}

impl FromStr for FaultName {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if KEY_DIGITS.contains(&text.len()) && is_hexadecimal(text) {
            return Ok(Self::PublicKey(text.to_owned()));
        }
        let expected = "a public key of 66 or 68 hexadecimal digits, or the number of an era";
        number(text).map_or_else(|| refused(expected), |era| Ok(Self::Era(era)))
    }
}

impl FromStr for Number {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        number(text)
            .map_or_else(|| refused("a number from 0 to 18446744073709551615"), |number| Ok(Self(number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: FromStr + PartialEq + std::fmt::Debug>(text: &str, expected: Option<T>) {
        assert_eq!(text.parse().ok(), expected, "{text:?}");
    }

    #[test]
    fn blocks_are_named_by_hash_or_height() {
        let upper = "AB".repeat(32);
        let digits = "1".repeat(64);
        check(&upper, Some(BlockName::Hash(Hash(upper.clone()))));
        check(&digits, Some(BlockName::Hash(Hash(digits.clone()))));
        check("0", Some(BlockName::Height(0)));
        check("18446744073709551615", Some(BlockName::Height(u64::MAX)));
        for wrong in ["", "-1", "+1", " 1", "xyz", "18446744073709551616", &digits[1..], &"g".repeat(64)] {
            check::<BlockName>(wrong, None);
        }
    }

    #[test]
    fn faults_are_named_by_public_key_or_era() {
        let (ed25519, secp256k1) = (format!("01{}", "a".repeat(64)), format!("02{}", "B".repeat(66)));
        check(&ed25519, Some(FaultName::PublicKey(ed25519.clone())));
        check(&secp256k1, Some(FaultName::PublicKey(secp256k1.clone())));
        check("7", Some(FaultName::Era(7)));
        for wrong in ["", "01abc", &"a".repeat(67), &"x".repeat(66)] {
            check::<FaultName>(wrong, None);
        }
    }

    #[test]
    fn hashes_and_numbers_are_taken_in_their_own_form_only() {
        check(&"0".repeat(64), Some(Hash("0".repeat(64))));
        check::<Hash>("0", None);
        check::<Hash>(&"é".repeat(32), None);
        check("00", Some(Number(0)));
        check::<Number>("1.0", None);
    }
}
