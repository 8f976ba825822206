//! Limits of the servers. These checks press, so they are not for a sidecar in production: they ask for a scripted node.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::Instant;

use crate::{
    check::{Check, Deviation, Finding, Need, Section, ensure},
    subscription::Subscription,
    target::{Answer, Server, Target},
};

const STREAM: Section = Section::Sidecar("event stream server");
const REST: Section = Section::Sidecar("REST server");

/// More subscribers than this are not tried. The default limit is 100.
const MOST_SUBSCRIBERS: usize = 250;
/// Requests of a burst, and how many of them are under way at once.
const BURST: usize = 300;
const UNDER_WAY: usize = 60;
/// A request over the limit waits "at most about a second".
const LONGEST_WAIT: Duration = Duration::from_secs(5);

pub(crate) const CHECKS: &[Check] = &[
    Check {
        id: "limits.subscribers",
        section: STREAM,
        says: "Over max_concurrent_subscribers: 503 with a text; those who are connected stay",
        needs: &[Need::Events, Need::Node],
        run: |target| Box::pin(too_many_subscribers(target)),
    },
    Check {
        id: "limits.subscribers.room-again",
        section: STREAM,
        says: "The place of a subscriber who left is free again",
        needs: &[Need::Events, Need::Node],
        run: |target| Box::pin(room_again(target)),
    },
    Check {
        id: "limits.rest.refusal",
        section: REST,
        says: "Over the limits a request waits about a second, then 503 or 429 with Retry-After in the shape of errors",
        needs: &[Need::Rest, Need::Node],
        run: |target| Box::pin(refusal(target)),
    },
    Check {
        id: "limits.rest.answered",
        section: REST,
        says: "Every request over the limits is answered, none is dropped: 300 connections at once",
        needs: &[Need::Rest, Need::Node],
        run: |target| Box::pin(answered(target)),
    },
];

/// Subscribes until refused. Gives the subscriptions, and status and text of the refusal.
async fn fill(target: &Target) -> Result<(Vec<Subscription>, u16, String), Deviation> {
    let mut taken = Vec::new();
    while taken.len() < MOST_SUBSCRIBERS {
        let reply = target.stream("GET", "/events/sidecar", &[]).await?;
        if reply.status != 200 {
            let status = reply.status;
            return Ok((taken, status, reply.text(target.pace().quiet).await?));
        }
        taken.push(Subscription::new(reply));
    }
    Err(Deviation::nothing(format!("no limit within {MOST_SUBSCRIBERS} subscribers")))
}

async fn too_many_subscribers(target: &Target) -> Finding {
    let (mut taken, status, text) = fill(target).await?;
    let seen = format!("{status} {text} after {}", taken.len());
    ensure(status == 503 && !text.trim().is_empty(), "503 with a text", &seen)?;
    if let Some(first) = taken.first_mut() {
        first.message(target.pace().reply).await?;
        let after = first.next(Instant::now() + target.pace().settle / 2).await?;
        let ended = matches!(after, crate::subscription::Next::End(_));
        ensure(!ended, "those who are connected to stay", format!("{after:?}"))?;
    }
    Ok(seen)
}

async fn room_again(target: &Target) -> Finding {
    let (mut taken, status, text) = fill(target).await?;
    ensure(status == 503, "503 at the limit", format!("{status} {text}"))?;
    taken.truncate(taken.len().saturating_sub(3));
    let deadline = Instant::now() + target.pace().event;
    loop {
        let reply = target.stream("GET", "/events/sidecar", &[]).await?;
        if reply.status == 200 {
            return Ok(format!("200 again with {} connected", taken.len() + 1));
        }
        ensure(Instant::now() < deadline, "room when three have left", reply.status)?;
        tokio::time::sleep(target.pace().settle / 10).await;
    }
}

/// What came of a burst.
struct Burst {
    refusals: Vec<Answer>,
    longest: Duration,
}

/// Sends the requests of a burst, `under_way` at a time. Each must be answered.
async fn burst(target: &Target, under_way: usize) -> Result<Burst, Deviation> {
    let requests = futures_util::stream::iter(0..BURST).map(async |_| {
        let start = Instant::now();
        (target.get(Server::Rest, "/step/9007199254740990").await, start.elapsed())
    });
    let answers: Vec<_> = requests.buffer_unordered(under_way).collect().await;
    let mut burst = Burst { refusals: Vec::new(), longest: Duration::ZERO };
    for (answer, took) in answers {
        let answer = answer?;
        burst.longest = burst.longest.max(took);
        // 404: let through, and nothing found.
        if answer.status != 404 {
            burst.refusals.push(answer);
        }
    }
    Ok(burst)
}

async fn refusal(target: &Target) -> Finding {
    let Burst { refusals, longest } = burst(target, UNDER_WAY).await?;
    for answer in &refusals {
        let right = [429, 503].contains(&answer.status);
        ensure(right, "404 (nothing found), 429 or 503", answer)?;
        ensure(
            answer.header("retry-after").parse::<u64>().is_ok(),
            "Retry-After",
            answer.header("retry-after"),
        )?;
        let body = answer.json()?;
        let shaped = body["code"] == answer.status && body["message"].is_string();
        ensure(shaped, "{\"code\":..,\"message\":..}", answer)?;
    }
    let seen = format!("{} of {BURST} refused, the longest wait {} ms", refusals.len(), longest.as_millis());
    ensure(longest < LONGEST_WAIT, "a wait of about a second at most", &seen)?;
    if refusals.is_empty() {
        return Err(Deviation::nothing(format!(
            "{BURST} requests, {UNDER_WAY} at a time, are within the limits"
        )));
    }
    Ok(seen)
}

async fn answered(target: &Target) -> Finding {
    let Burst { refusals, longest } = burst(target, BURST).await?;
    Ok(format!("{} of {BURST} refused, the longest wait {} ms", refusals.len(), longest.as_millis()))
}
