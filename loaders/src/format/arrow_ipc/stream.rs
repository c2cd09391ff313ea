//! Arrow IPC streams: message after message, from the first to the last.

use super::Slices;
use super::message::{Decoded, Decoder, schema};
use crate::OnBadRecord;
use crate::codec::Decoder as Unpacked;
use crate::guard::{damaged, guarded};
use crate::lines::ReadLimits;
use crate::source::InputFile;
use crate::table::schema::{bare, unite};
use crate::table::{BatchReader, Scan, TableSource};
use arrow_array::RecordBatch;
use arrow_ipc::root_as_message;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use slackwater_dataflow::{Error, Result};

/// Most bytes of a header.
const HEADER_BYTES_MAX: usize = 64 << 20;
/// Bodies are read in pieces of this size, so that a claim alone allocates no more.
const PIECE_BYTES: usize = 1 << 20;
/// Marks a length that follows; before version 0.15 of Arrow there was none.
const MARK: [u8; 4] = [0xff; 4];

/// The first batch of a stream in memory. Costs a copy of its body.
///
/// # Errors
/// Input, if the bytes are damaged.
pub(crate) fn first_batch(bytes: &[u8]) -> Result<RecordBatch> {
    const NAME: &str = "a block of records";
    let mut rest = bytes;
    let mut next = || -> Result<(&[u8], Bytes)> {
        let cut = || damaged(NAME, "it ends in the middle of a message");
        let mut word = || rest.split_off(..4).and_then(|w| w.try_into().ok()).ok_or_else(cut);
        let mut length: [u8; 4] = word()?;
        if length == MARK {
            length = word()?;
        }
        let length = usize::try_from(i32::from_le_bytes(length)).map_err(|_| cut())?;
        let header = rest.split_off(..length).ok_or_else(cut)?;
        let message = root_as_message(header).map_err(|e| damaged(NAME, &format!("a message: {e}")))?;
        let length = usize::try_from(message.bodyLength()).map_err(|_| cut())?;
        let body = rest.split_off(..length).ok_or_else(cut)?;
        Ok((header, Bytes::copy_from_slice(body)))
    };
    guarded(NAME, || {
        let (header, _) = next()?;
        let message = root_as_message(header).map_err(|e| damaged(NAME, &e.to_string()))?;
        let found = message.header_as_schema().ok_or_else(|| damaged(NAME, "there is no schema"))?;
        let mut decoder = Decoder::new(schema(found).map_err(|e| damaged(NAME, &e))?, None);
        loop {
            let (header, body) = next()?;
            if let Decoded::Batch(batch) = decoder.decode(header, body).map_err(|e| damaged(NAME, &e))? {
                return Ok(batch);
            }
        }
    })
}

/// A table in Arrow IPC streams, packed or not: a piece each.
pub struct ArrowStreamTable {
    files: Vec<InputFile>,
    schema: SchemaRef,
}

impl ArrowStreamTable {
    /// Reads the schemas.
    ///
    /// # Errors
    /// I/O; input, if a file is not an Arrow stream or if they do not have the same columns.
    pub fn open(files: &[InputFile]) -> Result<Self> {
        let mut all: Option<SchemaRef> = None;
        for file in files {
            let own = guarded(file.name(), || Messages::open(file)?.schema())?;
            let own = bare(&own);
            all = Some(match &all {
                Some(first) => unite(first, files[0].name(), &own, file.name())?,
                None => own,
            });
        }
        let schema = all.ok_or_else(|| Error::input("no input files", "name at least one file"))?;
        Ok(ArrowStreamTable { files: files.to_vec(), schema })
    }
}

impl TableSource for ArrowStreamTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
    fn pieces(&self) -> usize {
        self.files.len()
    }
    fn describe(&self) -> String {
        crate::source::describe("Arrow stream", self.files.iter())
    }
    fn open(&self, piece: usize, scan: &Scan) -> Result<Box<dyn BatchReader>> {
        let file = &self.files[piece];
        let mut messages = Messages::open(file)?;
        let own = guarded(file.name(), || messages.schema())?;
        let decoder = Decoder::new(own, scan.columns.clone());
        let slices = Slices::new(scan.schema(&self.schema));
        Ok(Box::new(Reader { name: file.name().to_string(), messages: Some(messages), decoder, slices }))
    }
}

