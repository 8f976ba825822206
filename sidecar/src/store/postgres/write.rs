//! The one connection that writes: given up after any error, and opened anew.

use super::super::{Appended, Batch, StoreError};
use super::connect::Server;
use super::session::Session;
use super::{lock, lost, unavailable};
use crate::event::EntryId;

/// Writes, on a connection that is opened anew after anything went wrong on it.
#[derive(Debug)]
pub(super) struct Writer {
    server: Server,
    epoch: i64,
    /// The server's process that did the work last. It may live on when its connection was given up.
    process: i32,
    /// Id of the newest entry that is known to be durable.
    head: EntryId,
    /// None while it is in use: if the future that uses it is dropped, the connection is given up with it, and
    /// nothing is ever read that answers an earlier question.
    session: Option<Session>,
    /// Why nothing can be written any more.
    lost: Option<String>,
}

impl Writer {
    pub(super) fn new(server: Server, session: Session) -> Self {
        let (epoch, process, head) = (session.epoch, session.process, session.head);
        Self { server, epoch, process, head, session: Some(session), lost: None }
    }

    /// Takes the session, or makes another one.
    async fn session(&mut self) -> Result<Session, StoreError> {
        if let Some(why) = &self.lost {
            return Err(lost(why.clone()));
        }
        match self.session.take() {
            Some(session) => Ok(session),
            None => self.reconnect().await,
        }
    }

    async fn reconnect(&mut self) -> Result<Session, StoreError> {
        let mut connection = self.server.connect().await.map_err(unavailable)?;
        let taken =
            lock::take(&mut connection, &self.server, Some(self.process)).await.map_err(unavailable)?;
        let mut session = Session::begin(connection, &self.server, self.epoch).await.map_err(unavailable)?;
        if !session.is_own().await.map_err(unavailable)? {
            return Err(self.lose(
                "another sidecar has opened the database while the connection was lost: stop one of the two"
                    .into(),
            ));
        }
        if let Err(holder) = taken {
            return Err(unavailable(format!("{holder} holds the lock of the database")));
        }
        if session.head < self.head {
            return Err(self.lose(format!(
                "the database has gone back: it ends with entry {}, and entry {} was in it; start the sidecar again \
                 to go on from there",
                session.head, self.head
            )));
        }
        self.process = session.process;
        Ok(session)
    }

    fn lose(&mut self, why: String) -> StoreError {
        self.lost = Some(why.clone());
        lost(why)
    }

    /// Keeps the session if all went well on it.
    fn done<T>(&mut self, session: Session, result: Result<T, StoreError>) -> Result<T, StoreError> {
        match &result {
            Ok(_) => {
                self.head = session.head;
                self.session = Some(session);
            }
            Err(StoreError::Lost(why)) => self.lost = Some(why.to_string()),
            Err(StoreError::Unavailable(_) | StoreError::Corrupt { .. }) => {}
        }
        result
    }

    /// Appends one batch.
    pub(super) async fn append(&mut self, batch: &Batch) -> Result<Vec<Appended>, StoreError> {
        let mut session = self.session().await?;
        let result = session.append(batch).await;
        self.done(session, result)
    }

    /// Forgets some of the entries below `before`, and says how many; 0 if there are none left.
    pub(super) async fn prune_step(&mut self, before: EntryId) -> Result<u64, StoreError> {
        let mut session = self.session().await?;
        let result = session.prune_step(before).await;
        self.done(session, result)
    }

    /// Lets go of the lock and ends.
    pub(super) async fn close(&mut self) {
        if let Some(session) = self.session.take() {
            session.end().await;
        }
    }

    /// The server's process that writes.
    #[cfg(test)]
    pub(super) fn process(&self) -> i32 {
        self.process
    }
}
