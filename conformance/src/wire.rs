//! HTTP/1.1 over a plain TCP connection, byte by byte.
//!
//! HTTP clients hide what the stream checks are about: where the bytes of a body end, whether a chunked body was ended
//! or broken off, and when each piece came. This one hides nothing and does no more than the checks need: one
//! request per connection, no TLS, no redirects.

use std::{fmt, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout_at},
};

use crate::check::Deviation;

/// Longest header section that is read.
const HEAD_LIMIT: usize = 64 * 1024;

/// Scheme, host and port of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    host: String,
    port: u16,
}

impl Origin {
    /// Reads `http://HOST:PORT`, optionally with a slash at the end.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the address: another scheme, a path, no host.
    pub fn parse(address: &str) -> Result<Self, String> {
        let url =
            reqwest::Url::parse(address).map_err(|error| format!("{error}; expected http://HOST:PORT"))?;
        if url.scheme() != "http" {
            return Err(format!("scheme '{}' is not supported; expected http://HOST:PORT", url.scheme()));
        }
        if url.path() != "/" || url.query().is_some() {
            return Err("only the server's address is expected: http://HOST:PORT".to_owned());
        }
        let host = url.host_str().ok_or("no host; expected http://HOST:PORT")?;
        Ok(Self { host: host.to_owned(), port: url.port_or_known_default().unwrap_or(80) })
    }

    /// The full address of a path on this server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{self}{path}")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "http://{}:{}", self.host, self.port)
    }
}

/// A request: what is not given has an ordinary value.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// Path and query.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As announced: the last chunk, the last byte of `Content-Length`, or the close of a body without either.
    Whole,
    /// The connection broke off before.
    Broken,
}

/// How a body's length is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Chunked,
    Length(usize),
    UntilClose,
}

/// One reply: the head as read, the body still to come.
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    framing: Framing,
    stream: TcpStream,
    raw: Vec<u8>,
    ended: Option<End>,
}

/// Sends a request and reads the head of the reply.
pub(crate) async fn send(
    origin: &Origin,
    request: Request<'_>,
    patience: Duration,
) -> Result<Reply, Deviation> {
    let what = format!("{} {}{}", request.method, origin, request.path);
    let expected = || format!("an HTTP reply to {what}");
    let deadline = Instant::now() + patience;
    match timeout_at(deadline, exchange(origin, &request)).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(seen)) => Err(Deviation::new(expected(), seen)),
        Err(_) => Err(Deviation::new(expected(), format!("none within {} ms", patience.as_millis()))),
    }
}

async fn exchange(origin: &Origin, request: &Request<'_>) -> Result<Reply, String> {
    #[allow(
        clippy::disallowed_methods,
        reason = "a black-box client is on the real network and nowhere else"
    )]
    let connected = TcpStream::connect((origin.host.trim_matches(['[', ']']), origin.port)).await;
    let mut stream = connected.map_err(|error| format!("no connection: {error}"))?;
    let mut text =
        format!("{} {} HTTP/1.1\r\nHost: {}:{}\r\n", request.method, request.path, origin.host, origin.port);
    for (name, value) in request.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if request.method == "POST" {
        text.push_str("Content-Length: 0\r\n");
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes()).await.map_err(|error| format!("request not taken: {error}"))?;
    let mut raw = Vec::new();
    loop {
        if let Some(length) = find(&raw, b"\r\n\r\n") {
            let head: Vec<u8> = raw.drain(..length + 4).collect();
            return reply(&head[..length], request.method, stream, raw);
        }
        if raw.len() > HEAD_LIMIT {
            return Err(format!("a head of more than {HEAD_LIMIT} bytes"));
        }
        match stream.read_buf(&mut raw).await {
            Ok(0) => return Err(format!("connection closed after {} bytes of the head", raw.len())),
            Ok(_) => {}
            Err(error) => return Err(format!("connection lost: {error}")),
        }
    }
}

fn reply(head: &[u8], method: &str, stream: TcpStream, raw: Vec<u8>) -> Result<Reply, String> {
    let head = std::str::from_utf8(head).map_err(|_| "a head that is not text".to_owned())?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| format!("status line '{status_line}'"))?;
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("header line '{line}'"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let value = |name: &str| headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    let framing = if method == "HEAD" || matches!(status, 204 | 304) {
        Framing::Length(0)
    } else if value("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        Framing::Chunked
    } else if let Some(length) = value("content-length") {
        Framing::Length(length.parse().map_err(|_| format!("Content-Length '{length}'"))?)
    } else {
        Framing::UntilClose
    };
    let ended = (framing == Framing::Length(0)).then_some(End::Whole);
    Ok(Reply { status, headers, framing, stream, raw, ended })
}

