//! Coming back: `start_from` and `Last-Event-ID`.

use crate::{
    check::{Check, Deviation, Finding, Need, Section, ensure},
    sse::Message,
    subscription::Endpoint,
    target::Target,
};

const REPLAY: Section = Section::Sidecar("replay");

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "stream.start-from.inclusive",
        section: REPLAY,
        says: "start_from=N replays the entries with id >= N",
        needs: &[Need::Events],
        run: |target| Box::pin(inclusive(target)),
    },
    Check {
        id: "stream.start-from.same-bytes",
        section: REPLAY,
        says: "A replay gives the same entries in the same order each time, with or without a slash in the path",
        needs: &[Need::Events],
        run: |target| Box::pin(same_bytes(target)),
    },
    Check {
        id: "stream.start-from.zero",
        section: REPLAY,
        says: "start_from=0 replays from the oldest entry that is kept",
        needs: &[Need::Events],
        run: |target| Box::pin(zero(target)),
    },
    Check {
        id: "stream.start-from.future",
        section: REPLAY,
        says: "start_from beyond the newest entry replays nothing and goes live at once",
        needs: &[Need::Events],
        run: |target| Box::pin(future(target)),
    },
    Check {
        id: "stream.start-from.version-first",
        section: REPLAY,
        says: "Each run of replayed entries is preceded by the ApiVersion that was in force",
        needs: &[Need::Events],
        run: |target| Box::pin(version_first(target)),
    },
    Check {
        id: "stream.no-start-from.live",
        section: REPLAY,
        says: "Without start_from and Last-Event-ID nothing is replayed",
        needs: &[Need::Events],
        run: |target| Box::pin(live(target)),
    },
    Check {
        id: "stream.last-event-id.exclusive",
        section: Section::Standard("HTML, server-sent events"),
        says: "Last-Event-ID: N, which a browser sends when it reconnects, goes on after N",
        needs: &[Need::Events],
        run: |target| Box::pin(exclusive(target)),
    },
    Check {
        id: "stream.last-event-id.not-a-number",
        section: REPLAY,
        says: "A Last-Event-ID that is no number counts as absent",
        needs: &[Need::Events],
        run: |target| Box::pin(not_a_number(target)),
    },
    Check {
        id: "stream.start-from.wins",
        section: REPLAY,
        says: "start_from wins over Last-Event-ID",
        needs: &[Need::Events],
        run: |target| Box::pin(wins(target)),
    },
];

/// The entries of the longest replay among the node's endpoints, at least three.
async fn longest(target: &Target) -> Result<(Endpoint, Vec<(u64, &Message)>), Deviation> {
    let mut longest = (Endpoint::Main, Vec::new());
    for endpoint in Endpoint::NODE {
        let entries: Vec<_> = target.replay(endpoint).await?.entries().collect();
        if entries.len() > longest.1.len() {
            longest = (endpoint, entries);
        }
    }
    if longest.1.len() < 3 {
        return Err(Deviation::nothing("the sidecar replays fewer than three events"));
    }
    Ok(longest)
}

/// The first entry of a subscription.
async fn first_entry(
    target: &Target,
    endpoint: Endpoint,
    query: &str,
    headers: &[(&str, &str)],
) -> Result<Message, Deviation> {
    let mut stream = target.subscribe_with(endpoint, query, headers).await?;
    stream.until(target.pace().reply, |message| !message.is_version()).await
}

async fn expect_first(
    target: &Target,
    endpoint: Endpoint,
    query: &str,
    headers: &[(&str, &str)],
    expected: (u64, &Message),
) -> Finding {
    let seen = first_entry(target, endpoint, query, headers).await?;
    let (id, message) = expected;
    let text = format!("entry {id} first for {}{query} {headers:?}", endpoint.path());
    ensure(
        seen.id == Some(id) && seen.data == message.data,
        text,
        format!("id {:?}: {}", seen.id, seen.data),
    )?;
    Ok(format!("{}{query} {headers:?} begins with {id}", endpoint.path()))
}

async fn inclusive(target: &Target) -> Finding {
    let (endpoint, entries) = longest(target).await?;
    let at = entries[entries.len() / 2];
    expect_first(target, endpoint, &format!("?start_from={}", at.0), &[], at).await
}

