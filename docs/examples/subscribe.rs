//! Prints the id and the height of each block. Started again, it goes on after the last one that it printed.
//!
//! Usage: `cargo run -p conformance --example subscribe -- URL FILE`, such as
//! `.. -- http://127.0.0.1:19999/events/main last-id`

use std::error::Error;
use std::time::Duration;

use eventsource_stream::Eventsource;
use futures_util::StreamExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, file] = arguments.as_slice() else { return Err("usage: subscribe URL FILE".into()) };
    // The sidecar sends something every 15 seconds. Silence for longer means that the connection is dead.
    let client = reqwest::Client::builder().read_timeout(Duration::from_secs(45)).build()?;
    loop {
        if let Err(error) = subscribe(&client, url, file).await {
            eprintln!("{error}; trying again");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Reads one connection to its end.
async fn subscribe(client: &reqwest::Client, url: &str, file: &str) -> Result<(), Box<dyn Error>> {
    let last: u64 = std::fs::read_to_string(file).map_or(Ok(0), |text| text.trim().parse())?;
    let answer = client.get(format!("{url}?start_from={}", last + 1)).send().await?.error_for_status()?;
    let mut events = answer.bytes_stream().eventsource();
    while let Some(event) = events.next().await {
        let event = event?;
        let json: serde_json::Value = serde_json::from_str(&event.data)?;
        // A version has no id of its own; the reader then shows that of the event before, or none.
        if json.get("ApiVersion").is_some() {
            continue;
        }
        if let Some(height) = json.pointer("/BlockAdded/block/header/height") {
            println!("{} block {height}", event.id);
        }
        std::fs::write(file, &event.id)?; // Only now: what was not printed yet comes again.
    }
    Ok(())
}
