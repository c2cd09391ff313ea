//! Arrow IPC: batches as they are in memory, as a file (`.arrow`, `.feather` of version 2) or as a stream (`.arrows`).
//!
//! # Guarantees
//!
//! A file's pieces are runs of its batches, of about 16 MiB as stored; a stream, or a packed file, is one piece. Batches of more than
//! [`BATCH_ROWS`](crate::table::BATCH_ROWS) rows are given in slices. Buffers are plain, or packed with LZ4 or Zstandard.
//!
//! # Cost
//!
//! A batch of the file in memory, packed and unpacked. Columns that are not asked for are read, but not decoded.
//!
//! # Failure
//!
//! What a file claims of sizes is checked before anything is allocated for it: against the file, and for packed buffers against the
//! [expansion limit](crate::ExpansionLimit). Files of big-endian machines are refused.
//!
//! # References
//!
//! Arrow columnar format 1.5, "Encapsulated message format", "IPC file format".

mod message;
mod stream;

pub use stream::ArrowStreamTable;
pub(crate) use stream::first_batch;

use crate::OnBadRecord;
use crate::guard::{damaged, guarded};
use crate::lines::ReadLimits;
use crate::source::InputFile;
use crate::split::{SPLIT_BYTES_MAX, SPLIT_BYTES_MIN};
use crate::table::schema::{bare, conform, unite};
use crate::table::{BatchReader, Scan, TableSource, batch_rows};
use arrow_array::RecordBatch;
use arrow_ipc::{Block, root_as_footer};
use arrow_schema::SchemaRef;
use message::{Decoded, Decoder};
use slackwater_dataflow::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// What an IPC file begins and ends with.
pub const MAGIC: &[u8] = b"ARROW1";
/// The length of the footer and the magic.
const TAIL_BYTES: u64 = 10;
/// Most bytes that a packed file may have when it is unpacked into memory.
const PACKED_BYTES_MAX: u64 = 1 << 30;

/// A table in Arrow IPC files.
pub struct ArrowFileTable(Arc<Table>);

struct Table {
    files: Vec<File>,
    schema: SchemaRef,
    pieces: Vec<(usize, Range<usize>)>,
}

struct File {
    file: InputFile,
    schema: SchemaRef,
    dictionaries: Vec<Block>,
    batches: Vec<Block>,
}

impl ArrowFileTable {
    /// Reads the footers. At least `min_pieces` pieces are made if there are as many batches, unless they would be very small.
    ///
    /// # Errors
    /// I/O; input, if a file is not Arrow IPC or if they do not have the same columns.
    pub fn open(files: &[InputFile], min_pieces: usize) -> Result<Self> {
        let mut opened: Vec<File> = vec![];
        let mut schema: Option<SchemaRef> = None;
        for file in files {
            let file = file.unpacked(PACKED_BYTES_MAX, ReadLimits::default().expansion)?;
            let file = guarded(file.name(), || File::open(&file))?;
            let own = bare(&file.schema);
            schema = Some(match &schema {
                Some(first) => unite(first, files[0].name(), &own, file.file.name())?,
                None => own,
            });
            opened.push(file);
        }
        let schema = schema.ok_or_else(|| Error::input("no input files", "name at least one file"))?;
        let pieces = pieces(&opened, min_pieces);
        Ok(ArrowFileTable(Arc::new(Table { files: opened, schema, pieces })))
    }
}

impl File {
    fn open(file: &InputFile) -> Result<File> {
        let name = file.name();
        let foreign =
            |why: &str| damaged(name, &format!("this is not an Arrow IPC file that can be read: {why}"));
        let bytes = file.bytes();
        if bytes < TAIL_BYTES || !file.head(MAGIC.len())?.starts_with(MAGIC) {
            return Err(foreign("it does not begin with ARROW1"));
        }
        let tail = file.read_at(bytes - TAIL_BYTES, TAIL_BYTES as usize)?;
        if &tail[4..] != MAGIC {
            return Err(foreign("it does not end with ARROW1"));
        }
        let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
        let start = (bytes - TAIL_BYTES)
            .checked_sub(length)
            .ok_or_else(|| foreign("its footer is longer than the file"))?;
        let footer = file.read_at(start, length as usize)?;
        let footer = root_as_footer(&footer).map_err(|e| foreign(&format!("its footer: {e}")))?;
        let schema = footer.schema().ok_or_else(|| foreign("it has no schema"))?;
        let schema = message::schema(schema).map_err(|e| foreign(&e))?;
        let blocks = |all: Vec<Block>| -> Result<Vec<Block>> {
            let inside = |b: &Block| {
                let length = u64::try_from(b.metaDataLength())
                    .ok()?
                    .checked_add(u64::try_from(b.bodyLength()).ok()?)?;
                u64::try_from(b.offset()).ok()?.checked_add(length).filter(|end| *end <= start)
            };
            match all.iter().all(|b| inside(b).is_some()) {
                true => Ok(all),
                false => Err(foreign("a batch is outside of the file")),
            }
        };
        Ok(File {
            file: file.clone(),
            schema,
            dictionaries: blocks(footer.dictionaries().iter().flatten().copied().collect())?,
            batches: blocks(footer.recordBatches().iter().flatten().copied().collect())?,
        })
    }

