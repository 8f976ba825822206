//! Identities that were appended lately: what several nodes send at about the same time need not go to the
//! database to be known as the same.

use std::collections::HashSet;

use crate::event::Identity;

/// Identities in each of the two generations: three nodes are seldom further apart than this many events.
const GENERATION: usize = 8192;

/// A bounded set that forgets the oldest half at once.
#[derive(Debug, Default)]
pub(super) struct Recent {
    young: HashSet<Identity>,
    old: HashSet<Identity>,
}

impl Recent {
    /// Whether it was appended lately. If not, it may be known to the log all the same.
    pub(super) fn contains(&self, identity: &Identity) -> bool {
        self.young.contains(identity) || self.old.contains(identity)
    }

    /// It is in the log.
    pub(super) fn insert(&mut self, identity: Identity) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(identity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_generation_is_remembered_and_memory_is_bounded() {
        let identity = |n: u32| {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&n.to_be_bytes());
            Identity(bytes)
        };
        let mut recent = Recent::default();
        let last = 5 * GENERATION as u32;
        (0..last).for_each(|n| recent.insert(identity(n)));
        assert!((last - GENERATION as u32..last).all(|n| recent.contains(&identity(n))));
        assert!(!recent.contains(&identity(0)));
        assert!(recent.young.len() + recent.old.len() <= 2 * GENERATION);
    }
}
