//! The control server of a mock node, over HTTP: the one thing that these checks may drive.

use serde_json::{Value, json};

use crate::{check::Deviation, wire::Origin};

/// One mock node.
pub(crate) struct NodeControl {
    origin: Origin,
    client: reqwest::Client,
}

impl NodeControl {
    pub(crate) fn new(origin: Origin, client: reqwest::Client) -> Self {
        Self { origin, client }
    }

    /// Sends an event with this data under the node's next id.
    pub(crate) async fn emit(&self, data: &str) -> Result<(), Deviation> {
        let data: Value =
            serde_json::from_str(data).map_err(|error| Deviation::new("JSON to emit", error))?;
        self.post("/emit", json!({ "data": data })).await
    }

    /// Stops in order, with `Shutdown` on all filters; connections are refused until [`Self::restart`].
    pub(crate) async fn shutdown(&self) -> Result<(), Deviation> {
        self.post("/shutdown", json!({})).await
    }

    /// Starts again after a shutdown.
    pub(crate) async fn restart(&self) -> Result<(), Deviation> {
        self.post("/restart", json!({})).await
    }

    /// What `ApiVersion` says to those who connect from now on.
    pub(crate) async fn set_api_version(&self, version: &str) -> Result<(), Deviation> {
        self.post("/version", json!({ "api_version": version })).await
    }

    /// What `build_version` of `/status` says from now on.
    pub(crate) async fn set_build_version(&self, version: &str) -> Result<(), Deviation> {
        self.post("/version", json!({ "build_version": version })).await
    }

    async fn post(&self, path: &str, body: Value) -> Result<(), Deviation> {
        let url = self.origin.url(path);
        let expected = || format!("the mock node to do as told: POST {url} {body}");
        let response = self.client.post(&url).json(&body).send().await;
        let response = response
            .map_err(|error| Deviation::new(expected(), format!("{:#}", anyhow::Error::from(error))))?;
        if response.status().is_success() {
            return Ok(());
        }
        let status = response.status();
        Err(Deviation::new(expected(), format!("{status} {}", response.text().await.unwrap_or_default())))
    }
}
