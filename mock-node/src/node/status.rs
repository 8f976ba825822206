//! `GET /status` of the REST port.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::Inner;
use crate::chain::timestamp;

/// How the node answers `/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatusBehaviour {
    /// As a real node.
    #[default]
    Normal,
    /// With this HTTP status and no body.
    Error(u16),
    /// With 200 and a body that is no JSON.
    Garbage,
    /// Not at all: the request is taken and never answered.
    Silent,
}

/// The body of a normal answer: the fields of a real 1.5.8 node.
pub(super) fn body(inner: &Inner) -> String {
    let (build_version, api_version, last_block, started) = {
        let state = inner.state();
        (state.build_version.clone(), state.api_version.clone(), state.last_block.clone(), state.started)
    };
    let block: Value = last_block.and_then(|data| serde_json::from_slice(&data).ok()).unwrap_or(Value::Null);
    let block = &block["BlockAdded"]["block"];
    let header = &block["header"];
    let height = header["height"].as_u64();
    let info = height.map_or(String::from("null"), |height| {
        format!(
            r#"{{"hash":{},"timestamp":{},"era_id":{},"height":{height},"state_root_hash":{},"creator":{}}}"#,
            block["hash"],
            header["timestamp"],
            header["era_id"],
            header["state_root_hash"],
            block["body"]["proposer"],
        )
    });
    let range = height.unwrap_or(0);
    let uptime = started.map_or(Duration::ZERO, |started| Instant::now().duration_since(started));
    let now = timestamp((inner.config.wall_clock)());
    let zeros = "0".repeat(64);
    // Written out, not serialised from a map, to keep the order of a real node's fields.
    format!(
        concat!(
            r#"{{"peers":[],"api_version":{},"build_version":{},"chainspec_name":{},"#,
            r#""starting_state_root_hash":"{}","last_added_block_info":{},"our_public_signing_key":null,"#,
            r#""round_length":null,"next_upgrade":null,"uptime":"{}","reactor_state":"Validate","#,
            r#""last_progress":"{}","available_block_range":{{"low":0,"high":{}}},"#,
            r#""block_sync":{{"historical":null,"forward":null}}}}"#
        ),
        json!(api_version),
        json!(build_version),
        json!(inner.config.chain_name),
        zeros,
        info,
        humantime::format_duration(Duration::from_millis(uptime.as_millis() as u64)),
        now,
        range,
    )
}
