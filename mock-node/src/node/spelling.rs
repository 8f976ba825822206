//! The ways to write an event. A real node knows one; the SSE standard allows them all, and a consumer should read them.

use std::fmt::Write as _;

use bytes::Bytes;

/// A legal way to write an event that differs from a real node's.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Spelling {
    /// Lines end in CR LF.
    Crlf,
    /// Lines end in CR alone.
    Cr,
    /// A space after each colon, which is no part of the value.
    Space,
    /// `id` before `data`.
    IdFirst,
    /// With `event: message`, the default name, and `retry: 3000`.
    Named,
    /// With comments around and within.
    Comments,
    /// The data in two `data` lines, cut after its first byte: a reader joins them with a line feed, which in JSON is
    /// a blank.
    TwoDataLines,
}

impl Spelling {
    /// The bytes of an event, and its data as a reader of the standard gets it.
    pub(super) fn encode(self, data: &[u8], id: Option<u32>) -> (Bytes, Bytes) {
        let text = String::from_utf8_lossy(data);
        let (end, gap) = match self {
            Self::Crlf => ("\r\n", ""),
            Self::Cr => ("\r", ""),
            Self::Space => ("\n", " "),
            Self::IdFirst | Self::Named | Self::Comments | Self::TwoDataLines => ("\n", ""),
        };
        let id_line = id.map_or(String::new(), |id| format!("id:{gap}{id}{end}"));
        let first = text.chars().next().map_or(0, char::len_utf8);
        let (head, tail) = text.split_at(first);
        let mut wire = String::new();
        let _infallible = match self {
            Self::Crlf | Self::Cr | Self::Space => write!(wire, "data:{gap}{text}{end}{id_line}{end}"),
            Self::IdFirst => write!(wire, "{id_line}data:{text}\n\n"),
            Self::Named => write!(wire, "event:message\nretry:3000\ndata:{text}\n{id_line}\n"),
            Self::Comments => write!(wire, ": before\ndata:{text}\n:within\n{id_line}:\n\n: after\n\n"),
            Self::TwoDataLines => write!(wire, "data:{head}\ndata:{tail}\n{id_line}\n"),
        };
        let read = match self {
            Self::TwoDataLines => Bytes::from(format!("{head}\n{tail}")),
            _ => Bytes::copy_from_slice(data),
        };
        (Bytes::from(wire), read)
    }
}
