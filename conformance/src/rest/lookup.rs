//! Each path, against the events that went in. What went in is taken from the stream of the same sidecar.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::{
    check::{Check, Deviation, Finding, Need, Section, ensure},
    sse::Message,
    target::{Answer, Server, Target},
};

const REST: Section = Section::Sidecar("REST server");
const BOTH: &[Need] = &[Need::Rest, Need::Events];

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "rest.block.latest",
        section: REST,
        says: "/block is the block of the greatest height",
        needs: BOTH,
        run: |target| Box::pin(latest_block(target)),
    },
    Check {
        id: "rest.block.hash",
        section: REST,
        says: "/block/{hash} is the payload of that BlockAdded",
        needs: BOTH,
        run: |target| Box::pin(payloads(target, "BlockAdded", "/block/", "/block_hash")),
    },
    Check {
        id: "rest.block.height",
        section: REST,
        says: "/block/{height} is the payload of that BlockAdded",
        needs: BOTH,
        run: |target| Box::pin(payloads(target, "BlockAdded", "/block/", "/block/header/height")),
    },
    Check {
        id: "rest.deploy.accepted",
        section: REST,
        says: "/deploy/accepted/{hash} is the payload of that DeployAccepted",
        needs: BOTH,
        run: |target| Box::pin(payloads(target, "DeployAccepted", "/deploy/accepted/", "/hash")),
    },
    Check {
        id: "rest.deploy.processed",
        section: REST,
        says: "/deploy/processed/{hash} is the payload of that DeployProcessed",
        needs: BOTH,
        run: |target| Box::pin(payloads(target, "DeployProcessed", "/deploy/processed/", "/deploy_hash")),
    },
    Check {
        id: "rest.deploy.expired",
        section: REST,
        says: "/deploy/expired/{hash} is the payload of that DeployExpired",
        needs: BOTH,
        run: |target| Box::pin(payloads(target, "DeployExpired", "/deploy/expired/", "/deploy_hash")),
    },
    Check {
        id: "rest.deploy.whole",
        section: REST,
        says: "/deploy/{hash} has deploy_hash, deploy_accepted and deploy_processed (null when absent), deploy_expired",
        needs: BOTH,
        run: |target| Box::pin(whole_deploys(target)),
    },
    Check {
        id: "rest.faults.public-key",
        section: REST,
        says: "/faults/{public_key} is the array of the Fault payloads of that key",
        needs: BOTH,
        run: |target| Box::pin(arrays(target, "Fault", "/faults/", "/public_key")),
    },
    Check {
        id: "rest.faults.era",
        section: REST,
        says: "/faults/{era} is the array of the Fault payloads of that era",
        needs: BOTH,
        run: |target| Box::pin(arrays(target, "Fault", "/faults/", "/era_id")),
    },
    Check {
        id: "rest.signatures",
        section: REST,
        says: "/signatures/{block_hash} is the array of the FinalitySignature payloads of that block",
        needs: BOTH,
        run: |target| Box::pin(arrays(target, "FinalitySignature", "/signatures/", "/block_hash")),
    },
    Check {
        id: "rest.step",
        section: REST,
        says: "/step/{era} is the payload of that Step",
        needs: BOTH,
        run: |target| Box::pin(payloads(target, "Step", "/step/", "/era_id")),
    },
    Check {
        id: "rest.same-bytes",
        section: REST,
        says: "Payloads are the bytes that came in, never printed anew",
        needs: BOTH,
        run: |target| Box::pin(same_bytes(target)),
    },
    Check {
        id: "rest.hex-case",
        section: REST,
        says: "Hexadecimal values are matched in either case",
        needs: BOTH,
        run: |target| Box::pin(either_case(target)),
    },
    Check {
        id: "rest.trailing-slash",
        section: REST,
        says: "Every path answers with and without a slash at the end",
        needs: BOTH,
        run: |target| Box::pin(trailing_slashes(target)),
    },
    Check {
        id: "rest.content-type",
        section: REST,
        says: "Answers are application/json",
        needs: BOTH,
        run: |target| Box::pin(content_type(target)),
    },
    Check {
        id: "rest.head",
        section: REST,
        says: "HEAD is answered like GET, without a body",
        needs: BOTH,
        run: |target| Box::pin(head(target)),
    },
];

/// Most look-ups of one check: a live chain's replay has hundreds of events.
const MOST: usize = 5;

