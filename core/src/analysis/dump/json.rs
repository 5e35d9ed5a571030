//! The file: one JSON object, a record to a line. Writing streams; reading is bounded and trusts nothing.

use super::model::{Dump, DumpOwner, Resource};
use super::names::Names;
use crate::analysis::text;
use crate::probe::Timestamp;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::Serialize;
use serde::{Deserialize, Deserializer, Serializer};
use serde_json::ser::Formatter;
use std::fmt;
use std::io::{self, BufReader, Read, Write};

const FORMAT: &str = "engine-vitals-snapshot";
const VERSION: u64 = 1;

/// Most of a parser's message that is repeated: it may quote the file.
const MOST_WORDS: usize = 200;

impl Dump {
    /// Writes the file, a record to a line. Hand it a writer with a buffer.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_json(&self, mut writer: impl Write) -> io::Result<()> {
        let mut serializer = serde_json::Serializer::with_formatter(&mut writer, Lines { depth: 0, array: [false; 3] });
        self.serialize(&mut serializer)?;
        writer.write_all(b"\n")
    }

    /// Reads a file, of which at most `most_bytes` are taken. What is read may take up to sixteen times its length in memory, and no more,
    /// whatever it says. Fields that are not known are skipped.
    ///
    /// # Errors
    /// [`ReadError`]: it could not be read, is longer than that, or is no such file, with the line and column.
    pub fn read_json(reader: impl Read, most_bytes: u64) -> Result<Self, ReadError> {
        let mut limited = Limited { reader, left: most_bytes, exceeded: false };
        let read = serde_json::from_reader(BufReader::with_capacity(64 * 1024, &mut limited));
        read.map_err(|error: serde_json::Error| {
            if limited.exceeded {
                return ReadError::TooLong { most_bytes };
            }
            let (line, column) = (error.line(), error.column());
            if error.is_io() {
                return ReadError::Io(error.into());
            }
            // The position, which the message ends with, is told apart.
            let words = error.to_string();
            let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
            let cut = words.char_indices().nth(MOST_WORDS).map_or(words.len(), |(place, _)| place);
            let what = text::plain(words.get(..cut).unwrap_or(words));
            ReadError::Invalid { line, column, what }
        })
    }
}

/// Why a file could not be read as a dump.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The reader failed.
    Io(io::Error),
    /// It is longer than allowed.
    TooLong {
        /// The limit in bytes.
        most_bytes: u64,
    },
    /// It is no dump, or a damaged one.
    Invalid {
        /// Where, from 1.
        line: usize,
        /// Where in the line, in bytes from 1; 0 for its beginning.
        column: usize,
        /// What is wrong.
        what: String,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot read: {error}"),
            Self::TooLong { most_bytes } => write!(f, "longer than {most_bytes} bytes, the most that is read"),
            Self::Invalid { line, column, what } => write!(f, "line {line}, column {column}: {what}"),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::TooLong { .. } | Self::Invalid { .. } => None,
        }
    }
}

/// Says what the file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Format;

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(FORMAT)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)? {
            format if format == FORMAT => Ok(Self),
            format => Err(D::Error::custom(format_args!("format {format:?} is not {FORMAT:?}"))),
        }
    }
}

/// Says which version of the format it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Version;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(VERSION)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            VERSION => Ok(Self),
            version => Err(D::Error::custom(format_args!(
                "version {version} of the format is not {VERSION}, the only one that this program reads"
            ))),
        }
    }
}

/// Nanoseconds since the Unix epoch.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.unix_nanos())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self::from_unix_nanos)
    }
}

/// Reads resources one by one; names that were seen before are shared.
pub(super) fn resources<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Resource>, D::Error> {
    struct Resources;

    impl<'de> Visitor<'de> for Resources {
        type Value = Vec<Resource>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of resources")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut names = Names::<DumpOwner>::default();
            let mut resources = Vec::new();
            while let Some(mut resource) = list.next_element::<Resource>()? {
                names.share(&mut resource.kind);
                for name in [&mut resource.label, &mut resource.site, &mut resource.backend].into_iter().flatten() {
                    names.share(name);
                }
                for packet in [&mut resource.created_in, &mut resource.last_packet].into_iter().flatten() {
                    names.share(&mut packet.lane);
                }
                if let Some(owner) = &mut resource.owner {
                    names.share_thing(owner);
                }
                resource.links.shrink_to_fit();
                resources.push(resource);
            }
            Ok(resources)
        }
    }

    deserializer.deserialize_seq(Resources)
}

/// Fails when there is more than so many bytes.
struct Limited<R> {
    reader: R,
    left: u64,
    exceeded: bool,
}

impl<R: Read> Read for &mut Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => {
                self.exceeded = true;
                return Err(io::Error::other("too long"));
            }
        }
        Ok(count)
    }
}

/// Compact JSON with a line break before each entry of the outermost object, and before each entry of a list in it.
struct Lines {
    depth: usize,
    /// Whether what is open at each of the outermost depths is a list.
    array: [bool; 3],
}

impl Lines {
    fn open(&mut self, array: bool) {
        if let Some(place) = self.array.get_mut(self.depth) {
            *place = array;
        }
        self.depth += 1;
    }

    /// Entries of what is open have a line each: the object itself, lists in it, and lists in objects in it.
    fn lined(&self) -> bool {
        match self.depth {
            1 => true,
            2 | 3 => self.array.get(self.depth - 1) == Some(&true),
            _ => false,
        }
    }

    fn entry<W: ?Sized + Write>(&self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        if self.lined() { writer.write_all(b"\n") } else { Ok(()) }
    }
}

impl Formatter for Lines {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(true);
        writer.write_all(b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        writer.write_all(b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.entry(writer, first)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(false);
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        writer.write_all(b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.entry(writer, first)
    }
}
