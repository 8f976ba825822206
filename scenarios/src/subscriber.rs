//! Subscribers: independent clients that read the event streams and write down what they see.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use casper_event_sidecar::event::Endpoint;
use casper_event_sidecar::store::model::Disk;
use http::{Request, header};
use http_body::Body;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::history::{Received, Session, SessionEnd, Start};
use crate::network::{SimIo, now};
use crate::sse::Reader;

/// The host of the sidecar and its ports.
pub const SIDECAR: &str = "sidecar";
/// Port of the event streams.
pub const STREAM_PORT: u16 = 19999;
/// Port of `/metrics`.
pub const ADMIN_PORT: u16 = 18887;

/// Longest wait for a connection and for an answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Longer than this without a byte (a keep-alive comes every 15 s) and a subscriber gives up.
const SILENCE: Duration = Duration::from_secs(40);

/// From the end of one connection to the next.
const PAUSE: Duration = Duration::from_secs(1);

/// How a subscriber goes on after its connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// With `start_from` one after the last id that it saw.
    StartFrom,
    /// With `Last-Event-ID`, as a browser does.
    LastEventId,
    /// As if it were new.
    Anew,
    /// Not at all.
    Never,
}

/// One subscriber.
#[derive(Debug, Clone)]
pub struct Subscriber {
    /// What it reads.
    pub endpoint: Endpoint,
    /// From where, at first.
    pub start: Start,
    /// How it goes on.
    pub resume: Resume,
    /// A pause after each piece of a body that it read.
    pub pace: Duration,
    /// When it first dials.
    pub at: Duration,
}

impl Subscriber {
    /// A fast one that reads an endpoint from `start_from=0` on and comes back with `start_from`.
    pub fn new(endpoint: Endpoint) -> Self {
        let at = Duration::from_millis(200);
        Self { endpoint, start: Start::From(0), resume: Resume::StartFrom, pace: Duration::ZERO, at }
    }

    /// From where it reads at first.
    pub fn start(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// How it goes on after its connection ended.
    pub fn resume(self, resume: Resume) -> Self {
        Self { resume, ..self }
    }

    /// It pauses after each piece that it read.
    pub fn slow(self, pace: Duration) -> Self {
        Self { pace, ..self }
    }

    /// When it first dials.
    pub fn at(self, at: Duration) -> Self {
        Self { at, ..self }
    }
}

/// What a subscriber is told from outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// To read nothing.
    pub stall: bool,
    /// To leave, and not to come back until this is taken back.
    pub away: bool,
}

/// All sessions of all subscribers, in the order in which they dialled.
#[derive(Debug, Clone, Default)]
pub struct Sessions(Arc<Mutex<Vec<Session>>>);

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, Vec<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of them.
    pub fn all(&self) -> Vec<Session> {
        self.lock().clone()
    }

    fn begin(&self, session: Session) -> usize {
        let mut sessions = self.lock();
        sessions.push(session);
        sessions.len() - 1
    }

    fn change(&self, number: usize, change: impl FnOnce(&mut Session)) {
        change(&mut self.lock()[number]);
    }
}

/// Runs one subscriber for ever.
pub struct Client {
    /// Its number.
    pub number: usize,
    /// What it is to do.
    pub subscriber: Subscriber,
    /// Where it writes down what it sees.
    pub sessions: Sessions,
    /// What it is told meanwhile.
    pub told: watch::Receiver<Told>,
    /// What is durable, for the moment of each receipt.
    pub disk: Disk,
}

impl Client {
    /// One connection after the other.
    pub async fn run(mut self) {
        sleep(self.subscriber.at).await;
        let mut start = self.subscriber.start;
        loop {
            if self.told.wait_for(|told| !told.away).await.is_err() {
                return;
            }
            let session = self.sessions.begin(Session {
                subscriber: self.number,
                endpoint: self.subscriber.endpoint,
                start,
                dialled: now(),
                answered: None,
                messages: Vec::new(),
                end: None,
                slow: !self.subscriber.pace.is_zero(),
                stalled: false,
            });
            let end = self.session(session, start).await;
            let mut last = None;
            self.sessions.change(session, |session| {
                session.end = Some((now(), end));
                last = session.messages.iter().rev().find_map(|message| message.id);
            });
            start = match (self.subscriber.resume, last) {
                (Resume::StartFrom, Some(last)) => Start::From(last + 1),
                (Resume::LastEventId, Some(last)) => Start::After(last),
                (Resume::StartFrom | Resume::LastEventId, None) => start,
                (Resume::Anew, _) => self.subscriber.start,
                (Resume::Never, _) => return,
            };
            sleep(PAUSE).await;
        }
    }

