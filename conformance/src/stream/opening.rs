//! How a connection opens: the versions of node and sidecar, and the headers.

use crate::{
    check::{Check, Finding, Need, Section, ensure},
    subscription::Endpoint,
    target::{Target, all_of},
    wire::Reply,
};

const API_VERSION: Section = Section::Page("The API Version of Node Events");
const SIDECAR_VERSION: Section = Section::Page("The Version of Sidecar Events");
const STREAM: Section = Section::Sidecar("event stream server");

/// The endpoints that open with the node's version.
const VERSIONED: [Endpoint; 4] = [Endpoint::Main, Endpoint::Deploys, Endpoint::Sigs, Endpoint::Root];

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "stream.api-version.first",
        section: API_VERSION,
        says: "When a client connects to the Sidecar, the Sidecar displays the node's ApiVersion; then it starts streaming",
        needs: &[Need::Events],
        run: |target| Box::pin(api_version_first(target)),
    },
    Check {
        id: "stream.api-version.form",
        section: API_VERSION,
        says: "Sample: data:{\"ApiVersion\":\"1.4.8\"}, to the byte",
        needs: &[Need::Events],
        run: |target| Box::pin(api_version_form(target)),
    },
    Check {
        id: "stream.api-version.no-id",
        section: API_VERSION,
        says: "Sample: ApiVersion has no id",
        needs: &[Need::Events],
        run: |target| Box::pin(api_version_without_id(target)),
    },
    Check {
        id: "stream.api-version.not-repeated",
        section: API_VERSION,
        says: "If the node's ApiVersion has not changed, the Sidecar will not report the version again",
        needs: &[Need::Events],
        run: |target| Box::pin(api_version_not_repeated(target)),
    },
    Check {
        id: "stream.sidecar-version.first",
        section: SIDECAR_VERSION,
        says: "A client that connects to events/sidecar receives a message with the version of the Sidecar software",
        needs: &[Need::Events],
        run: |target| Box::pin(sidecar_version_first(target)),
    },
    Check {
        id: "stream.sidecar-version.form",
        section: SIDECAR_VERSION,
        says: "Sample: data:{\"SidecarVersion\":\"1.1.0\"}, to the byte",
        needs: &[Need::Events],
        run: |target| Box::pin(sidecar_version_form(target)),
    },
    Check {
        id: "stream.sidecar-version.no-id",
        section: SIDECAR_VERSION,
        says: "Sample: SidecarVersion has no id",
        needs: &[Need::Events],
        run: |target| Box::pin(sidecar_version_without_id(target)),
    },
    Check {
        id: "stream.sidecar-version.apart",
        section: SIDECAR_VERSION,
        says: "The SidecarVersion differs from the ApiVersion emitted by the node event streams: each on its own endpoints",
        needs: &[Need::Events],
        run: |target| Box::pin(versions_apart(target)),
    },
    Check {
        id: "stream.header.content-type",
        section: Section::Standard("HTML, server-sent events"),
        says: "Content-Type is text/event-stream",
        needs: &[Need::Events],
        run: |target| Box::pin(header(target, "content-type", |value| value == "text/event-stream")),
    },
    Check {
        id: "stream.header.cache-control",
        section: STREAM,
        says: "Cache-Control is no-cache",
        needs: &[Need::Events],
        run: |target| Box::pin(header(target, "cache-control", |value| value == "no-cache")),
    },
    Check {
        id: "stream.header.accel-buffering",
        section: STREAM,
        says: "X-Accel-Buffering is no: a proxy in front passes events on at once",
        needs: &[Need::Events],
        run: |target| Box::pin(header(target, "x-accel-buffering", |value| value == "no")),
    },
    Check {
        id: "stream.header.no-encoding",
        section: STREAM,
        says: "A stream is never compressed, whatever the client offers: compression holds events back",
        needs: &[Need::Events],
        run: |target| Box::pin(not_compressed(target)),
    },
];

async fn api_version_first(target: &Target) -> Finding {
    let mut parts = Vec::new();
    for endpoint in VERSIONED {
        for capture in [target.opening(endpoint).await?, target.replay(endpoint).await?] {
            let first = capture.messages().next().map_or("nothing", |message| message.data.as_str());
            let expected = format!("ApiVersion first on {}", endpoint.path());
            ensure(first.starts_with("{\"ApiVersion\""), expected, first)?;
        }
        parts.push(Ok(format!("{} opens with ApiVersion", endpoint.path())));
    }
    all_of(parts)
}