/// A look-up that must find something.
async fn found(target: &Target, path: &str) -> Result<Answer, Deviation> {
    let answer = target.get(Server::Rest, path).await?;
    ensure(answer.status == 200, format!("200 for {path}"), &answer)?;
    Ok(answer)
}

/// The part of a payload that names it in a path.
fn name(payload: &Value, pointer: &str) -> Result<String, Deviation> {
    match payload.pointer(pointer) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        _ => Err(Deviation::new(format!("{pointer} in the event"), payload)),
    }
}

async fn latest_block(target: &Target) -> Finding {
    let height = |block: &Value| block.pointer("/block/header/height").and_then(Value::as_u64);
    let mut greatest = None;
    for message in target.examples("BlockAdded").await? {
        greatest = greatest.max(height(&message.json()?));
    }
    let answer = found(target, "/block").await?;
    let latest = answer.json()?;
    let seen = format!("height {:?}", height(&latest));
    ensure(height(&latest) >= greatest, format!("height {greatest:?} or more"), &seen)?;
    ensure(latest["block_hash"].is_string(), "a block_hash", &answer)?;
    Ok(seen)
}

async fn payloads(target: &Target, kind: &str, path: &str, pointer: &str) -> Finding {
    let mut count = 0;
    for message in target.examples(kind).await?.into_iter().rev().take(MOST) {
        let payload = message.json()?;
        let path = format!("{path}{}", name(&payload, pointer)?);
        let answer = found(target, &path).await?;
        ensure(answer.json()? == payload, format!("{payload} for {path}"), &answer.body)?;
        count += 1;
    }
    Ok(format!("{count} of {kind} are what the stream showed"))
}

async fn whole_deploys(target: &Target) -> Finding {
    let mut known: Vec<(String, &str, Value)> = Vec::new();
    for (kind, pointer, part) in [
        ("DeployAccepted", "/hash", "deploy_accepted"),
        ("DeployProcessed", "/deploy_hash", "deploy_processed"),
        ("DeployExpired", "/deploy_hash", "deploy_expired"),
    ] {
        for message in target.examples(kind).await.unwrap_or_default().into_iter().rev().take(MOST) {
            let payload = message.json()?;
            known.push((name(&payload, pointer)?, part, payload));
        }
    }
    if known.is_empty() {
        return Err(Deviation::nothing("the sidecar replays no deploys"));
    }
    for (hash, part, payload) in &known {
        let path = format!("/deploy/{hash}");
        let answer = found(target, &path).await?;
        let whole = answer.json()?;
        let fields: BTreeSet<_> =
            whole.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let expected = ["deploy_hash", "deploy_accepted", "deploy_processed", "deploy_expired"];
        ensure(fields == BTreeSet::from(expected), format!("{expected:?} for {path}"), &answer.body)?;
        ensure(whole["deploy_hash"] == hash.as_str(), format!("deploy_hash {hash}"), &answer.body)?;
        ensure(whole["deploy_expired"].is_boolean(), "true or false as deploy_expired", &answer.body)?;
        let right = if *part == "deploy_expired" { Value::Bool(true) } else { payload.clone() };
        ensure(whole[*part] == right, format!("{part} {right} for {path}"), &answer.body)?;
        // What the stream shows of a whole chain is a part: only what this run sent is known to be all.
        if target.seeded().await? > 0 {
            for absent in ["deploy_accepted", "deploy_processed"] {
                let sent = known.iter().any(|(other, part, _)| other == hash && *part == absent);
                ensure(sent != whole[absent].is_null(), format!("{absent} null: {}", !sent), &answer.body)?;
            }
        }
    }
    Ok(format!("{} parts of deploys are what the stream showed", known.len()))
}

async fn arrays(target: &Target, kind: &str, path: &str, pointer: &str) -> Finding {
    let examples = target.examples(kind).await?;
    let mut count = 0;
    for message in examples.iter().rev().take(MOST) {
        let payload = message.json()?;
        let name = name(&payload, pointer)?;
        let path = format!("{path}{name}");
        let answer = found(target, &path).await?;
        let Value::Array(items) = answer.json()? else {
            return Err(Deviation::new(format!("an array for {path}"), &answer.body));
        };
        ensure(items.contains(&payload), format!("{payload} in {path}"), &answer.body)?;
        let named = |item: &Value| self::name(item, pointer).is_ok_and(|other| other == name);
        ensure(items.iter().all(named), format!("only {pointer} {name} in {path}"), &answer.body)?;
        let distinct: BTreeSet<String> = items.iter().map(ToString::to_string).collect();
        ensure(distinct.len() == items.len(), format!("each once in {path}"), &answer.body)?;
        count += items.len();
    }
    Ok(format!("{count} of {kind} in arrays, as the stream showed"))
}