    /// Reads and decodes one message.
    fn read(&self, block: &Block, decoder: &mut Decoder) -> Result<Decoded> {
        let length = block.metaDataLength() as usize + block.bodyLength() as usize;
        let bytes = self.file.read_at(block.offset() as u64, length)?;
        let body = bytes.slice(block.metaDataLength() as usize..);
        let header = message::unframed(&bytes[..block.metaDataLength() as usize]);
        decoder.decode(header, body).map_err(|e| damaged(self.file.name(), &e))
    }
}

/// Divides files into runs of batches of about the same size.
fn pieces(files: &[File], min_pieces: usize) -> Vec<(usize, Range<usize>)> {
    let size = |b: &Block| u64::try_from(b.bodyLength()).unwrap_or(0);
    let total = files.iter().flat_map(|f| &f.batches).map(size).fold(0, u64::saturating_add);
    let target = (total / min_pieces.max(1) as u64).clamp(SPLIT_BYTES_MIN, SPLIT_BYTES_MAX);
    let mut pieces: Vec<(usize, Range<usize>)> = vec![];
    for (f, file) in files.iter().enumerate() {
        let mut filled = u64::MAX;
        for (b, block) in file.batches.iter().enumerate() {
            match pieces.last_mut() {
                Some((_, range)) if filled.saturating_add(size(block)) <= target => {
                    range.end = b + 1;
                    filled += size(block);
                }
                _ => {
                    pieces.push((f, b..b + 1));
                    filled = size(block);
                }
            }
        }
    }
    if pieces.is_empty() {
        pieces.push((0, 0..0));
    }
    pieces
}

impl TableSource for ArrowFileTable {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }
    fn pieces(&self) -> usize {
        self.0.pieces.len()
    }
    fn describe(&self) -> String {
        crate::source::describe("Arrow", self.0.files.iter().map(|f| &f.file))
    }
    fn open(&self, piece: usize, scan: &Scan) -> Result<Box<dyn BatchReader>> {
        let table = self.0.clone();
        let (f, range) = table.pieces[piece].clone();
        let file = &table.files[f];
        let mut decoder = Decoder::new(file.schema.clone(), scan.columns.clone());
        guarded(file.file.name(), || {
            file.dictionaries.iter().try_for_each(|block| file.read(block, &mut decoder).map(drop))
        })?;
        let schema = scan.schema(&table.schema);
        Ok(Box::new(Reader { file: f, blocks: range, decoder, slices: Slices::new(schema), table }))
    }
}

struct Reader {
    table: Arc<Table>,
    file: usize,
    blocks: Range<usize>,
    decoder: Decoder,
    slices: Slices,
}

impl BatchReader for Reader {
    fn next_batch(&mut self, _: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.slices.next() {
                return Ok(Some(batch));
            }
            let Some(block) = self.blocks.next() else { return Ok(None) };
            let (file, decoder) = (&self.table.files[self.file], &mut self.decoder);
            let decoded = guarded(file.file.name(), || file.read(&file.batches[block], decoder));
            let slices = &mut self.slices;
            match decoded.and_then(|d| slices.put(d, file.file.name())) {
                Ok(()) => {}
                Err(e) => {
                    self.blocks = 0..0;
                    return Err(e);
                }
            }
        }
    }
}

/// Large batches, given in slices.
struct Slices {
    schema: SchemaRef,
    rows: usize,
    batch: Option<RecordBatch>,
    at: usize,
}

impl Slices {
    fn new(schema: SchemaRef) -> Self {
        Slices { rows: batch_rows(schema.fields().len()), schema, batch: None, at: 0 }
    }
    fn put(&mut self, decoded: Decoded, name: &str) -> Result<()> {
        if let Decoded::Batch(batch) = decoded {
            self.batch = Some(conform(batch, &self.schema).map_err(|e| damaged(name, &e.to_string()))?);
            self.at = 0;
        }
        Ok(())
    }
    fn next(&mut self) -> Option<RecordBatch> {
        let batch = self.batch.as_ref()?;
        let rows = self.rows.min(batch.num_rows() - self.at);
        let slice = batch.slice(self.at, rows);
        self.at += rows;
        if self.at == batch.num_rows() {
            self.batch = None;
        }
        (rows > 0).then_some(slice)
    }
}
