//! Reading a piece of a table: columns that are decoded here beside those that the library reads.

use super::Table;
use super::chunks::Chunks;
use super::decode::Columns;
use super::keys::unreadable;
use crate::OnBadRecord;
use crate::guard::guarded;
use crate::table::schema::conform_columns;
use crate::table::{BatchReader, Scan};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use slackwater_dataflow::{Error, Result};
use std::sync::Arc;

/// What reads the columns of a piece, in the order of the file.
pub(super) struct Opened {
    /// Of the columns that are not decoded here. `None`: there are none.
    pub(super) foreign: Option<ParquetRecordBatchReader>,
    /// The columns that are.
    pub(super) own: Option<Columns>,
    /// Which columns are which.
    pub(super) are_own: Vec<bool>,
    /// What the library reads from.
    pub(super) chunks: Chunks,
}

impl Opened {
    /// The next rows: how many, and their columns.
    pub(super) fn next(&mut self, name: &str) -> Result<Option<(usize, Vec<ArrayRef>)>> {
        let library = self.foreign.as_mut().and_then(Iterator::next).transpose().map_err(|e| match e {
            ArrowError::ExternalError(e) => match e.downcast::<Error>() {
                // The condition failed, not the file.
                Ok(e) => *e,
                Err(e) => unreadable(name, &e.to_string()),
            },
            e => unreadable(name, &e.to_string()),
        })?;
        let Some(columns) = &mut self.own else {
            return Ok(library.map(|batch| (batch.num_rows(), batch.columns().to_vec())));
        };
        let own = columns.next()?;
        if self.foreign.is_none() {
            return Ok(own);
        }
        let (rows, own, others) = match (own, library) {
            (None, None) => return Ok(None),
            (Some((rows, own)), Some(batch)) if batch.num_rows() == rows => (rows, own, batch),
            _ => return Err(unreadable(name, "some columns have fewer rows than others")),
        };
        let (mut own, mut others) = (own.into_iter(), others.columns().iter().cloned());
        let next = |is_own: &bool| if *is_own { own.next() } else { others.next() };
        Ok(Some((rows, self.are_own.iter().filter_map(next).collect())))
    }
}

pub(super) struct Reader {
    pub(super) table: Arc<Table>,
    pub(super) piece: usize,
    pub(super) scan: Scan,
    pub(super) name: String,
    /// `None` after the end.
    pub(super) opened: Option<Opened>,
    /// Which of the columns that are read each column of the batches is, if they are not the same.
    pub(super) order: Option<Vec<usize>>,
    pub(super) schema: SchemaRef,
}

impl BatchReader for Reader {
    fn next_batch(&mut self, _: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        while let Some(opened) = &mut self.opened {
            let read = guarded(&self.name, || {
                let Some((rows, mut columns)) = opened.next(&self.name)? else { return Ok(None) };
                if let Some(order) = &self.order {
                    columns = order.iter().filter_map(|c| columns.get(*c).cloned()).collect();
                }
                let batch = conform_columns(&columns, rows, &self.schema);
                batch.map(Some).map_err(|e| unreadable(&self.name, &e.to_string()))
            });
            match read {
                Ok(Some(batch)) if batch.num_rows() > 0 => return Ok(Some(batch)),
                Ok(Some(_)) => {}
                Ok(None) => self.opened = None,
                Err(e) => {
                    let failure = opened.chunks.failure();
                    self.opened = None;
                    return Err(failure.unwrap_or_else(|| self.table.located(self.piece, &self.scan, e)));
                }
            }
        }
        Ok(None)
    }
}