/// One path for each kind of payload, with an example of it.
async fn one_of_each(target: &Target) -> Result<Vec<(String, &Message)>, Deviation> {
    let mut paths = Vec::new();
    for (kind, path, pointer) in [
        ("BlockAdded", "/block/", "/block_hash"),
        ("BlockAdded", "/block/", "/block/header/height"),
        ("DeployAccepted", "/deploy/accepted/", "/hash"),
        ("DeployProcessed", "/deploy/processed/", "/deploy_hash"),
        ("DeployExpired", "/deploy/expired/", "/deploy_hash"),
        ("Step", "/step/", "/era_id"),
        ("Fault", "/faults/", "/public_key"),
        ("FinalitySignature", "/signatures/", "/block_hash"),
    ] {
        if let Some(message) = target.examples(kind).await.unwrap_or_default().last() {
            paths.push((format!("{path}{}", name(&message.json()?, pointer)?), *message));
        }
    }
    if paths.is_empty() {
        return Err(Deviation::nothing("the sidecar replays no events"));
    }
    Ok(paths)
}

async fn same_bytes(target: &Target) -> Finding {
    let paths = one_of_each(target).await?;
    for (path, message) in &paths {
        let answer = found(target, path).await?;
        let within = answer.body.contains(message.payload());
        ensure(within, format!("the bytes {} for {path}", message.payload()), &answer.body)?;
    }
    Ok(format!("{} answers have the bytes of the stream", paths.len()))
}

async fn either_case(target: &Target) -> Finding {
    let paths = one_of_each(target).await?;
    for (path, _) in &paths {
        let (area, name) = path.rsplit_once('/').unwrap_or_default();
        let upper = format!("{area}/{}", name.to_uppercase());
        let (lower, upper) = (found(target, path).await?, found(target, &upper).await?);
        ensure(lower.body == upper.body, format!("the same answer in upper case for {path}"), &upper)?;
    }
    Ok(format!("{} paths, the same in upper case", paths.len()))
}

async fn trailing_slashes(target: &Target) -> Finding {
    let mut paths: Vec<String> = one_of_each(target).await?.into_iter().map(|(path, _)| path).collect();
    paths.push("/block".to_owned());
    paths.push("/api-doc.json".to_owned());
    for path in &paths {
        same_with_slash(target, path).await?;
    }
    Ok(format!("{} paths, the same with a slash", paths.len()))
}

/// Asks with and without a slash, and anew if the answer changed meanwhile: `/block` does on a live chain.
async fn same_with_slash(target: &Target, path: &str) -> Result<(), Deviation> {
    const ATTEMPTS: usize = 5;
    let mut without = found(target, path).await?;
    for attempt in 1..=ATTEMPTS {
        let with = found(target, &format!("{path}/")).await?;
        let again = found(target, path).await?;
        if with.body == without.body || with.body == again.body {
            return Ok(());
        }
        let changed = again.body != without.body && attempt < ATTEMPTS;
        ensure(changed, format!("the same answer for {path}/"), &with)?;
        without = again;
    }
    Ok(())
}

async fn content_type(target: &Target) -> Finding {
    let mut seen = String::new();
    for path in
        one_of_each(target).await?.into_iter().map(|(path, _)| path).chain(["/no-such-path".to_owned()])
    {
        seen = target.get(Server::Rest, &path).await?.header("content-type").to_owned();
        ensure(seen == "application/json", format!("application/json for {path}"), &seen)?;
    }
    Ok(seen)
}

async fn head(target: &Target) -> Finding {
    for (path, _) in one_of_each(target).await? {
        let answer = target.ask(Server::Rest, Method::HEAD, &path, &[]).await?;
        let right = answer.status == 200 && answer.header("content-type") == "application/json";
        ensure(
            right,
            format!("200 application/json for HEAD {path}"),
            format!("{} {}", answer.status, answer.header("content-type")),
        )?;
    }
    Ok("200 application/json".to_owned())
}
