//! The control server of mock nodes, over HTTP: the one thing that these checks may drive.

use serde::Deserialize;

use crate::{check::Deviation, wire::Origin};

/// One mock node.
pub(crate) struct NodeControl {
    /// The address of the node's part of the control server.
    url: String,
    client: reqwest::Client,
}

impl NodeControl {
    /// All nodes of a control server.
    pub(crate) async fn discover(control: &Origin, client: &reqwest::Client) -> anyhow::Result<Vec<Self>> {
        #[derive(Deserialize)]
        struct Listed {
            name: String,
        }
        let listed = client.get(control.url("/nodes")).send().await?.error_for_status()?;
        let nodes: Vec<Listed> = serde_json::from_slice(&listed.bytes().await?)?;
        let node =
            |Listed { name }| Self { url: control.url(&format!("/nodes/{name}")), client: client.clone() };
        Ok(nodes.into_iter().map(node).collect())
    }

    /// Sends an event with this data, to the byte, under the node's next id.
    pub(crate) async fn emit(&self, data: &str) -> Result<(), Deviation> {
        self.post("emit", format!("{{\"event\":{data}}}")).await
    }

    /// Stops in order, with `Shutdown` on all filters; connections are refused until [`Self::restart`].
    pub(crate) async fn shutdown(&self) -> Result<(), Deviation> {
        self.post("shutdown", String::new()).await
    }

    /// Starts again after a shutdown.
    pub(crate) async fn restart(&self) -> Result<(), Deviation> {
        self.post("restart", String::new()).await
    }

    /// What `ApiVersion` says to those who connect from now on.
    pub(crate) async fn set_api_version(&self, version: &str) -> Result<(), Deviation> {
        self.post("versions", format!("{{\"api_version\":\"{version}\"}}")).await
    }

    /// What `build_version` of `/status` says from now on.
    pub(crate) async fn set_build_version(&self, version: &str) -> Result<(), Deviation> {
        self.post("versions", format!("{{\"build_version\":\"{version}\"}}")).await
    }

    async fn post(&self, call: &str, body: String) -> Result<(), Deviation> {
        let url = format!("{}/{call}", self.url);
        let expected = format!("the mock node to do as told: POST {url} {body}");
        let request = self.client.post(&url).header("content-type", "application/json").body(body);
        match request.send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => {
                let status = response.status();
                Err(Deviation::new(
                    expected,
                    format!("{status} {}", response.text().await.unwrap_or_default()),
                ))
            }
            Err(error) => Err(Deviation::new(expected, format!("{:#}", anyhow::Error::from(error)))),
        }
    }
}
