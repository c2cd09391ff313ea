//! The pages of a column of a row group, one after the other.
//!
//! # Guarantees
//!
//! A page is unpacked only if it is wanted, into the room of the one before. It has the size that its header says, and the
//! header is held to the limits of [`chunks`](super::super::chunks); checksums are verified.
//!
//! # Cost
//!
//! The bytes of a page and what they unpack to. The file is opened once a column and read in order.

use super::super::chunks::{self, HEADER_BYTES, HEADER_BYTES_MAX};
use super::super::page_header::{self, Header, Said};
use super::fault::{Done, Fault, damaged};
use crate::source::{InputFile, RawReader};
use parquet::basic::Compression;
use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that are read at once at least, unless pages are passed over.
const READ_BYTES: usize = 16 << 10;

/// How the pages of a column are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Snappy,
    Gzip,
    Zstd,
    Lz4,
}

impl Packing {
    /// `None` for those that only the library reads.
    pub(super) fn of(compression: Compression) -> Option<Packing> {
        match compression {
            Compression::UNCOMPRESSED => Some(Packing::None),
            Compression::SNAPPY => Some(Packing::Snappy),
            Compression::GZIP(_) => Some(Packing::Gzip),
            Compression::ZSTD(_) => Some(Packing::Zstd),
            Compression::LZ4_RAW => Some(Packing::Lz4),
            _ => None,
        }
    }
}

/// What a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// So many values of a dictionary.
    Dictionary { values: usize },
    /// Values, with levels before them in its bytes.
    First { encoding: i32, levels: i32 },
    /// Values; levels of repetition and of definition are so many bytes before them.
    Second { encoding: i32, repetition: usize, definition: usize },
}

/// A page that is next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) kind: Kind,
    /// Rows, of pages that have any.
    pub(super) rows: usize,
    said: Said,
    packed: usize,
    unpacked: usize,
}

/// Plain values, in a data page or a dictionary.
pub(super) const PLAIN: i32 = 0;
/// Numbers of a dictionary; in a dictionary, plain values.
pub(super) const PLAIN_DICTIONARY: i32 = 2;
/// Runs.
pub(super) const RLE: i32 = 3;
/// Bits without runs.
pub(super) const BIT_PACKED: i32 = 4;
/// Numbers of a dictionary.
pub(super) const RLE_DICTIONARY: i32 = 8;

/// A table keeps no more room than this: it may live long after it was read.
const KEPT_BYTES: usize = 32 << 20;

