//! P4: ids rise strictly on every endpoint and across restarts, and an id never names two events.

use std::collections::BTreeMap;

use super::shortened;
use crate::history::History;

pub(super) fn check(history: &History) -> Result<(), String> {
    let mut named: BTreeMap<u64, &str> = BTreeMap::new();
    for (expected, entry) in (1..).zip(&history.log) {
        if entry.id != expected {
            return Err(format!("the log has no entry {expected}: the next one is {}", entry.id));
        }
        if let Some(data) = &entry.data {
            named.insert(entry.id, data);
        }
    }
    for session in &history.sessions {
        let mut last = 0;
        for message in &session.messages {
            let Some(id) = message.id else { continue };
            let who = format!("subscriber {} of {}", session.subscriber, session.endpoint.path());
            if id <= last {
                return Err(format!("{who} got entry {id} after entry {last}"));
            }
            last = id;
            match named.get(&id) {
                Some(data) if *data == message.data => {}
                Some(data) => {
                    return Err(format!(
                        "{who} got {:?} under id {id}, which names {:?}",
                        shortened(&message.data),
                        shortened(data)
                    ));
                }
                // Too large to be listed, or lost: the latter is for P2 to tell.
                None => {
                    named.insert(id, &message.data);
                }
            }
        }
    }
    Ok(())
}
