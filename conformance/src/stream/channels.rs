//! Which endpoints there are, and what each carries.

use crate::{
    check::{Check, Deviation, Finding, Need, Section, ensure},
    subscription::Endpoint,
    target::Target,
};

const MONITORING: Section = Section::Page("Monitoring the Sidecar's Event Stream");
const STREAM: Section = Section::Sidecar("event stream server");

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "stream.endpoint.deploys",
        section: MONITORING,
        says: "Deploy events: curl -sN http://127.0.0.1:19999/events/deploys",
        needs: &[Need::Events],
        run: |target| Box::pin(serves(target, "/events/deploys")),
    },
    Check {
        id: "stream.endpoint.sigs",
        section: MONITORING,
        says: "Finality Signature events: curl -sN http://127.0.0.1:19999/events/sigs",
        needs: &[Need::Events],
        run: |target| Box::pin(serves(target, "/events/sigs")),
    },
    Check {
        id: "stream.endpoint.main",
        section: MONITORING,
        says: "Main events: curl -sN http://127.0.0.1:19999/events/main",
        needs: &[Need::Events],
        run: |target| Box::pin(serves(target, "/events/main")),
    },
    Check {
        id: "stream.endpoint.sidecar",
        section: MONITORING,
        says: "Sidecar-generated events: curl -sN http://127.0.0.1:19999/events/sidecar",
        needs: &[Need::Events],
        run: |target| Box::pin(serves(target, "/events/sidecar")),
    },
    Check {
        id: "stream.endpoint.root",
        section: STREAM,
        says: "/events carries everything that the endpoints of the node carry",
        needs: &[Need::Events],
        run: |target| Box::pin(root(target)),
    },
    Check {
        id: "stream.endpoint.trailing-slash",
        section: STREAM,
        says: "Each endpoint answers with and without a slash at the end",
        needs: &[Need::Events],
        run: |target| Box::pin(trailing_slashes(target)),
    },
    Check {
        id: "stream.channel.main",
        section: MONITORING,
        says: "CHANNEL is the type of emitted event: main carries BlockAdded, DeployProcessed, DeployExpired, Fault, Step",
        needs: &[Need::Events],
        run: |target| Box::pin(carries(target, Endpoint::Main)),
    },
    Check {
        id: "stream.channel.deploys",
        section: MONITORING,
        says: "CHANNEL is the type of emitted event: deploys carries DeployAccepted",
        needs: &[Need::Events],
        run: |target| Box::pin(carries(target, Endpoint::Deploys)),
    },
    Check {
        id: "stream.channel.sigs",
        section: MONITORING,
        says: "CHANNEL is the type of emitted event: sigs carries FinalitySignature",
        needs: &[Need::Events],
        run: |target| Box::pin(carries(target, Endpoint::Sigs)),
    },
    Check {
        id: "stream.channel.sidecar",
        section: Section::Page("The Sidecar Shutdown Event"),
        says: "events/sidecar is designated for events originating solely from the Sidecar service",
        needs: &[Need::Events],
        run: |target| Box::pin(only_sidecar_events(target)),
    },
    Check {
        id: "stream.shape.deploy-accepted",
        section: Section::Page("The API Version of Node Events"),
        says: "Sample: DeployAccepted has hash, header, payment, session and approvals, with the fields shown",
        needs: &[Need::Events],
        run: |target| Box::pin(deploy_accepted(target)),
    },
    Check {
        id: "stream.shape.block-added",
        section: Section::Page("The Node Shutdown Event"),
        says: "Sample: BlockAdded has block_hash and block with hash, header and body, with the fields shown",
        needs: &[Need::Events],
        run: |target| Box::pin(block_added(target)),
    },
];

async fn serves(target: &Target, path: &str) -> Finding {
    let reply = target.stream("GET", path, &[]).await?;
    let kind = reply.header("content-type").unwrap_or_default().to_owned();
    let seen = format!("{} {kind}", reply.status);
    ensure(reply.status == 200 && kind.starts_with("text/event-stream"), "200 text/event-stream", &seen)?;
    Ok(seen)
}

async fn root(target: &Target) -> Finding {
    serves(target, Endpoint::Root.path()).await?;
    let root = target.replay(Endpoint::Root).await?;
    let through = root.entries().map(|(id, _)| id).max();
    let mut seen = 0;
    for endpoint in Endpoint::NODE {
        // Of a long replay each endpoint shows another part: compare where they overlap. Shutdown is apart: see
        // lifecycle.shutdown.root.
        let part = target.replay(endpoint).await?.entries();
        for (id, message) in part.filter(|(id, message)| Some(*id) <= through && message.kind() != "Shutdown")
        {
            let there = root.entries().any(|(other, same)| other == id && same.data == message.data);
            ensure(there, format!("entry {id} of {} on /events too", endpoint.path()), "not there")?;
            seen += 1;
        }
    }
    if seen == 0 {
        return Err(Deviation::nothing("the sidecar replays no events"));
    }
    Ok(format!("{seen} entries of main, deploys and sigs are on /events too"))
}

