//! The simulated client's own reading of an event stream: strict, since the sidecar promises one exact layout.

/// One message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The lines of `data`, joined.
    pub data: String,
    /// Its id.
    pub id: Option<u64>,
}

/// Reads messages out of bytes that come in any pieces.
#[derive(Debug, Default)]
pub struct Reader {
    rest: Vec<u8>,
}

impl Reader {
    /// Takes the next bytes; gives the messages that are complete.
    ///
    /// # Errors
    /// Tells the first thing that is not in the documented layout: LF alone, no space after a colon, `data` before
    /// `id`, comments by themselves.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Message>, String> {
        self.rest.extend_from_slice(bytes);
        let mut messages = Vec::new();
        let mut begin = 0;
        while let Some(length) = self.rest[begin..].windows(2).position(|pair| pair == b"\n\n") {
            let block = &self.rest[begin..begin + length];
            begin += length + 2;
            if block != b":" {
                messages.push(message(block)?);
            }
        }
        self.rest.drain(..begin);
        Ok(messages)
    }
}

fn message(block: &[u8]) -> Result<Message, String> {
    let text = std::str::from_utf8(block).map_err(|error| format!("not UTF-8: {error}"))?;
    let mut data: Option<String> = None;
    let mut id = None;
    for line in text.split('\n') {
        let strange = || format!("a line that is not in the documented layout: {line:?}");
        match line.split_once(':').ok_or_else(strange)? {
            ("data", part) if id.is_none() && !part.starts_with(' ') => match &mut data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(part);
                }
                None => data = Some(part.to_owned()),
            },
            ("id", number) if id.is_none() && data.is_some() => {
                id = Some(number.parse().map_err(|_| strange())?);
            }
            _ => return Err(strange()),
        }
    }
    Ok(Message { data: data.unwrap_or_default(), id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stream: &str, expected: Result<&[(&str, Option<u64>)], &str>) {
        let mut reader = Reader::default();
        let mut read = Ok(Vec::new());
        for byte in stream.bytes() {
            read = read.and_then(|mut read: Vec<_>| {
                read.extend(reader.feed(&[byte])?);
                Ok(read)
            });
        }
        let read = read.as_ref().map_err(String::as_str);
        let read = read.map(|read| read.iter().map(|m| (m.data.as_str(), m.id)).collect::<Vec<_>>());
        match (read, expected) {
            (Ok(read), Ok(expected)) => assert_eq!(read, expected),
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
            (read, expected) => panic!("{read:?} is not {expected:?}"),
        }
    }

    #[test]
    fn only_the_documented_layout_is_read() {
        check("data:{\"A\":1}\n\n:\n\ndata:x\nid:7\n\n", Ok(&[("{\"A\":1}", None), ("x", Some(7))]));
        check("data:a\ndata:b\nid:1\n\ndata:cut", Ok(&[("a\nb", Some(1))]));
        check("data: x\n\n", Err("data: x"));
        check("id:1\ndata:x\n\n", Err("id:1"));
        check("data:x\nid:one\n\n", Err("id:one"));
        check("event:x\n\n", Err("event"));
    }
}
