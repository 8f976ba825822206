//! What makes two events of two nodes the same event, and what look-ups find an event under.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{Filter, Kind};

/// 16 bytes of the SHA-256 of an event's kind and of what names it within its kind.
///
/// Two different events of one chain share an identity with a probability that needs no thought (2^-64 after
/// 2^32 events), and 16 bytes keep the index small.
///
/// Where several names make it, the first 5 bytes are of the first name alone. So the signatures of one block, by
/// far the most numerous events, stand side by side in an index: otherwise each that is stored would change
/// a page of its own, which was half of the CPU time of storing it. (The 11 bytes that tell them apart leave a
/// chance of 2^-74 within a block of a hundred signatures.)
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(pub [u8; 16]);

impl Identity {
    const NEIGHBOURHOOD: usize = 5;

    /// Identity of an event that is named by these texts within its kind. Hexadecimal may come in either case.
    pub fn of(kind: Kind, names: &[&str]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update([kind.code()]);
        let Some((first, others)) = names.split_first() else { return Self(first_16(hasher)) };
        update_lower_case(&mut hasher, first);
        if others.is_empty() {
            return Self(first_16(hasher));
        }
        let neighbourhood = first_16(hasher.clone());
        for name in others {
            update_lower_case(&mut hasher, name);
        }
        let mut identity = first_16(hasher);
        identity[..Self::NEIGHBOURHOOD].copy_from_slice(&neighbourhood[..Self::NEIGHBOURHOOD]);
        Self(identity)
    }

    /// Identity of an event that has no name: its content.
    pub fn of_content(kind: Kind, content: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update([kind.code()]);
        hasher.update(content);
        Self(first_16(hasher))
    }

    /// Identity of a `Shutdown`, which names nothing: who sent it, on which filter, in which run of the node's
    /// id counter, with which id.
    pub fn of_shutdown(node: &str, filter: Filter, run: u32, id: Option<u32>) -> Self {
        let id = id.map_or_else(String::new, |id| id.to_string());
        Self::of(Kind::Shutdown, &[node, filter.path(), &run.to_string(), &id])
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:032x})", u128::from_be_bytes(self.0))
    }
}

/// What a look-up finds events under, other than their identity: an ordered byte string of fixed length.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub [u8; 16]);

impl Key {
    const BLOCK_HEIGHT: u8 = 1;
    const SIGNED_BLOCK: u8 = 2;
    const FAULTY_VALIDATOR: u8 = 3;
    const FAULTY_ERA: u8 = 4;

    /// A block of this height. Keys of heights are ordered as the heights are.
    pub fn block_height(height: u64) -> Self {
        Self::numbered(Self::BLOCK_HEIGHT, height)
    }

    /// The finality signatures of the block with this hash.
    pub fn signed_block(block_hash: &str) -> Self {
        Self::named(Self::SIGNED_BLOCK, block_hash)
    }

    /// The faults of the validator with this public key.
    pub fn faulty_validator(public_key: &str) -> Self {
        Self::named(Self::FAULTY_VALIDATOR, public_key)
    }

    /// The faults within this era.
    pub fn faulty_era(era: u64) -> Self {
        Self::numbered(Self::FAULTY_ERA, era)
    }

    fn numbered(tag: u8, number: u64) -> Self {
        let mut key = [0; 16];
        key[0] = tag;
        key[8..].copy_from_slice(&number.to_be_bytes());
        Self(key)
    }

    /// The first digits of a hash or a public key are as good as a hash of it; any other name is hashed.
    fn named(tag: u8, name: &str) -> Self {
        let mut key = leading_digits(name).unwrap_or_else(|| {
            let mut hasher = Sha256::new();
            update_lower_case(&mut hasher, name);
            first_16(hasher)
        });
        key[0] = tag;
        Self(key)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:032x})", u128::from_be_bytes(self.0))
    }
}

/// The first 30 hexadecimal digits of `name` behind a byte that is free, if it is as long as a hash.
fn leading_digits(name: &str) -> Option<[u8; 16]> {
    let digits = name.as_bytes();
    if digits.len() < 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let value = |digit: u8| (digit & 0xf) + 9 * (digit >> 6);
    let mut bytes = [0; 16];
    for (byte, pair) in bytes[1..].iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0]) << 4 | value(pair[1]);
    }
    Some(bytes)
}

/// Feeds one name and its end, so that no two lists of names are the same stream of bytes.
fn update_lower_case(hasher: &mut Sha256, name: &str) {
    let mut block = [0; 128];
    for part in name.as_bytes().chunks(block.len()) {
        let lower = &mut block[..part.len()];
        lower.copy_from_slice(part);
        lower.make_ascii_lowercase();
        hasher.update(&*lower);
    }
    hasher.update([0]);
}

fn first_16(hasher: Sha256) -> [u8; 16] {
    let digest = hasher.finalize();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_names_match_in_either_case() {
        assert_eq!(Identity::of(Kind::BlockAdded, &["ab01"]), Identity::of(Kind::BlockAdded, &["AB01"]));
        assert_eq!(Key::signed_block("ab01"), Key::signed_block("Ab01"));
        let hash = "0123456789abcdef".repeat(4);
        assert_eq!(Key::signed_block(&hash), Key::signed_block(&hash.to_uppercase()));
        assert_eq!(Key::signed_block(&hash).0[1..4], [0x01, 0x23, 0x45]);
        assert_eq!(Key::signed_block(&hash.to_uppercase()).0[6..9], [0xab, 0xcd, 0xef]);
    }

    #[test]
    fn kinds_and_the_borders_of_names_tell_identities_apart() {
        let of = Identity::of;
        assert_ne!(of(Kind::DeployAccepted, &["ab"]), of(Kind::DeployProcessed, &["ab"]));
        assert_ne!(of(Kind::Fault, &["a", "bc"]), of(Kind::Fault, &["ab", "c"]));
    }

    #[test]
    fn identities_with_the_same_first_name_are_neighbours() {
        let [a, b] = ["01", "02"].map(|signer| Identity::of(Kind::FinalitySignature, &["ab", signer]).0);
        assert_eq!(a[..Identity::NEIGHBOURHOOD], b[..Identity::NEIGHBOURHOOD]);
        assert_ne!(a[Identity::NEIGHBOURHOOD..], b[Identity::NEIGHBOURHOOD..]);
        let other = Identity::of(Kind::FinalitySignature, &["cd", "01"]).0;
        assert_ne!(a[..Identity::NEIGHBOURHOOD], other[..Identity::NEIGHBOURHOOD]);
    }

    #[test]
    fn keys_of_heights_are_ordered_as_the_heights_are() {
        let heights = [0, 1, 255, 256, 65_535, 65_536, u64::MAX];
        assert!(heights.map(Key::block_height).is_sorted());
    }
}
