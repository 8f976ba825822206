//! Recordings: a stream with its timing as JSON lines, made from a real node or sidecar and played again by mock nodes.
//!
//! The first line is a header (`{"mock_node_recording":1,"urls":[..]}`). Each other line is an event
//! (`{"us":1200,"url":0,"id":7,"data":".."}`: microseconds since the start, number of the URL, id if any, and the data
//! byte for byte as a JSON string) or the end of a stream (`{"us":1300,"url":0,"end":"clean"}`, or `broken`).
//! Spelling and keep-alives are not kept.

mod play;
mod record;

use std::{fmt::Write as _, path::Path, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::{play::Speed, record::Recorder};

const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    mock_node_recording: u32,
    urls: Vec<String>,
}

/// What was seen on one of the URLs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    us: u64,
    url: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<End>,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The server ended the body.
    Clean,
    /// The connection was lost.
    Broken,
}

impl Entry {
    /// Time since the recording began.
    pub fn at(&self) -> Duration {
        Duration::from_micros(self.us)
    }

    /// Number of the URL.
    pub fn url(&self) -> usize {
        self.url
    }

    /// The event's id, if it had one.
    pub fn id(&self) -> Option<u32> {
        self.id
    }

    /// The event's data; `None` if this is the end of the stream.
    pub fn data(&self) -> Option<&str> {
        self.data.as_deref()
    }

    /// How the stream ended, if this is its end.
    pub fn end(&self) -> Option<End> {
        self.end
    }
}

/// A whole recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    urls: Vec<String>,
    entries: Vec<Entry>,
}

/// Why a file is no recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read.
    #[error("{file} cannot be read")]
    Unreadable {
        /// Which file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line is not what it should be.
    #[error("{file}:{line}: {reason}")]
    Line {
        /// Which file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what is expected.
        reason: String,
    },
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or names the line that is not as it should be.
    pub fn load(path: &Path) -> Result<Self, RecordingError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| RecordingError::Unreadable { file: file.clone(), source })?;
        Self::parse(&text).map_err(|(line, reason)| RecordingError::Line { file, line, reason })
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut lines = text.lines().enumerate();
        let header = lines.next().map_or("", |(_, line)| line);
        let header: Header = serde_json::from_str(header).map_err(|error| {
            (
                1,
                format!(
                    "expected the header of a recording, {{\"mock_node_recording\":1,\"urls\":[..]}}: {error}"
                ),
            )
        })?;
        if header.mock_node_recording != VERSION {
            let found = header.mock_node_recording;
            return Err((1, format!("a recording of version {found}: only version {VERSION} is known")));
        }
        let mut entries = Vec::new();
        for (number, line) in lines {
            let wrong = |reason: String| (number + 1, reason);
            let entry: Entry = serde_json::from_str(line).map_err(|error| {
                wrong(format!("expected {{\"us\":..,\"url\":..,\"id\":..,\"data\":\"..\"}}: {error}"))
            })?;
            if entry.url >= header.urls.len() {
                return Err(wrong(format!("`url` {} is not below {}", entry.url, header.urls.len())));
            }
            if entry.data.is_some() == entry.end.is_some() {
                return Err(wrong("expected either `data` or `end`".to_owned()));
            }
            entries.push(entry);
        }
        Ok(Self { urls: header.urls, entries })
    }

    /// What was recorded.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// What was seen, in order of arrival.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        let mut text = header_line(&self.urls);
        for entry in &self.entries {
            let _infallible = writeln!(text, "{}", line(entry));
        }
        text
    }
}

fn header_line(urls: &[String]) -> String {
    let header = Header { mock_node_recording: VERSION, urls: urls.to_vec() };
    format!("{}\n", serde_json::to_string(&header).expect("text and numbers serialise"))
}

fn line(entry: &Entry) -> String {
    serde_json::to_string(entry).expect("text and numbers serialise")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        (0..u64::from(u32::MAX), 0..3_usize, any::<Option<u32>>(), any::<Option<String>>(), any::<bool>())
            .prop_map(|(us, url, id, data, clean)| {
                let end = data.is_none().then_some(if clean { End::Clean } else { End::Broken });
                Entry { us, url, id, data, end }
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(entries in proptest::collection::vec(entry(), 0..20)) {
            let urls = ["a", "b", "c"].map(str::to_owned).to_vec();
            let recording = Recording { urls, entries };
            prop_assert_eq!(Recording::parse(&recording.to_text()), Ok(recording));
        }
    }

    #[track_caller]
    fn check(text: &str, line: usize, reason: &str) {
        let (found, message) = Recording::parse(text).expect_err("it is wrong");
        assert_eq!(found, line);
        assert!(message.contains(reason), "{message}");
    }

    #[test]
    fn a_wrong_file_is_told_by_line() {
        let header = "{\"mock_node_recording\":1,\"urls\":[\"a\"]}\n";
        check("", 1, "expected the header");
        check("{\"mock_node_recording\":2,\"urls\":[]}", 1, "version 2");
        check(&format!("{header}{{\"us\":1,\"url\":1,\"data\":\"x\"}}"), 2, "not below 1");
        check(&format!("{header}{{\"us\":1,\"url\":0,\"data\":\"x\"}}\nx"), 3, "expected {");
        check(&format!("{header}{{\"us\":1,\"url\":0}}"), 2, "either `data` or `end`");
    }
}