/// `{"TAG":"x.y.z"}` and nothing else.
fn is_version(data: &str, tag: &str) -> bool {
    let version = data.strip_prefix(&format!("{{\"{tag}\":\"")).and_then(|rest| rest.strip_suffix("\"}"));
    version.is_some_and(|version| {
        let numbers: Vec<&str> = version.split('.').collect();
        numbers.len() == 3
            && numbers.iter().all(|number| number.parse::<u32>().is_ok_and(|n| n.to_string() == *number))
    })
}

async fn api_version_form(target: &Target) -> Finding {
    version_form(target, &VERSIONED, "ApiVersion").await
}

async fn sidecar_version_form(target: &Target) -> Finding {
    version_form(target, &[Endpoint::Sidecar], "SidecarVersion").await
}

async fn version_form(target: &Target, endpoints: &[Endpoint], tag: &str) -> Finding {
    let mut seen = String::new();
    for endpoint in endpoints {
        let capture = target.opening(*endpoint).await?;
        let version = capture.messages().find(|message| message.kind() == tag);
        let data = version.map_or("nothing", |message| message.data.as_str());
        ensure(is_version(data, tag), format!("{{\"{tag}\":\"x.y.z\"}} on {}", endpoint.path()), data)?;
        seen = data.to_owned();
    }
    Ok(seen)
}

async fn api_version_without_id(target: &Target) -> Finding {
    version_without_id(target, &VERSIONED, "ApiVersion").await
}

async fn sidecar_version_without_id(target: &Target) -> Finding {
    version_without_id(target, &[Endpoint::Sidecar], "SidecarVersion").await
}

async fn version_without_id(target: &Target, endpoints: &[Endpoint], tag: &str) -> Finding {
    let mut count = 0;
    for endpoint in endpoints {
        for capture in [target.opening(*endpoint).await?, target.replay(*endpoint).await?] {
            for message in capture.messages().filter(|message| message.kind() == tag) {
                let seen = format!("id:{:?} on {}", message.id, endpoint.path());
                ensure(message.id.is_none(), format!("{tag} without an id"), seen)?;
                count += 1;
            }
        }
    }
    ensure(count > 0, format!("a {tag} message"), "none")?;
    Ok(format!("{count} {tag} messages, none with an id"))
}

async fn api_version_not_repeated(target: &Target) -> Finding {
    let mut count = 0;
    for endpoint in VERSIONED {
        for capture in [target.opening(endpoint).await?, target.replay(endpoint).await?] {
            let mut last = "";
            for message in capture.messages().filter(|message| message.kind() == "ApiVersion") {
                let expected = format!("another version than the one before on {}", endpoint.path());
                ensure(message.data != last, expected, format!("{last} again"))?;
                last = &message.data;
                count += 1;
            }
        }
    }
    Ok(format!("{count} ApiVersion messages, none repeats the one before"))
}

async fn sidecar_version_first(target: &Target) -> Finding {
    let capture = target.opening(Endpoint::Sidecar).await?;
    let first = capture.messages().next().map_or("nothing", |message| message.data.as_str());
    ensure(first.starts_with("{\"SidecarVersion\""), "SidecarVersion first on /events/sidecar", first)?;
    Ok(first.to_owned())
}

async fn versions_apart(target: &Target) -> Finding {
    for endpoint in Endpoint::ALL {
        let foreign = if endpoint == Endpoint::Sidecar { "ApiVersion" } else { "SidecarVersion" };
        for capture in [target.opening(endpoint).await?, target.replay(endpoint).await?] {
            let found = capture.messages().find(|message| message.kind() == foreign);
            let seen = found.map_or("none", |message| message.data.as_str());
            ensure(found.is_none(), format!("no {foreign} on {}", endpoint.path()), seen)?;
        }
    }
    Ok("ApiVersion on the endpoints of the node, SidecarVersion on events/sidecar".to_owned())
}

async fn header(target: &Target, name: &str, right: fn(&str) -> bool) -> Finding {
    let mut seen = String::new();
    for endpoint in Endpoint::ALL {
        let subscription = target.subscribe(endpoint).await?;
        seen = subscription.header(name).unwrap_or("no such header").to_owned();
        ensure(right(&seen), format!("the right {name} on {}", endpoint.path()), &seen)?;
    }
    Ok(format!("{name}: {seen}"))
}

async fn not_compressed(target: &Target) -> Finding {
    let offer = [("Accept-Encoding", "gzip, br, zstd, deflate")];
    let reply: Reply = target.stream("GET", "/events/main", &offer).await?;
    let seen = reply.header("content-encoding").unwrap_or("identity").to_owned();
    ensure(seen == "identity", "no Content-Encoding", &seen)?;
    Ok("no Content-Encoding".to_owned())
}