async fn same_bytes(target: &Target) -> Finding {
    let (endpoint, entries) = longest(target).await?;
    let from = entries[0].0;
    let path = format!("{}/?start_from={from}", endpoint.path());
    let reply = target.stream("GET", &path, &[]).await?;
    let again = crate::subscription::Subscription::new(reply);
    let again = again.capture(target.pace().quiet, target.pace().reply).await?;
    let mut compared = 0;
    for ((id, message), (other_id, other)) in entries.iter().zip(again.entries()) {
        let same = *id == other_id && message.data == other.data;
        ensure(same, format!("entry {id} again: {}", message.data), format!("{other_id}: {}", other.data))?;
        compared += 1;
    }
    let expected = format!("at least {} entries again", entries.len());
    ensure(compared == entries.len(), expected, compared)?;
    Ok(format!("{compared} entries, the same on both connections"))
}

async fn zero(target: &Target) -> Finding {
    let (endpoint, entries) = longest(target).await?;
    let first = first_entry(target, endpoint, "?start_from=0", &[]).await?;
    let seen = format!("first entry {:?}", first.id);
    ensure(
        first.id.is_some_and(|id| id <= entries[0].0),
        format!("an entry not above {}", entries[0].0),
        &seen,
    )?;
    Ok(seen)
}

async fn future(target: &Target) -> Finding {
    let query = format!("?start_from={}", 1_u64 << 52);
    let mut stream = target.subscribe_with(Endpoint::Main, &query, &[]).await?;
    let messages = stream.messages(target.pace().settle, target.pace().settle).await?;
    let replayed = messages.iter().find(|message| !message.is_version());
    // A chain that is alive may send something in these moments; a replay would begin with the oldest.
    let head = target.replay(Endpoint::Main).await?.entries().map(|(id, _)| id).max();
    let old = replayed.filter(|message| message.id <= head);
    ensure(old.is_none(), format!("nothing old for {query}"), format!("{old:?}"))?;
    let opened = messages.first().is_some_and(Message::is_version);
    ensure(opened, "an opening with ApiVersion", format!("{messages:?}"))?;
    Ok("the opening, nothing replayed, the stream stays open".to_owned())
}

async fn version_first(target: &Target) -> Finding {
    let (endpoint, entries) = longest(target).await?;
    let query = format!("?start_from={}", entries[entries.len() / 2].0);
    let mut stream = target.subscribe_with(endpoint, &query, &[]).await?;
    let first = stream.message(target.pace().reply).await?;
    ensure(first.kind() == "ApiVersion", format!("ApiVersion before the entries of {query}"), &first.data)?;
    let second = stream.message(target.pace().reply).await?;
    ensure(second.id.is_some(), "an entry behind it", &second.data)?;
    Ok(format!("{} before entry {:?}", first.data, second.id))
}

async fn live(target: &Target) -> Finding {
    let (_, entries) = longest(target).await?;
    let known: Vec<u64> = entries.iter().map(|(id, _)| *id).collect();
    for endpoint in Endpoint::NODE {
        let old = target.opening(endpoint).await?.entries().find(|(id, _)| known.contains(id));
        ensure(old.is_none(), format!("nothing replayed on {}", endpoint.path()), format!("{old:?}"))?;
    }
    Ok("the version, then only what is new".to_owned())
}

async fn exclusive(target: &Target) -> Finding {
    let (endpoint, entries) = longest(target).await?;
    let middle = entries.len() / 2;
    let header = entries[middle - 1].0.to_string();
    expect_first(target, endpoint, "", &[("Last-Event-ID", &header)], entries[middle]).await
}

async fn not_a_number(target: &Target) -> Finding {
    let (endpoint, entries) = longest(target).await?;
    for header in ["abc", "-1", "1.5", ""] {
        let mut stream = target.subscribe_with(endpoint, "", &[("Last-Event-ID", header)]).await?;
        let messages = stream.messages(target.pace().settle / 2, target.pace().settle / 2).await?;
        let old = messages.iter().find(|message| entries.iter().any(|(id, _)| message.id == Some(*id)));
        ensure(old.is_none(), format!("nothing replayed for Last-Event-ID: {header}"), format!("{old:?}"))?;
    }
    Ok("200 and nothing replayed for 'abc', '-1', '1.5' and ''".to_owned())
}

async fn wins(target: &Target) -> Finding {
    let (endpoint, entries) = longest(target).await?;
    let last = entries[entries.len() - 1].0.to_string();
    let query = format!("?start_from={}", entries[1].0);
    expect_first(target, endpoint, &query, &[("Last-Event-ID", &last)], entries[1]).await
}