struct Reader {
    name: String,
    /// `None` after the end.
    messages: Option<Messages>,
    decoder: Decoder,
    slices: Slices,
}

impl BatchReader for Reader {
    fn next_batch(&mut self, _: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.slices.next() {
                return Ok(Some(batch));
            }
            let Some(messages) = &mut self.messages else { return Ok(None) };
            let (decoder, name) = (&mut self.decoder, &self.name);
            let decoded = guarded(name, || match messages.next()? {
                Some((header, body)) => {
                    decoder.decode(&header, body).map(Some).map_err(|e| damaged(name, &e))
                }
                None => Ok(None),
            });
            match decoded {
                Ok(Some(decoded @ Decoded::Batch(_))) => self.slices.put(decoded, name)?,
                Ok(Some(Decoded::Other)) => {}
                Ok(None) => self.messages = None,
                Err(e) => {
                    self.messages = None;
                    return Err(e);
                }
            }
        }
    }
}

/// The messages of a stream: headers and bodies.
struct Messages {
    name: String,
    bytes: Unpacked,
}

impl Messages {
    fn open(file: &InputFile) -> Result<Self> {
        let bytes = Unpacked::open(file, ReadLimits::default().expansion)?;
        Ok(Messages { name: file.name().to_string(), bytes })
    }
    fn cut(&self) -> Error {
        damaged(&self.name, "the Arrow stream ends in the middle of a message")
    }
    /// The schema, which comes first.
    fn schema(&mut self) -> Result<SchemaRef> {
        let Ok(Some(header)) = self.header() else {
            return Err(self.foreign("it does not begin with a message"));
        };
        let message = root_as_message(&header).map_err(|e| self.foreign(&e.to_string()))?;
        let found =
            message.header_as_schema().ok_or_else(|| self.foreign("it does not begin with a schema"))?;
        schema(found).map_err(|e| self.foreign(&e))
    }
    fn foreign(&self, why: &str) -> Error {
        damaged(&self.name, &format!("this is not an Arrow stream that can be read: {why}"))
    }
    /// The next header. `None` at the end: of the file, or where a length of 0 says so.
    fn header(&mut self) -> Result<Option<Vec<u8>>> {
        let mut word = [0; 4];
        match self.fill(&mut word)? {
            0 => return Ok(None),
            4 => {}
            _ => return Err(self.cut()),
        }
        if word == MARK && self.fill(&mut word)? != 4 {
            return Err(self.cut());
        }
        match usize::try_from(i32::from_le_bytes(word)) {
            Ok(0) => Ok(None),
            Ok(length) if length <= HEADER_BYTES_MAX => self.take(length).map(Some),
            _ => Err(damaged(&self.name, "a message has a header of an impossible size")),
        }
    }
    fn next(&mut self) -> Result<Option<(Vec<u8>, Bytes)>> {
        let Some(header) = self.header()? else { return Ok(None) };
        let length = root_as_message(&header)
            .map_err(|e| damaged(&self.name, &format!("a message: {e}")))?
            .bodyLength();
        let length =
            usize::try_from(length).map_err(|_| damaged(&self.name, "a message of a negative size"))?;
        let body = self.take(length)?;
        Ok(Some((header, body.into())))
    }
    /// Exactly `length` bytes.
    fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![];
        while bytes.len() < length {
            let from = bytes.len();
            bytes.resize(length.min(from + PIECE_BYTES), 0);
            if self.fill_from(&mut bytes, from)? < bytes.len() - from {
                return Err(self.cut());
            }
        }
        Ok(bytes)
    }
    fn fill_from(&mut self, bytes: &mut [u8], from: usize) -> Result<usize> {
        self.fill(&mut bytes[from..])
    }
    /// Fills `into`, unless the stream ends before.
    fn fill(&mut self, into: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            match self.bytes.read(&mut into[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        Ok(filled)
    }
}
