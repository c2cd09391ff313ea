//! Tables as typed records: ratings, pairs, cells of documents. Columns are found by the names that people give them.

use super::{Frame, RecordBlock};
use crate::table::expr::no_column;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, Float64Array, Int64Array, RecordBatch};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::DataType;
use slackwater_dataflow::block::{Document, ID_END, Rating, WORD_END, WordCount};
use slackwater_dataflow::{BadRecord, Data, Dataset, Error, Result};

/// Names of the column of users.
pub const USER_NAMES: [&str; 4] = ["user", "userId", "user_id", "userid"];
/// Names of the column of items.
pub const ITEM_NAMES: [&str; 8] =
    ["item", "itemId", "item_id", "itemid", "movie", "movieId", "movie_id", "product"];
/// Names of the column of ratings.
pub const RATING_NAMES: [&str; 4] = ["rating", "score", "value", "stars"];
/// Names of the columns of documents, words and counts.
const DOCUMENT_NAMES: [&str; 3] = ["document", "doc", "doc_id"];
const WORD_NAMES: [&str; 3] = ["word", "word_id", "term"];
const COUNT_NAMES: [&str; 2] = ["count", "n"];

impl Frame {
    /// The first column that has one of these names.
    fn found(&self, names: &[&str]) -> Result<String> {
        let found = names.iter().find(|n| self.schema().index_of(n).is_ok());
        found.map(|n| n.to_string()).ok_or_else(|| no_column(names[0], self.schema()))
    }

    /// Records of the named columns, made row by row.
    fn records<T: Data>(
        &self,
        names: &[String],
        make: impl Fn(&Columns, usize) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Dataset<T>> {
        let blocks = self.select(names)?.dataset();
        let names = names.to_vec();
        Ok(blocks.try_expand(move |block: &RecordBlock, out, refuse| {
            let columns = Columns::of(block, &names)?;
            for row in 0..block.num_rows() {
                match make(&columns, row) {
                    Ok(record) => out.push(record),
                    Err(message) => refuse(BadRecord::new(message))?,
                }
            }
            Ok(())
        }))
    }

    /// Ratings, of columns called `user`, `item` and `rating`, or something like that.
    ///
    /// # Errors
    /// Usage, if one is not there.
    pub fn ratings(&self) -> Result<Dataset<Rating>> {
        let names = [self.found(&USER_NAMES)?, self.found(&ITEM_NAMES)?, self.found(&RATING_NAMES)?];
        self.records(&names, |columns, row| {
            let (user, item) = (columns.id(0, row, ID_END)?, columns.id(1, row, ID_END)?);
            let rating = columns.number(2, row)? as f32;
            match rating.is_finite() {
                true => Ok(Rating::new(user, item, rating)),
                false => {
                    Err(format!("the rating of item {item} by user {user} is {rating} as a 32-bit float"))
                }
            }
        })
    }

    /// Users and items, whether they have ratings or not.
    ///
    /// # Errors
    /// Usage, if a column is not there.
    pub fn pairs(&self) -> Result<Dataset<(u32, u32)>> {
        let names = [self.found(&USER_NAMES)?, self.found(&ITEM_NAMES)?];
        self.records(&names, |columns, row| Ok((columns.id(0, row, ID_END)?, columns.id(1, row, ID_END)?)))
    }

    /// Cells of documents, of columns called `document`, `word` and `count`, or something like that.
    ///
    /// # Errors
    /// Usage, if one is not there.
    pub fn word_counts(&self) -> Result<Dataset<WordCount>> {
        let names = [self.found(&DOCUMENT_NAMES)?, self.found(&WORD_NAMES)?, self.found(&COUNT_NAMES)?];
        self.records(&names, |columns, row| {
            let (document, word) = (columns.id(0, row, u32::MAX)?, columns.id(1, row, WORD_END)?);
            match columns.id(2, row, u32::MAX)? {
                0 => Err(format!("word {word} of document {document} has the count 0")),
                count => Ok(WordCount { document, word, count }),
            }
        })
    }

    /// Documents, made of their cells, which are shuffled.
    ///
    /// # Errors
    /// As [`Frame::word_counts`].
    pub fn documents(&self) -> Result<Dataset<Document>> {
        let cells = self.word_counts()?;
        let partitions = cells.num_partitions().max(self.context().config().default_partitions);
        Ok(crate::read::documents_of(cells, partitions))
    }
}

/// Columns of a batch, as numbers.
struct Columns {
    names: Vec<String>,
    whole: Vec<Int64Array>,
    real: Vec<Float64Array>,
}

impl Columns {
    fn of(batch: &RecordBatch, names: &[String]) -> Result<Columns> {
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let cast = |i: usize, to: &DataType| {
            let from = batch.column(i);
            match from.data_type().is_numeric() || from.data_type() == &DataType::Null {
                true => cast_with_options(from, to, &options)
                    .map_err(|e| Error::input(format!("the column `{}`: {e}", names[i]), "")),
                false => Err(Error::input(
                    format!(
                        "the column `{}` is of type {}, and should be numbers",
                        names[i],
                        from.data_type()
                    ),
                    "number what has a name",
                )),
            }
        };
        let real =
            (0..names.len()).map(|i| Ok(cast(i, &DataType::Float64)?.as_primitive::<Float64Type>().clone()));
        let real = real.collect::<Result<Vec<Float64Array>>>()?;
        let whole = (0..names.len()).map(|i| match batch.column(i).data_type().is_integer() {
            true => Ok(cast(i, &DataType::Int64)?.as_primitive::<Int64Type>().clone()),
            // Where a column lacks values, other programs make real numbers of it.
            false => Ok(real[i].iter().map(|x| x.filter(|x| x.fract() == 0.0).map(|x| x as i64)).collect()),
        });
        Ok(Columns { names: names.to_vec(), whole: whole.collect::<Result<_>>()?, real })
    }
    /// A number from 0 to `end`, which is not one of them.
    fn id(&self, column: usize, row: usize, end: u32) -> Result<u32, String> {
        let name = &self.names[column];
        let array = &self.whole[column];
        if array.is_null(row) {
            let real = &self.real[column];
            return Err(match real.is_null(row) {
                true => format!("`{name}` is missing"),
                false => format!("`{name}` is {}, and not a whole number", real.value(row)),
            });
        }
        let value = array.value(row);
        u32::try_from(value)
            .ok()
            .filter(|v| *v < end)
            .ok_or_else(|| format!("`{name}` is {value}, and is from 0 to {}", end - 1))
    }
    fn number(&self, column: usize, row: usize) -> Result<f64, String> {
        let array = &self.real[column];
        match array.is_null(row) {
            true => Err(format!("`{}` is missing", self.names[column])),
            false => Ok(array.value(row)),
        }
    }
}