    async fn session(&mut self, session: usize, start: Start) -> SessionEnd {
        let query = match start {
            Start::From(id) => format!("/{}?start_from={id}", self.subscriber.endpoint.path()),
            Start::Live | Start::After(_) => format!("/{}", self.subscriber.endpoint.path()),
        };
        let last = if let Start::After(id) = start { Some(id) } else { None };
        let mut answer = match timeout(ANSWER, Answer::get(STREAM_PORT, &query, last)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(end)) => return end,
            Err(_) => return SessionEnd::Refused,
        };
        let head = self.disk.head();
        self.sessions.change(session, |session| session.answered = Some((now(), answer.status, head)));
        if answer.status != 200 {
            return SessionEnd::Status(answer.status);
        }
        let mut reader = Reader::default();
        loop {
            if self.told.borrow().stall {
                self.sessions.change(session, |session| session.stalled = true);
                if self.told.wait_for(|told| !told.stall || told.away).await.is_err() {
                    return SessionEnd::Left;
                }
            }
            let bytes = tokio::select! {
                biased;
                _ = self.told.changed() => {
                    if self.told.borrow().away {
                        return SessionEnd::Left;
                    }
                    continue;
                }
                read = timeout(SILENCE, answer.bytes()) => match read {
                    Ok(Ok(Some(bytes))) => bytes,
                    Ok(Ok(None)) => return SessionEnd::Closed,
                    Ok(Err(_)) => return SessionEnd::Broken,
                    Err(_) => return SessionEnd::Silent,
                },
            };
            let messages = match reader.feed(&bytes) {
                Ok(messages) => messages,
                Err(error) => return SessionEnd::Garbled(error),
            };
            let (at, head) = (now(), self.disk.head());
            self.sessions.change(session, |session| {
                let received =
                    |message: crate::sse::Message| Received { at, id: message.id, data: message.data, head };
                session.messages.extend(messages.into_iter().map(received));
            });
            if !self.subscriber.pace.is_zero() {
                sleep(self.subscriber.pace).await;
            }
        }
    }
}

/// An answer of the sidecar whose body is still coming; it drives its connection.
struct Answer {
    status: u16,
    connection: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    body: Incoming,
}

impl Answer {
    async fn get(port: u16, path: &str, last_event_id: Option<u64>) -> Result<Self, SessionEnd> {
        let io = SimIo::connect(SIDECAR, port).await.map_err(|_| SessionEnd::Refused)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(io)).await.map_err(|_| SessionEnd::Broken)?;
        let mut connection = Box::pin(connection);
        let mut request = Request::get(path).header(header::HOST, SIDECAR);
        if let Some(last) = last_event_id {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|_| SessionEnd::Broken)?;
        let response = tokio::select! {
            biased;
            response = sender.send_request(request) => response.map_err(|_| SessionEnd::Broken)?,
            _ = &mut connection => return Err(SessionEnd::Broken),
        };
        let status = response.status().as_u16();
        Ok(Self { status, connection: Some(connection), body: response.into_body() })
    }

    async fn bytes(&mut self) -> hyper::Result<Option<Bytes>> {
        poll_fn(|context| {
            if let Some(connection) = &mut self.connection
                && connection.as_mut().poll(context).is_ready()
            {
                self.connection = None;
            }
            Pin::new(&mut self.body).poll_frame(context)
        })
        .await
        .transpose()
        .map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default()))
    }
}

/// The text that a port of the sidecar answers with, from within the simulation.
///
/// # Errors
/// If it does not answer.
pub async fn text(port: u16, path: &str) -> Result<String, SessionEnd> {
    let fetch = async {
        let mut answer = Answer::get(port, path, None).await?;
        let mut text = Vec::new();
        while let Some(bytes) = answer.bytes().await.map_err(|_| SessionEnd::Broken)? {
            text.extend_from_slice(&bytes);
        }
        String::from_utf8(text).map_err(|error| SessionEnd::Garbled(error.to_string()))
    };
    timeout(ANSWER, fetch).await.map_err(|_| SessionEnd::Silent)?
}