impl Reply {
    /// The value of a header, if it is there.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// How the body ended, if it did.
    pub(crate) fn end(&self) -> Option<End> {
        self.ended
    }

    /// Appends to `body` what comes next, at least one byte, or says how the body ended. `None`: nothing came until
    /// the deadline. Cancel safe.
    pub(crate) async fn read(
        &mut self,
        body: &mut Vec<u8>,
        deadline: Instant,
    ) -> Result<Option<Option<End>>, Deviation> {
        loop {
            let before = body.len();
            if self.ended.is_none() {
                self.ended = self.decode(body)?;
            }
            if body.len() > before {
                return Ok(Some(None));
            }
            if let Some(end) = self.ended {
                return Ok(Some(Some(end)));
            }
            match timeout_at(deadline, self.stream.read_buf(&mut self.raw)).await {
                Err(_) => return Ok(None),
                Ok(Ok(0)) if self.framing == Framing::UntilClose => self.ended = Some(End::Whole),
                Ok(Ok(0) | Err(_)) => self.ended = Some(End::Broken),
                Ok(Ok(_)) => {}
            }
        }
    }

    /// Moves what is complete from the raw bytes to the body.
    fn decode(&mut self, body: &mut Vec<u8>) -> Result<Option<End>, Deviation> {
        match self.framing {
            Framing::UntilClose => {
                body.append(&mut self.raw);
                Ok(None)
            }
            Framing::Length(left) => {
                let now = left.min(self.raw.len());
                body.extend(self.raw.drain(..now));
                self.framing = Framing::Length(left - now);
                Ok((left == now).then_some(End::Whole))
            }
            Framing::Chunked => self.dechunk(body),
        }
    }

    fn dechunk(&mut self, body: &mut Vec<u8>) -> Result<Option<End>, Deviation> {
        while let Some(line) = find(&self.raw, b"\r\n") {
            let text = String::from_utf8_lossy(&self.raw[..line]).into_owned();
            let digits = text.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(digits, 16)
                .map_err(|_| Deviation::new("a chunk size in hexadecimal", &text))?;
            let Some(end) = size.checked_add(line + 4) else {
                return Err(Deviation::new("a chunk of sensible size", &text));
            };
            if self.raw.len() < end {
                break;
            }
            if &self.raw[end - 2..end] != b"\r\n" {
                return Err(Deviation::new(
                    "CR LF after each chunk",
                    String::from_utf8_lossy(&self.raw[end - 2..end]),
                ));
            }
            body.extend_from_slice(&self.raw[line + 2..end - 2]);
            self.raw.drain(..end);
            if size == 0 {
                return Ok(Some(End::Whole));
            }
        }
        Ok(None)
    }

    /// The whole body as text, as far as it came within `patience`.
    pub(crate) async fn text(mut self, patience: Duration) -> Result<String, Deviation> {
        let deadline = Instant::now() + patience;
        let mut body = Vec::new();
        while let Some(None) = self.read(&mut body, deadline).await? {}
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

/// Where `pattern` begins in `bytes`.
pub(crate) fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, expected: Result<&str, &str>) {
        match (Origin::parse(address).map(|origin| origin.to_string()), expected) {
            (Ok(seen), Ok(expected)) => assert_eq!(seen, expected),
            (Err(seen), Err(expected)) => assert!(seen.contains(expected), "{seen}"),
            (seen, expected) => panic!("{seen:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn an_address_is_a_scheme_a_host_and_a_port() {
        check("http://localhost:18888", Ok("http://localhost:18888"));
        check("http://[::1]:18888/", Ok("http://[::1]:18888"));
        check("http://sidecar.example", Ok("http://sidecar.example:80"));
        check("https://localhost:18888", Err("scheme 'https' is not supported"));
        check("http://localhost:18888/events", Err("only the server's address"));
        check("localhost:18888", Err("expected http://HOST:PORT"));
        check("", Err("expected http://HOST:PORT"));
    }
}
