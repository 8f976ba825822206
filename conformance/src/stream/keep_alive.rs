//! Keep-alives: what an idle connection sends.

use std::time::Duration;

use crate::{
    check::{Check, Deviation, Finding, Need, Section, ensure},
    sse::Block,
    subscription::{Capture, Endpoint},
    target::Target,
};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "stream.keep-alive.sent",
        section: Section::Page("The Version of Sidecar Events"),
        says: "You will also see the keep-alive messages as colons, ensuring the connection is active",
        needs: &[Need::Events],
        run: |target| Box::pin(sent(target)),
    },
    Check {
        id: "stream.keep-alive.interval",
        section: Section::Sidecar("event stream server"),
        says: "A keep-alive comes after 15 s without a byte",
        needs: &[Need::Events],
        run: |target| Box::pin(interval(target)),
    },
    Check {
        id: "stream.keep-alive.stays-open",
        section: Section::Page("The Version of Sidecar Events"),
        says: "An idle connection stays open",
        needs: &[Need::Events],
        run: |target| Box::pin(stays_open(target)),
    },
];

/// Whether the endpoint was idle for the whole of the capture after its opening.
fn idle(capture: &Capture) -> bool {
    capture.messages().count() <= 1
}

async fn sent(target: &Target) -> Finding {
    let mut seen = Vec::new();
    for endpoint in Endpoint::ALL {
        let capture = target.idle(endpoint).await?;
        let count = capture.blocks.iter().filter(|(_, block)| *block == Block::KeepAlive).count();
        // A busy endpoint needs none.
        ensure(count > 0 || !idle(capture), format!("a keep-alive on {}", endpoint.path()), "none")?;
        seen.push(format!("{} on {}", count, endpoint.path()));
    }
    Ok(seen.join(", "))
}

async fn interval(target: &Target) -> Finding {
    let (due, slack) = (target.pace().keep_alive, target.pace().slack);
    let mut seen = Vec::new();
    for endpoint in Endpoint::ALL {
        let mut last = Duration::ZERO;
        for (at, block) in &target.idle(endpoint).await?.blocks {
            let silence = *at - last;
            last = *at;
            let expected = format!("{:.1} s of silence before a keep-alive", due.as_secs_f32());
            let text = format!("{:.1} s on {}", silence.as_secs_f32(), endpoint.path());
            match block {
                Block::KeepAlive => {
                    ensure(silence + slack >= due && silence <= due + slack, expected, &text)?
                }
                Block::Message(_) => ensure(silence <= due + slack, expected, &text)?,
            }
            if *block == Block::KeepAlive {
                seen.push(text);
            }
        }
    }
    if seen.is_empty() {
        return Err(Deviation::nothing("no keep-alive was seen: all endpoints are busy"));
    }
    Ok(seen.join(", "))
}

async fn stays_open(target: &Target) -> Finding {
    for endpoint in Endpoint::ALL {
        let end = target.idle(endpoint).await?.end;
        ensure(end.is_none(), format!("{} to stay open", endpoint.path()), format!("ended: {end:?}"))?;
    }
    Ok(format!(
        "all five endpoints still open after {} s",
        (target.pace().keep_alive + target.pace().slack).as_secs()
    ))
}
