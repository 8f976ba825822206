//! Which API version is in force.
//!
//! Pure. The version in force is the highest seen; a rise is announced, an equal or older version of another
//! node is not, and a newer node's leaving changes nothing. Only when the very node that set the version comes
//! back with a lower one, and no connected node has a higher, is the lower one in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::ApiVersion;
use crate::store::InForce;

/// The version in force, and those of the connected nodes.
#[derive(Debug, Default)]
pub(super) struct Versions {
    in_force: Option<InForce>,
    connected: BTreeMap<Arc<str>, ApiVersion>,
}

impl Versions {
    /// Goes on with what was in force.
    pub(super) fn new(in_force: Option<InForce>) -> Self {
        Self { in_force, connected: BTreeMap::new() }
    }

    /// The version in force.
    pub(super) fn current(&self) -> Option<&ApiVersion> {
        self.in_force.as_ref().map(|in_force| &in_force.version)
    }

    /// A node announced a version: what is in force from now on, if that changes it.
    pub(super) fn announced(&mut self, node: &Arc<str>, version: ApiVersion) -> Option<&InForce> {
        self.connected.insert(node.clone(), version.clone());
        let changes = match &self.in_force {
            None => true,
            Some(old) if version > old.version => true,
            Some(old) if version < old.version && old.node == *node => {
                !self.connected.values().any(|connected| *connected > version)
            }
            Some(_) => false,
        };
        if !changes {
            return None;
        }
        Some(self.in_force.insert(InForce { version, node: node.clone() }))
    }

    /// There is no connection to a node any more.
    pub(super) fn left(&mut self, node: &str) {
        self.connected.remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `node version` or `node left` and collects what is announced.
    #[track_caller]
    fn check(script: &str, expected: &[&str]) {
        let mut versions = Versions::default();
        let mut announced = Vec::new();
        for line in script.split(", ") {
            let (node, what) = line.split_once(' ').expect("node and what");
            if what == "left" {
                versions.left(node);
            } else if let Some(new) =
                versions.announced(&node.into(), ApiVersion::new(what, what).expect("a version"))
            {
                announced.push(new.version.to_string());
            }
        }
        assert_eq!(announced, expected, "{script}");
    }

    #[test]
    fn a_rise_is_announced_once() {
        check("a 1.5.2, a 1.5.2, a 1.5.3, b 1.5.3", &["1.5.2", "1.5.3"]);
        check("a 1.5.9, a 1.5.10", &["1.5.9", "1.5.10"]);
    }

    #[test]
    fn an_older_version_of_another_node_is_not_announced() {
        check("a 1.5.3, b 1.5.2", &["1.5.3"]);
        check("a 1.5.3, b 1.5.2, a left, b left, b 1.5.2", &["1.5.3"]);
    }

    #[test]
    fn the_node_that_set_the_version_may_lower_it() {
        check("a 1.5.3, a left, a 1.5.2", &["1.5.3", "1.5.2"]);
        check("a 1.5.3, b 1.5.2, a left, a 1.5.2", &["1.5.3", "1.5.2"]);
    }

    #[test]
    fn not_while_a_connected_node_has_a_higher_one() {
        check("a 1.5.3, b 1.5.3, a left, a 1.5.2", &["1.5.3"]);
        check("a 1.5.3, b 1.5.3, b left, a left, a 1.5.2", &["1.5.3", "1.5.2"]);
    }
}