async fn trailing_slashes(target: &Target) -> Finding {
    for endpoint in Endpoint::ALL {
        serves(target, &format!("{}/", endpoint.path())).await?;
    }
    Ok("all five endpoints answer with a slash too".to_owned())
}

async fn carries(target: &Target, endpoint: Endpoint) -> Finding {
    let mut kinds = std::collections::BTreeSet::new();
    for message in target.replay(endpoint).await?.messages().chain(target.opening(endpoint).await?.messages())
    {
        let kind = message.kind();
        // A kind that no 1.x node sends may come on any filter and stays there.
        let elsewhere = Endpoint::Root.carries(&message.data) && !endpoint.carries(&message.data);
        let foreign = elsewhere || kind == "SidecarVersion" || kind.is_empty();
        ensure(!foreign, format!("only {:?} on {}", endpoint.kinds(), endpoint.path()), &message.data)?;
        kinds.insert(kind);
    }
    if !kinds.iter().any(|kind| endpoint.kinds().contains(&kind.as_str())) {
        return Err(Deviation::nothing(format!("no events on {}", endpoint.path())));
    }
    Ok(format!("{kinds:?}"))
}

async fn only_sidecar_events(target: &Target) -> Finding {
    let replay = target.replay(Endpoint::Sidecar).await?;
    let mut seen = 0;
    for message in replay.messages().chain(target.opening(Endpoint::Sidecar).await?.messages()) {
        let own = ["SidecarVersion", "Shutdown"].contains(&message.kind().as_str());
        ensure(own, "SidecarVersion and Shutdown alone", &message.data)?;
        seen += 1;
    }
    Ok(format!("{seen} messages, all of the sidecar itself"))
}

/// Fields of a sample, as JSON pointers, with what they are.
type Fields = &'static [(&'static str, fn(&serde_json::Value) -> bool)];

const DEPLOY_ACCEPTED: Fields = &[
    ("/hash", serde_json::Value::is_string),
    ("/header/account", serde_json::Value::is_string),
    ("/header/timestamp", serde_json::Value::is_string),
    ("/header/ttl", serde_json::Value::is_string),
    ("/header/gas_price", serde_json::Value::is_u64),
    ("/header/body_hash", serde_json::Value::is_string),
    ("/header/dependencies", serde_json::Value::is_array),
    ("/header/chain_name", serde_json::Value::is_string),
    ("/payment", serde_json::Value::is_object),
    ("/session", serde_json::Value::is_object),
    ("/approvals/0/signer", serde_json::Value::is_string),
    ("/approvals/0/signature", serde_json::Value::is_string),
];

const BLOCK_ADDED: Fields = &[
    ("/block_hash", serde_json::Value::is_string),
    ("/block/hash", serde_json::Value::is_string),
    ("/block/header/parent_hash", serde_json::Value::is_string),
    ("/block/header/state_root_hash", serde_json::Value::is_string),
    ("/block/header/body_hash", serde_json::Value::is_string),
    ("/block/header/random_bit", serde_json::Value::is_boolean),
    ("/block/header/accumulated_seed", serde_json::Value::is_string),
    ("/block/header/era_end", |value| value.is_null() || value.is_object()),
    ("/block/header/timestamp", serde_json::Value::is_string),
    ("/block/header/era_id", serde_json::Value::is_u64),
    ("/block/header/height", serde_json::Value::is_u64),
    ("/block/header/protocol_version", serde_json::Value::is_string),
    ("/block/body/proposer", serde_json::Value::is_string),
    ("/block/body/deploy_hashes", serde_json::Value::is_array),
    ("/block/body/transfer_hashes", serde_json::Value::is_array),
];

async fn deploy_accepted(target: &Target) -> Finding {
    has_fields(target, "DeployAccepted", DEPLOY_ACCEPTED).await
}

async fn block_added(target: &Target) -> Finding {
    has_fields(target, "BlockAdded", BLOCK_ADDED).await
}

async fn has_fields(target: &Target, kind: &str, fields: Fields) -> Finding {
    let examples = target.examples(kind).await?;
    for message in &examples {
        let json = message.json()?;
        for (pointer, is) in fields {
            let value = json.pointer(pointer);
            let seen = value.map_or("nothing".to_owned(), ToString::to_string);
            ensure(value.is_some_and(is), format!("{kind}{pointer} as in the sample"), seen)?;
        }
    }
    Ok(format!("{} fields in each of {} {kind}", fields.len(), examples.len()))
}
