//! What a node tells of itself on `/status`.

use std::sync::Arc;

use serde::Deserialize;

use super::request::{self, RequestError};
use crate::config::Connection;
use crate::environment::Environment;
use crate::event::ApiVersion;

/// The oldest version of a node's software that is listened to (the original sidecar's rule).
const OLDEST: (u64, u64, u64) = (1, 5, 2);

/// The first version of the generation that has other endpoints and events.
const NEXT_GENERATION: (u64, u64, u64) = (2, 0, 0);

/// What a node tells of itself. It tells much more, which nobody here needs.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    build_version: String,
    chainspec_name: Arc<str>,
}

/// Why there is no usable status.
#[derive(Debug, thiserror::Error)]
pub(super) enum StatusError {
    /// It was not answered.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It was answered with something else.
    #[error("GET status was answered with no status of a node")]
    Garbage(#[from] serde_json::Error),
}

impl Status {
    /// Asks the node.
    pub(super) async fn get<E: Environment>(environment: &E, node: &Connection) -> Result<Self, StatusError> {
        let text = request::get(environment, node, node.rest_port, "status").await?.text().await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The name of the chain.
    pub(super) fn chain(&self) -> &Arc<str> {
        &self.chainspec_name
    }

    /// Why no events are taken from a node of this version, if so.
    pub(super) fn incompatibility(&self) -> Option<String> {
        match ApiVersion::triple_of(&self.build_version) {
            None => Some(format!("its build_version {:?} is no version", self.build_version)),
            Some(version) if version < OLDEST => {
                Some(format!("its version is {}, and must be at least 1.5.2", self.build_version))
            }
            Some(version) if version >= NEXT_GENERATION => Some(format!(
                "its version is {}, and versions from 2.0.0 on are not supported yet",
                self.build_version
            )),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(build_version: &str, expected: Option<&str>) {
        let status = Status { build_version: build_version.to_owned(), chainspec_name: "casper".into() };
        assert_eq!(status.incompatibility().as_deref(), expected);
    }

    #[test]
    fn nodes_of_the_1_5_line_from_1_5_2_on_are_listened_to() {
        check("1.5.8-0a1b2c3d4", None);
        check("1.5.2", None);
        check("1.6.0", None);
        check("1.4.15-abc", Some("its version is 1.4.15-abc, and must be at least 1.5.2"));
        check(
            "2.0.0-rc7",
            Some("its version is 2.0.0-rc7, and versions from 2.0.0 on are not supported yet"),
        );
        check("unknown", Some("its build_version \"unknown\" is no version"));
    }

    #[test]
    fn a_real_status_is_read() {
        let text = r#"{"peers":[],"api_version":"1.5.8","build_version":"1.5.8","chainspec_name":"casper-example","next_upgrade":null}"#;
        let status: Status = serde_json::from_str(text).expect("a status");
        assert_eq!((&**status.chain(), status.incompatibility()), ("casper-example", None));
    }
}