/// Room for pages that others have read, for those who read next: memory that was touched once need not be touched anew.
#[derive(Debug, Default)]
pub(in super::super) struct Rooms(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    rooms: Vec<Room>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Room {
    window: Vec<u8>,
    unpacked: Vec<u8>,
}

impl Room {
    fn bytes(&self) -> usize {
        self.window.capacity() + self.unpacked.capacity()
    }
}

impl Rooms {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn take(&self) -> Room {
        let mut kept = self.kept();
        let room = kept.rooms.pop().unwrap_or_default();
        kept.bytes -= room.bytes();
        room
    }
    fn keep(&self, room: Room) {
        let mut kept = self.kept();
        if kept.bytes + room.bytes() <= KEPT_BYTES {
            kept.bytes += room.bytes();
            kept.rooms.push(room);
        }
    }
}

/// Reads pages.
pub(super) struct Pages {
    file: InputFile,
    packing: Packing,
    source: Option<RawReader>,
    /// Bytes of the file in `window[have]`, and where they begin in the file.
    window: Vec<u8>,
    have: Range<usize>,
    at: u64,
    /// Where the pages end in the file.
    end: u64,
    /// What a page unpacks to, longer than it if one before was.
    unpacked: Vec<u8>,
    /// Where the last page is: in the window, or in what was unpacked.
    body: Body,
    decoders: Decoders,
    rooms: Arc<Rooms>,
}

impl Drop for Pages {
    fn drop(&mut self) {
        let (window, unpacked) = (std::mem::take(&mut self.window), std::mem::take(&mut self.unpacked));
        self.rooms.keep(Room { window, unpacked });
    }
}

/// What unpacks, if it has anything to keep.
struct Decoders {
    snappy: snap::raw::Decoder,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

enum Body {
    Window(Range<usize>),
    Unpacked(usize),
}

impl Pages {
    /// No pages yet.
    pub(super) fn new(file: InputFile, rooms: Arc<Rooms>) -> Pages {
        let Room { window, unpacked } = rooms.take();
        Pages {
            file,
            packing: Packing::None,
            source: None,
            window,
            have: 0..0,
            at: 0,
            end: 0,
            unpacked,
            body: Body::Unpacked(0),
            decoders: Decoders { snappy: snap::raw::Decoder::new(), zstd: None },
            rooms,
        }
    }
    /// Goes to the pages of another column or row group: these bytes of the file.
    pub(super) fn begin(&mut self, bytes: Range<u64>, packing: Packing) {
        (self.packing, self.end) = (packing, bytes.end);
        self.go(bytes.start);
        self.body = Body::Unpacked(0);
    }
    /// The bytes of the last page that was [read](Pages::read).
    pub(super) fn body(&self) -> &[u8] {
        match &self.body {
            Body::Window(range) => &self.window[range.clone()],
            Body::Unpacked(n) => &self.unpacked[..*n],
        }
    }
    /// Has the next `n` bytes in the window, if there are so many, and reads up to `more` with them.
    fn ensure(&mut self, n: usize, more: usize) -> Done<bool> {
        let left = self.end.saturating_sub(self.at);
        if self.have.len() >= n {
            return Ok(true);
        }
        if (n as u64) > left {
            return Ok(false);
        }
        let want = more.max(n).min(usize::try_from(left).unwrap_or(usize::MAX));
        self.window.copy_within(self.have.clone(), 0);
        self.have = 0..self.have.len();
        if self.window.len() < want {
            self.window.resize(want, 0);
        }
        let from = self.at + self.have.len() as u64;
        if self.source.is_none() {
            self.source = Some(self.file.open(from, self.end).map_err(Fault::Read)?);
        }
        let room = &mut self.window[self.have.end..want];
        if let Some(source) = &mut self.source {
            source.read_exact(room).map_err(|e| Fault::Read(self.file.read_error(&e)))?;
        }
        self.have.end = want;
        Ok(true)
    }
    /// Goes on by `n` bytes.
    fn pass(&mut self, n: usize) -> Done<()> {
        let known = n.min(self.have.len());
        self.have.start += known;
        self.at += n as u64;
        if n > known
            && let Some(source) = &mut self.source
        {
            source.pass((n - known) as u64).map_err(|e| Fault::Read(self.file.read_error(&e)))?;
        }
        Ok(())
    }
    /// The header of the next page, `None` after the last. Whoever wants no more than headers reads little else.
    pub(super) fn next(&mut self, is_wanted: bool) -> Done<Option<Page>> {
        loop {
            let left = self.end.saturating_sub(self.at);
            if left == 0 {
                return Ok(None);
            }
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            self.ensure(left.min(HEADER_BYTES), if is_wanted { READ_BYTES } else { HEADER_BYTES })?;
            let (mut header, mut said) = page_header::read_all(&self.window[self.have.clone()]);
            if header == Header::Cut && self.have.len() < left.min(HEADER_BYTES_MAX) {
                self.ensure(left.min(HEADER_BYTES_MAX), 0)?;
                (header, said) = page_header::read_all(&self.window[self.have.clone()]);
            }
            let Header::Page { unpacked, packed } = header else {
                return damaged("where a page should begin, there is no header of one");
            };
            chunks::check(header).map_err(|e| Fault::Damaged(e.to_string()))?;
            self.pass(said.header_bytes)?;
            if packed > self.end - self.at {
                return damaged(format!(
                    "a page of {packed} bytes, of which {} are there",
                    self.end - self.at
                ));
            }
            let (packed, unpacked) = (packed as usize, unpacked as usize);
            match page(said, packed, unpacked)? {
                Some(page) => return Ok(Some(page)),
                None => self.pass(packed)?,
            }
        }
    }
    /// Where the page whose header was the last that was read begins behind it.
    pub(super) fn place(&self) -> u64 {
        self.at
    }
    /// Reads a page that was passed over, and comes back.
    pub(super) fn read_again(&mut self, place: u64, page: &Page) -> Done<()> {
        let here = self.at;
        self.go(place);
        self.read(page)?;
        // The window goes on to have the page.
        (self.source, self.at, self.have) = (None, here, self.have.end..self.have.end);
        Ok(())
    }
    fn go(&mut self, place: u64) {
        (self.source, self.at, self.have) = (None, place, 0..0);
    }
    /// Passes over a page whose header was the last that was read.
    pub(super) fn skip(&mut self, page: &Page) -> Done<()> {
        self.pass(page.packed)
    }
    /// Reads a page whose header was the last that was read.
    pub(super) fn read(&mut self, page: &Page) -> Done<()> {
        self.ensure(page.packed, READ_BYTES.max(page.packed.saturating_add(HEADER_BYTES)))?;
        let range = self.have.start..self.have.start + page.packed;
        self.pass(page.packed)?;
        let bytes = &self.window[range.clone()];
        if let Some(want) = page.said.page[3]
            && crc32fast::hash(bytes) != want as u32
        {
            return damaged("a page has another checksum (CRC) than its header says");
        }
        let (levels, is_packed) = match page.kind {
            Kind::Second { repetition, definition, .. } => {
                (repetition.saturating_add(definition), page.said.is_packed.unwrap_or(true))
            }
            _ => (0, true),
        };
        if self.packing == Packing::None || !is_packed {
            self.body = Body::Window(range);
            return Ok(());
        }
        if levels > bytes.len() || levels > page.unpacked {
            return damaged("a page of fewer bytes than its levels have");
        }
        if self.unpacked.len() < page.unpacked {
            // What a page before had need not be kept.
            self.unpacked.clear();
            self.unpacked.resize(page.unpacked, 0);
        }
        let (before, room) = self.unpacked[..page.unpacked].split_at_mut(levels);
        before.copy_from_slice(&bytes[..levels]);
        self.body = Body::Unpacked(page.unpacked);
        // Nothing may be packed as nothing.
        if room.is_empty() {
            return Ok(());
        }
        match unpack(self.packing, &mut self.decoders, &bytes[levels..], room) {
            Ok(n) if n == room.len() => Ok(()),
            Ok(n) => damaged(format!("a page unpacks to {n} bytes and not to {}", room.len())),
            Err(e) => damaged(format!("a page cannot be unpacked: {e}")),
        }
    }
}

/// Unpacks into all of `room`, and says how many bytes there were; more than there is room for is an error, or one byte more.
fn unpack(
    packing: Packing,
    decoders: &mut Decoders,
    bytes: &[u8],
    room: &mut [u8],
) -> Result<usize, Box<dyn std::error::Error>> {
    match packing {
        Packing::None => Err("it is not packed".into()),
        Packing::Snappy => Ok(decoders.snappy.decompress(bytes, room)?),
        Packing::Lz4 => Ok(lz4_flex::block::decompress_into(bytes, room)?),
        Packing::Zstd => {
            let decoder = match &mut decoders.zstd {
                Some(decoder) => decoder,
                none => none.insert(zstd::bulk::Decompressor::new()?),
            };
            Ok(decoder.decompress_to_buffer(bytes, room)?)
        }
        Packing::Gzip => {
            let mut decoder = flate2::read::MultiGzDecoder::new(bytes);
            let mut n = 0;
            while n < room.len() {
                match decoder.read(&mut room[n..])? {
                    0 => return Ok(n),
                    more => n += more,
                }
            }
            // Its end has a checksum.
            Ok(n + decoder.read(&mut [0])?)
        }
    }
}

/// What a header says. `None`: a page of another kind, to be passed over.
fn page(said: Said, packed: usize, unpacked: usize) -> Done<Option<Page>> {
    let count = |n: Option<i32>| match n.map(usize::try_from) {
        Some(Ok(n)) => Ok(n),
        _ => damaged("the header of a page does not say how much is in it"),
    };
    let number = |n: Option<i32>| match n {
        Some(n) => Ok(n),
        None => damaged("the header of a page does not say how its values are encoded"),
    };
    let (kind, rows) = match said.page[0] {
        Some(0) => {
            let [values, encoding, definition, repetition] = said.first;
            number(repetition)?;
            (Kind::First { encoding: number(encoding)?, levels: number(definition)? }, count(values)?)
        }
        Some(1) => return Ok(None),
        Some(2) => match (count(said.dictionary[0])?, number(said.dictionary[1])?) {
            (values, PLAIN | PLAIN_DICTIONARY) => (Kind::Dictionary { values }, 0),
            (_, encoding) => return damaged(format!("a dictionary in encoding {encoding}")),
        },
        Some(3) => {
            let [values, nulls, rows, encoding, definition, repetition] = said.second;
            let (values, nulls, _) = (count(values)?, count(nulls)?, count(rows)?);
            if nulls > values {
                return damaged(format!("a page of {values} values, {nulls} of which are missing"));
            }
            let (repetition, definition) = (count(repetition)?, count(definition)?);
            if repetition.saturating_add(definition) > unpacked {
                return damaged("a page of fewer bytes than its levels have");
            }
            (Kind::Second { encoding: number(encoding)?, repetition, definition }, values)
        }
        _ => return damaged("a page of a kind that there is not"),
    };
    Ok(Some(Page { kind, rows, said, packed, unpacked }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_room_is_kept_than_said() {
        let rooms = Rooms::default();
        let room = || Room { window: vec![0; KEPT_BYTES / 4], unpacked: vec![0; KEPT_BYTES / 8] };
        (0..5).for_each(|_| rooms.keep(room()));
        let kept = |kept: &Kept| (kept.rooms.len(), kept.bytes);
        assert_eq!(kept(&rooms.kept()), (2, KEPT_BYTES * 3 / 4));
        let taken: Vec<Room> = (0..3).map(|_| rooms.take()).collect();
        assert_eq!(
            taken.iter().map(Room::bytes).collect::<Vec<_>>(),
            [KEPT_BYTES * 3 / 8, KEPT_BYTES * 3 / 8, 0]
        );
        assert_eq!(kept(&rooms.kept()), (0, 0));
    }
}
