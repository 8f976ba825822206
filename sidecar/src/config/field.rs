//! What a field may hold: one [`Kind`] per sort of value, which reads it and says what it expects.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::{Password, SslMode};

/// A sort of value.
pub(super) trait Kind {
    /// What comes out.
    type Value;

    /// What would be right, as the object of "expected".
    fn expected(&self) -> String;

    /// Reads a variable of the environment, or the inside of a TOML string.
    fn read_text(&self, text: &str) -> Option<Self::Value>;

    /// Reads a value of a file. What is text by nature needs no more than this.
    fn read_toml(&self, value: &DeValue<'_>) -> Option<Self::Value> {
        value.as_str().and_then(|text| self.read_text(text))
    }

    /// How `value`, which was refused, could be mended.
    fn hint(&self, value: &DeValue<'_>) -> Option<&'static str> {
        needs_quotes(value)
    }

    /// The whole complaint about `value`, where it is not the usual one.
    fn complaint(&self, _value: &DeValue<'_>) -> Option<&'static str> {
        None
    }

    /// Whether a refused value must not be shown.
    fn is_secret(&self) -> bool {
        false
    }
}

fn needs_quotes(value: &DeValue<'_>) -> Option<&'static str> {
    (value.is_integer() || value.is_float() || value.is_bool()).then_some("put it in quotes")
}

/// A whole number within bounds.
pub(super) struct Whole<T> {
    noun: &'static str,
    least: u32,
    most: u32,
    number: PhantomData<T>,
}

impl<T> Whole<T> {
    const fn new(noun: &'static str, least: u32, most: u32) -> Self {
        Self { noun, least, most, number: PhantomData }
    }
}

/// A port somebody listens on; 0 would be a different one each time.
pub(super) const PORT: Whole<u16> = Whole::new("a port", 1, u16::MAX as u32);
/// How many of something may be, where none at all makes no sense.
pub(super) const COUNT: Whole<u32> = Whole::new("a whole number", 1, u32::MAX);
/// How many entries a queue or a buffer may hold: more than memory allows is a slip of the pen.
pub(super) const LENGTH: Whole<usize> = Whole::new("a whole number", 1, 100_000_000);
/// Bytes of one event. SQLite refuses a value of more than a thousand million bytes (its `SQLITE_MAX_LENGTH`).
pub(super) const EVENT_SIZE: Whole<usize> = Whole::new("a number of bytes", 1, 1_000_000_000);

impl<T: TryFrom<u32>> Kind for Whole<T> {
    type Value = T;

    fn expected(&self) -> String {
        format!("{} from {} to {}", self.noun, self.least, self.most)
    }

    fn read_text(&self, text: &str) -> Option<T> {
        let number = text.trim().parse().ok()?;
        (self.least..=self.most).contains(&number).then(|| T::try_from(number).ok())?
    }

    fn read_toml(&self, value: &DeValue<'_>) -> Option<T> {
        let integer = value.as_integer()?;
        let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok()?;
        self.read_text(&number.to_string())
    }

    fn hint(&self, value: &DeValue<'_>) -> Option<&'static str> {
        value.as_str().and_then(|text| self.read_text(text)).map(|_| "remove the quotes")
    }
}

/// A time in whole seconds, none of which may be 0: a wait of nothing is a busy loop, a limit of nothing always passed.
pub(super) struct Seconds;

const SECONDS: Whole<u32> = Whole::new("a whole number of seconds", 1, u32::MAX);

impl Kind for Seconds {
    type Value = Duration;

    fn expected(&self) -> String {
        SECONDS.expected()
    }

    fn read_text(&self, text: &str) -> Option<Duration> {
        SECONDS.read_text(text).map(|seconds| Duration::from_secs(seconds.into()))
    }

    fn read_toml(&self, value: &DeValue<'_>) -> Option<Duration> {
        SECONDS.read_toml(value).map(|seconds| Duration::from_secs(seconds.into()))
    }

    fn hint(&self, value: &DeValue<'_>) -> Option<&'static str> {
        SECONDS.hint(value)
    }
}

/// `max_attempts`, whose 0 has a complaint of its own that operators of the original know.
pub(super) struct Attempts;

impl Kind for Attempts {
    type Value = NonZeroU32;

    fn expected(&self) -> String {
        COUNT.expected()
    }

    fn read_text(&self, text: &str) -> Option<NonZeroU32> {
        COUNT.read_text(text).and_then(NonZeroU32::new)
    }

    fn read_toml(&self, value: &DeValue<'_>) -> Option<NonZeroU32> {
        COUNT.read_toml(value).and_then(NonZeroU32::new)
    }

    fn hint(&self, value: &DeValue<'_>) -> Option<&'static str> {
        COUNT.hint(value)
    }

    fn complaint(&self, value: &DeValue<'_>) -> Option<&'static str> {
        let zero = Whole::<u32>::new("", 0, 0);
        zero.read_toml(value).map(
            |_| "Unable to run: max_attempts setting must be above 0 for the sidecar to attempt connection",
        )
    }
}

/// `true` or `false`.
pub(super) struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn expected(&self) -> String {
        "true or false".to_owned()
    }

    fn read_text(&self, text: &str) -> Option<bool> {
        text.parse().ok()
    }

    fn read_toml(&self, value: &DeValue<'_>) -> Option<bool> {
        value.as_bool()
    }

    fn hint(&self, value: &DeValue<'_>) -> Option<&'static str> {
        value.as_str().and_then(|text| self.read_text(text)).map(|_| "remove the quotes")
    }
}

/// Any text with something in it.
pub(super) struct Text;

impl Kind for Text {
    type Value = String;

    fn expected(&self) -> String {
        "a text that is not empty".to_owned()
    }

    fn read_text(&self, text: &str) -> Option<String> {
        // A control character is never meant: a path with a NUL in it, for one, cannot be opened.
        (!text.trim().is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
    }
}

/// The name of a file, without a folder.
pub(super) struct FileName;

impl Kind for FileName {
    type Value = String;

    fn expected(&self) -> String {
        "the name of a file, without a folder".to_owned()
    }

    fn read_text(&self, text: &str) -> Option<String> {
        Text.read_text(text).filter(|name| !name.contains(['/', '\\']) && name != "." && name != "..")
    }
}

/// Text that is never shown. It may be empty: there are databases that ask for no password.
pub(super) struct Secret;

impl Kind for Secret {
    type Value = Password;

    fn expected(&self) -> String {
        "a text".to_owned()
    }

    fn read_text(&self, text: &str) -> Option<Password> {
        Some(Password::new(text))
    }

    fn is_secret(&self) -> bool {
        true
    }
}

/// Whether a connection is encrypted.
pub(super) struct Ssl;

impl Kind for Ssl {
    type Value = SslMode;

    fn expected(&self) -> String {
        let names = SslMode::ALL.map(|(name, _)| format!("\"{name}\""));
        format!("one of {}", names.join(", "))
    }

    fn read_text(&self, text: &str) -> Option<SslMode> {
        SslMode::ALL.iter().find(|(name, _)| *name == text).map(|(_, mode)| *mode)
    }
}

/// The path of a file, which need not be there.
pub(super) struct File;

impl Kind for File {
    type Value = Option<PathBuf>;

    fn expected(&self) -> String {
        "the path of a file".to_owned()
    }

    fn read_text(&self, text: &str) -> Option<Option<PathBuf>> {
        Text.read_text(text).map(|path| Some(path.into()))
    }
}

/// An address of this machine to listen on.
pub(super) struct Address;

impl Kind for Address {
    type Value = IpAddr;

    fn expected(&self) -> String {
        "an IP address to listen on, such as \"0.0.0.0\"".to_owned()
    }

    fn read_text(&self, text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    fn hint(&self, value: &DeValue<'_>) -> Option<&'static str> {
        if value.as_str() == Some("localhost") { Some("write \"127.0.0.1\"") } else { needs_quotes(value) }
    }
}

/// Another machine: an IP address or a host name.
pub(super) struct Host;

impl Kind for Host {
    type Value = String;

    fn expected(&self) -> String {
        "an IP address or a host name".to_owned()
    }

    fn read_text(&self, text: &str) -> Option<String> {
        (text.parse::<IpAddr>().is_ok() || is_host_name(text)).then(|| text.to_owned())
    }

    fn hint(&self, value: &DeValue<'_>) -> Option<&'static str> {
        let Some(text) = value.as_str() else { return needs_quotes(value) };
        if text.contains("://") {
            Some("leave out the scheme")
        } else if text.starts_with('[') {
            Some("leave out the brackets")
        } else if text.rsplit_once(':').is_some_and(|(host, _)| self.read_text(host).is_some()) {
            Some("leave out the port: it has a field of its own")
        } else {
            None
        }
    }
}

/// Where a PostgreSQL server is: a machine, or the folder of its socket on this one.
pub(super) struct DatabaseHost;

impl Kind for DatabaseHost {
    type Value = String;

    fn expected(&self) -> String {
        "an IP address, a host name or the folder of a socket".to_owned()
    }

    fn read_text(&self, text: &str) -> Option<String> {
        if text.starts_with('/') { Text.read_text(text) } else { Host.read_text(text) }
    }

    fn hint(&self, value: &DeValue<'_>) -> Option<&'static str> {
        Host.hint(value)
    }
}

/// Whether `text` can be looked up: RFC 1123, and the underscore that names of containers have.
///
/// A last label of digits alone is an IP address that was mistyped, as in the URL standard of the WHATWG.
fn is_host_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 253 && text.split('.').all(is_label) && !text.rsplit('.').next().is_some_and(is_number)
}
