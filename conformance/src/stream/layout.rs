//! The layout of the stream, to the byte, and what a browser makes of it.

use eventsource_stream::Eventsource as _;
use futures_util::StreamExt as _;
use tokio::time::Instant;

use crate::{
    check::{Check, Deviation, Finding, Need, Section, ensure},
    sse::{Block, take_block},
    subscription::Endpoint,
    target::Target,
};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "stream.layout.message",
        section: Section::Page("The API Version of Node Events"),
        says: "Sample: data:<JSON>, line feed, id:<number>, line feed, blank line; no space after the colons, nothing else",
        needs: &[Need::Events],
        run: |target| Box::pin(message(target)),
    },
    Check {
        id: "stream.layout.json",
        section: Section::Page("The Casper Event Sidecar"),
        says: "The node's Event Stream API returns Server-Sent Events in JSON format: an object with one tag, or \"Shutdown\"",
        needs: &[Need::Events],
        run: |target| Box::pin(json(target)),
    },
    Check {
        id: "stream.layout.browser",
        section: Section::Standard("HTML, server-sent events"),
        says: "A reader by the standard sees the same messages, unnamed (so that onmessage gets them), without retry",
        needs: &[Need::Events],
        run: |target| Box::pin(browser(target)),
    },
];

async fn message(target: &Target) -> Finding {
    let (mut messages, mut keep_alives) = (0, 0);
    for endpoint in Endpoint::ALL {
        for capture in [target.opening(endpoint).await?, target.replay(endpoint).await?] {
            messages += capture.messages().count();
            keep_alives += capture.blocks.len() - capture.messages().count();
        }
    }
    ensure(messages > 0, "some message", "none")?;
    Ok(format!("{messages} messages and {keep_alives} keep-alives, each of the one layout"))
}

async fn json(target: &Target) -> Finding {
    let mut count = 0;
    for endpoint in Endpoint::ALL {
        for message in target.replay(endpoint).await?.messages() {
            let value: Result<serde_json::Value, _> = serde_json::from_str(&message.data);
            let tagged = match &value {
                Ok(serde_json::Value::Object(object)) => object.len() == 1,
                Ok(serde_json::Value::String(text)) => text == "Shutdown",
                _ => false,
            };
            ensure(tagged, "a JSON object with one tag, or \"Shutdown\"", &message.data)?;
            count += 1;
        }
    }
    ensure(count > 0, "some message", "none")?;
    Ok(format!("{count} messages are JSON with one tag"))
}

/// Reads the same bytes with an independent parser of the standard.
async fn browser(target: &Target) -> Finding {
    let from = target.seeded().await?;
    let mut count = 0;
    for endpoint in Endpoint::ALL {
        let path = format!("{}?start_from={from}", endpoint.path());
        let mut reply = target.stream("GET", &path, &[("Accept", "text/event-stream")]).await?;
        let mut bytes = Vec::new();
        // On a live chain it is never quiet.
        let end = Instant::now() + target.pace().reply;
        loop {
            let deadline = end.min(Instant::now() + target.pace().quiet);
            match reply.read(&mut bytes, deadline).await? {
                Some(None) if bytes.len() < 4 * 1024 * 1024 && Instant::now() < end => {}
                _ => break,
            }
        }
        ensure(!bytes.starts_with(b"\xef\xbb\xbf"), "no byte order mark", "one")?;
        count += same_messages(bytes, endpoint).await?;
    }
    Ok(format!("{count} messages read alike by an independent reader"))
}

async fn same_messages(mut bytes: Vec<u8>, endpoint: Endpoint) -> Result<usize, Deviation> {
    let whole = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(bytes.clone())]);
    let events: Vec<_> = whole.eventsource().collect().await;
    let mut ours = Vec::new();
    while let Some(block) = take_block(&mut bytes)? {
        if let Block::Message(message) = block {
            ours.push(message);
        }
    }
    let expected = format!("{} messages on {} for a reader by the standard", ours.len(), endpoint.path());
    ensure(events.len() == ours.len(), expected, events.len())?;
    let mut last_id = String::new();
    for (event, message) in events.into_iter().zip(&ours) {
        let event = event.map_err(|error| Deviation::new("a stream by the standard", error))?;
        ensure(event.event == "message", "unnamed events", format!("event: {}", event.event))?;
        ensure(event.retry.is_none(), "no retry field", format!("{:?}", event.retry))?;
        ensure(event.data == message.data, "the same data", &event.data)?;
        // By the standard the last id stays in force for messages without one.
        if let Some(id) = message.id {
            last_id = id.to_string();
        }
        ensure(event.id == last_id, format!("last event id '{last_id}'"), &event.id)?;
    }
    Ok(ours.len())
}
