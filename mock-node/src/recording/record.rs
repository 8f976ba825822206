//! Recording live streams.

use std::{io, time::Duration};

use eventsource_stream::{Event as Received, Eventsource as _};
use futures_util::{
    StreamExt as _,
    stream::{BoxStream, SelectAll, once},
};
use tokio::time::{Instant, timeout_at};

use super::{End, Entry, header_line, line};
use crate::event::Filter;

/// Records one or several streams into one file.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    urls: Vec<String>,
    /// Stop after so many events.
    pub max_events: Option<u64>,
    /// Stop after so long.
    pub max_time: Option<Duration>,
}

/// Why there is no recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The client cannot be set up.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
    /// The server cannot be reached.
    #[error("{url} cannot be reached")]
    Unreachable {
        /// Which URL.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The server does not give a stream.
    #[error("{url} answers {status}: {body}")]
    Refused {
        /// Which URL.
        url: String,
        /// HTTP status.
        status: u16,
        /// What it says.
        body: String,
    },
    /// The file cannot be written.
    #[error("the recording cannot be written")]
    Unwritable(#[from] io::Error),
}

type Arrivals = BoxStream<'static, (usize, Arrival)>;

enum Arrival {
    Event(Received),
    End(End),
}

impl Recorder {
    /// For these URLs. One without a path, such as `http://127.0.0.1:9999`, stands for a 1.x node: all three filters.
    pub fn new(urls: impl IntoIterator<Item = String>, start_from: Option<u32>) -> Self {
        let query = start_from.map_or(String::new(), |start| format!("?start_from={start}"));
        let mut all = Vec::new();
        for url in urls {
            let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).trim_end_matches('/');
            if rest.contains('/') {
                all.push(format!("{url}{query}"));
            } else {
                let base = url.trim_end_matches('/');
                all.extend(Filter::ALL.map(|filter| format!("{base}/events/{filter}{query}")));
            }
        }
        Self { urls: all, max_events: None, max_time: None }
    }

    /// Records until all streams have ended or a limit is reached. Returns how many events there are.
    ///
    /// # Errors
    /// If a URL gives no stream, or the file cannot be written.
    pub async fn record(&self, mut out: impl io::Write) -> Result<u64, RecordError> {
        // A node is dialled directly, whatever proxies the machine has for the web.
        let client = reqwest::Client::builder().no_proxy().build().map_err(RecordError::Client)?;
        let mut streams: SelectAll<Arrivals> = SelectAll::new();
        for (number, url) in self.urls.iter().enumerate() {
            streams.push(connect(&client, number, url).await?);
        }
        out.write_all(header_line(&self.urls).as_bytes())?;
        let begin = Instant::now();
        let end = begin + self.max_time.unwrap_or(Duration::from_secs(100 * 365 * 86_400));
        let mut events = 0;
        while self.max_events.is_none_or(|max| events < max) {
            // A silent stream must not keep what came before from the disk.
            let Ok(Some((url, arrival))) = timeout_at(end, streams.next()).await else { break };
            let us = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
            let entry = match arrival {
                Arrival::Event(event) => {
                    events += 1;
                    Entry { us, url, id: event.id.parse().ok(), data: Some(event.data), end: None }
                }
                Arrival::End(end) => Entry { us, url, id: None, data: None, end: Some(end) },
            };
            writeln!(out, "{}", line(&entry))?;
        }
        out.flush()?;
        Ok(events)
    }
}

async fn connect(client: &reqwest::Client, number: usize, url: &str) -> Result<Arrivals, RecordError> {
    let unreachable = |source| RecordError::Unreachable { url: url.to_owned(), source };
    let response = client.get(url).send().await.map_err(unreachable)?;
    let status = response.status();
    if !status.is_success() {
        let body = response.text().await.unwrap_or_default().trim_end().to_owned();
        return Err(RecordError::Refused { url: url.to_owned(), status: status.as_u16(), body });
    }
    // After the first error of a stream, or its end, there is one more entry and no other.
    let events = response.bytes_stream().eventsource().map(Ok).chain(once(async { Err(End::Clean) }));
    let arrivals = events.scan(false, move |ended, arrival| {
        let arrival = match arrival {
            _ if *ended => None,
            Ok(Ok(event)) => Some((number, Arrival::Event(event))),
            Ok(Err(error)) => {
                tracing::debug!(%error, "stream broke off");
                *ended = true;
                Some((number, Arrival::End(End::Broken)))
            }
            Err(end) => Some((number, Arrival::End(end))),
        };
        std::future::ready(arrival)
    });
    Ok(arrivals.boxed())
}
