//! P2: no subscriber sees an entry that a crash could still lose.

use super::shortened;
use crate::history::History;

pub(super) fn check(history: &History) -> Result<(), String> {
    for session in &history.sessions {
        for message in &session.messages {
            let Some(id) = message.id else { continue };
            if id > message.head {
                return Err(format!(
                    "subscriber {} saw entry {id} ({:?}) at {:?}, when the newest durable one was {}",
                    session.subscriber,
                    shortened(&message.data),
                    message.at,
                    message.head
                ));
            }
        }
    }
    Ok(())
}
