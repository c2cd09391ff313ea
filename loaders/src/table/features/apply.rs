//! Rows of batches, by a map.

use super::hash::bucket;
use super::{FeatureMap, Kind, Missing};
use crate::table::schema::difference;
use crate::table::{Frame, RecordBlock, vector};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field, Schema};
use slackwater_dataflow::block::{CsrBuilder, LabeledBlock, TARGET_BLOCK_NONZEROS};
use slackwater_dataflow::{BadRecord, Dataset, Error, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// Values of a row that are shown when something is wrong with it.
const SHOWN: usize = 8;

/// A column of a batch, ready to be read row by row.
enum Values {
    Number(Float64Array, Option<f64>),
    /// Numbers of texts; nothing for a text that is not known.
    Chosen(Vec<Option<u32>>, bool),
    Hashed(Vec<Option<u32>>),
    Numbers(Float64Array, usize),
    Vector(Box<vector::Rows>),
}

impl FeatureMap {
    /// The rows of a table in blocks, cut as those of a LIBSVM file are. With `needs_labels`, the table must have the label;
    /// else labels are 0 where it has none.
    ///
    /// # Errors
    /// Input, with the difference, if columns are missing or of other kinds.
    #[track_caller]
    pub fn blocks(&self, frame: &Frame, needs_labels: bool) -> Result<Dataset<LabeledBlock>> {
        let map = Arc::new(self.for_table(frame.schema(), needs_labels)?);
        let names: Vec<&str> = map.label().into_iter().chain(map.columns()).collect();
        let blocks = frame
            .select(&names)?
            .dataset()
            .try_expand(move |block: &RecordBlock, out, refuse| map.rows(block, out, &mut |bad| refuse(bad)));
        let cut = |blocks| {
            let mut cutter = Cutter::default();
            let mut blocks: Option<_> = Some(blocks);
            std::iter::from_fn(move || cutter.next(blocks.as_mut()?))
        };
        Ok(blocks.map_partitions(cut))
    }

    /// The rows of a table as a table of labels and vectors: `label` and `features`.
    ///
    /// # Errors
    /// As [`FeatureMap::blocks`].
    pub fn frame(&self, frame: &Frame) -> Result<Frame> {
        let schema = Arc::new(Schema::new(vec![
            Field::new("label", DataType::Float64, false),
            Field::new("features", vector::data_type(), false),
        ]));
        let of = schema.clone();
        let blocks = self.blocks(frame, false)?.map(move |block| {
            let columns: Vec<ArrayRef> =
                vec![Arc::new(Float64Array::from(block.labels)), Arc::new(vector::from_csr(&block.features))];
            RecordBlock(
                RecordBatch::try_new(of.clone(), columns).expect("a label and a vector for every row"),
            )
        });
        Ok(Frame::from_dataset(blocks, schema))
    }

    /// The map, without the label if the table has none and none is needed.
    fn for_table(&self, schema: &Schema, needs_labels: bool) -> Result<FeatureMap> {
        let mut map = self.clone();
        if self.label().is_some_and(|l| schema.index_of(l).is_err()) && !needs_labels {
            map.label = None;
        }
        let expected = |kind: &Kind| match kind {
            Kind::Number { .. } => DataType::Float64,
            Kind::OneHot(_) | Kind::Ordinal(_) | Kind::Hashed => DataType::Utf8,
            Kind::Numbers(n) => {
                DataType::FixedSizeList(Arc::new(Field::new_list_field(DataType::Float64, true)), *n as i32)
            }
            Kind::Vector(_) => vector::data_type(),
        };
        let fits = |kind: &Kind, of: &DataType| match (kind, of) {
            (Kind::Number { .. }, t) => t.is_numeric() || *t == DataType::Boolean || *t == DataType::Null,
            // Texts that are numbers in another file are still texts.
            (Kind::OneHot(_) | Kind::Ordinal(_) | Kind::Hashed, t) => {
                arrow_cast::can_cast_types(t, &DataType::Utf8)
            }
            (Kind::Numbers(n), DataType::FixedSizeList(item, m)) => {
                item.data_type().is_numeric() && i64::from(*n) == i64::from(*m)
            }
            (Kind::Numbers(_), _) => false,
            (Kind::Vector(_), t) => vector::is_vector(t),
        };
        let mut there = vec![];
        let mut wanted = vec![];
        for column in &map.columns {
            match schema.field_with_name(&column.name) {
                Ok(f) if fits(&column.kind, f.data_type()) => {}
                Ok(f) => {
                    wanted.push(Field::new(&column.name, expected(&column.kind), true));
                    there.push(f.clone());
                }
                Err(_) => wanted.push(Field::new(&column.name, expected(&column.kind), true)),
            }
        }
        if let Some(label) = map.label.as_ref().filter(|l| schema.index_of(&l.name).is_err()) {
            wanted.push(Field::new(&label.name, DataType::Float64, true));
        }
        if wanted.is_empty() {
            return Ok(map);
        }
        let lines = difference(&Schema::new(wanted), &Schema::new(there));
        Err(Error::input(
            format!("the table does not have the columns that are needed\n{lines}"),
            "columns are found by their names; `-` is what is needed, `+` what is there instead",
        ))
    }

    /// Appends the rows of a batch, as one block.
    fn rows<E: From<Error>>(
        &self,
        batch: &RecordBatch,
        out: &mut Vec<LabeledBlock>,
        refuse: &mut dyn FnMut(BadRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        let columns: Vec<(u32, Values)> =
            self.columns.iter().map(|c| Ok((c.first, self.values(batch, c)?))).collect::<Result<_>>()?;
        let labels = self.labels(batch)?;
        let mut rows = CsrBuilder::with_capacity(batch.num_rows(), batch.num_rows() * columns.len().min(64));
        let mut kept = Vec::with_capacity(batch.num_rows());
        let mut hashed: Vec<u32> = vec![];
        for row in 0..batch.num_rows() {
            let label = match &labels {
                Some(labels) if labels.is_null(row) => Err(format!(
                    "the label `{}` {}",
                    self.label().unwrap_or_default(),
                    self.no_label(batch, row)
                )),
                Some(labels) => Ok(labels.value(row)),
                None => Ok(0.0),
            };
            let pushed =
                label.and_then(|label| self.push(&columns, row, &mut rows, &mut hashed).map(|()| label));
            match pushed {
                Ok(label) => {
                    rows.end_row();
                    kept.push(label);
                }
                Err(message) => {
                    rows.abandon_row();
                    refuse(bad_row(batch, row, message))?;
                }
            }
        }
        if !kept.is_empty() {
            let width = self.size.map_or_else(|| self.width(&columns), |n| n as usize);
            out.push(LabeledBlock { labels: kept, features: rows.finish(width) });
        }
        Ok(())
    }

    /// The size of vectors that say it.
    fn width(&self, columns: &[(u32, Values)]) -> usize {
        let of = |values: &Values| match values {
            Values::Vector(rows) => Some(rows.size()),
            _ => None,
        };
        columns.iter().filter_map(|(_, v)| of(v)).max().unwrap_or(0)
    }

    fn no_label(&self, batch: &RecordBatch, row: usize) -> String {
        let there = self.label().and_then(|l| batch.column_by_name(l)).is_some_and(|a| a.is_valid(row));
        if there { "is none of the classes".to_string() } else { "is missing".to_string() }
    }

    fn labels(&self, batch: &RecordBatch) -> Result<Option<Float64Array>> {
        let Some(label) = &self.label else { return Ok(None) };
        let array = column(batch, &label.name)?;
        Ok(Some(match &label.classes {
            None => numbers(array, &label.name)?,
            Some(classes) => {
                let texts = texts(array, &label.name)?;
                let number =
                    |t: Option<&str>| t.and_then(|t| classes.binary_search_by(|c| c.as_str().cmp(t)).ok());
                texts.iter().map(|t| number(t).map(|i| i as f64)).collect()
            }
        }))
    }

    fn values(&self, batch: &RecordBatch, c: &super::Column) -> Result<Values> {
        let array = column(batch, &c.name)?;
        Ok(match &c.kind {
            Kind::Number { mean } => {
                let stands = match self.missing {
                    Missing::Refuse => None,
                    Missing::Zero => Some(0.0),
                    Missing::Mean => Some(mean.unwrap_or(0.0)),
                };
                Values::Number(numbers(array, &c.name)?, stands)
            }
            Kind::OneHot(known) => Values::Chosen(chosen(&texts(array, &c.name)?, known), false),
            Kind::Ordinal(known) => Values::Chosen(chosen(&texts(array, &c.name)?, known), true),
            Kind::Hashed => {
                let (_, buckets) = self.hashed.unwrap_or((0, 1));
                let texts = texts(array, &c.name)?;
                let mut seen: HashMap<&str, u32> = HashMap::new();
                let place = |t| *seen.entry(t).or_insert_with(|| bucket(&c.name, t, buckets));
                let places: Vec<Option<u32>> = texts
                    .iter()
                    .map({
                        let mut place = place;
                        move |t| t.map(&mut place)
                    })
                    .collect();
                Values::Hashed(places)
            }
            Kind::Numbers(n) => {
                let lists = array.as_fixed_size_list();
                let inner = numbers(lists.values(), &c.name)?;
                // Of a list that is missing, nothing is there.
                if lists.null_count() > 0 {
                    return Err(Error::input(format!("a list of `{}` is missing", c.name), ""));
                }
                Values::Numbers(inner, *n as usize)
            }
            Kind::Vector(_) => Values::Vector(Box::new(vector::Rows::of(array.as_struct())?)),
        })
    }

    /// Appends the features of a row.
    fn push(
        &self,
        columns: &[(u32, Values)],
        row: usize,
        rows: &mut CsrBuilder,
        hashed: &mut Vec<u32>,
    ) -> Result<(), String> {
        hashed.clear();
        for (c, (first, values)) in columns.iter().enumerate() {
            let name = &self.columns[c].name;
            match values {
                Values::Number(array, stands) => {
                    let x = match (array.is_valid(row), stands) {
                        (true, None) => array.value(row),
                        (true, Some(stands)) if array.value(row).is_nan() => *stands,
                        (true, Some(_)) => array.value(row),
                        (false, Some(stands)) => *stands,
                        (false, None) => return Err(format!("`{name}` is missing")),
                    };
                    push_number(rows, *first, x, name)?;
                }
                Values::Chosen(numbers, ordinal) => match (numbers[row], ordinal) {
                    (Some(i), true) => push_number(rows, *first, f64::from(i), name)?,
                    (Some(i), false) => rows.push(first + i, 1.0),
                    (None, _) => {}
                },
                Values::Hashed(places) => hashed.extend(places[row]),
                Values::Numbers(array, n) => {
                    for (i, at) in (row * n..(row + 1) * n).enumerate() {
                        if array.is_null(at) {
                            return Err(format!("value {i} of `{name}` is missing"));
                        }
                        push_number(rows, first + i as u32, array.value(at), name)?;
                    }
                }
                Values::Vector(vectors) => {
                    let limit = match &self.columns[c].kind {
                        Kind::Vector(Some(n)) => *n,
                        _ => i32::MAX as u32,
                    };
                    let row = vectors.try_row(row).map_err(|why| format!("the vector `{name}`: {why}"))?;
                    for (column, x) in row {
                        if column >= limit {
                            return Err(format!("`{name}` has the index {column}, and there are {limit}"));
                        }
                        rows.push(first + column, x);
                    }
                }
            }
        }
        if let Some((first, _)) = self.hashed {
            hashed.sort_unstable();
            for same in hashed.chunk_by(|a, b| a == b) {
                rows.push(first + same[0], same.len() as f64);
            }
        }
        Ok(())
    }
}

/// Zeros are not stored; what is no number is no feature.
#[inline]
fn push_number(rows: &mut CsrBuilder, at: u32, x: f64, name: &str) -> Result<(), String> {
    if x.is_finite() {
        if x != 0.0 {
            rows.push(at, x);
        }
        Ok(())
    } else {
        Err(format!("`{name}` is {x}"))
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| crate::table::expr::no_column(name, batch.schema_ref()))
}

fn cast(array: &ArrayRef, to: &DataType, name: &str) -> Result<ArrayRef> {
    arrow_cast::cast(array, to).map_err(|e| Error::input(format!("the column `{name}`: {e}"), ""))
}

fn numbers(array: &ArrayRef, name: &str) -> Result<Float64Array> {
    Ok(cast(array, &DataType::Float64, name)?.as_primitive::<Float64Type>().clone())
}

fn texts(array: &ArrayRef, name: &str) -> Result<StringArray> {
    Ok(cast(array, &DataType::Utf8, name)?.as_string::<i32>().clone())
}

/// The number of each text among those known, which ascend.
fn chosen(texts: &StringArray, known: &[String]) -> Vec<Option<u32>> {
    let places: HashMap<&str, u32> = known.iter().enumerate().map(|(i, t)| (t.as_str(), i as u32)).collect();
    texts.iter().map(|t| t.and_then(|t| places.get(t).copied())).collect()
}

/// The row with what is wrong with it, and its first values.
fn bad_row(batch: &RecordBatch, row: usize, message: String) -> BadRecord {
    let options = FormatOptions::default().with_display_error(true);
    let shown = batch.schema_ref().fields().iter().zip(batch.columns()).take(SHOWN).map(|(f, array)| {
        let text =
            ArrayFormatter::try_new(array, &options).map(|a| a.value(row).to_string()).unwrap_or_default();
        format!("{}={text}", f.name())
    });
    let text = shown.collect::<Vec<_>>().join(" ");
    BadRecord::new(message)
        .bytes(text.as_bytes())
        .hint("complete the data, or say what is to stand for what is missing")
}

/// Cuts rows into blocks as the reader of LIBSVM text does: a block is complete with the row with which it has
/// [`TARGET_BLOCK_NONZEROS`] values or rows. So the same rows give the same blocks, and the same sums.
#[derive(Default)]
pub struct Cutter {
    open: Option<LabeledBlock>,
    /// The next row of `open`.
    at: usize,
    width: usize,
}

impl Cutter {
    /// The next block of the rows in `blocks`.
    pub fn next(&mut self, blocks: &mut impl Iterator<Item = LabeledBlock>) -> Option<LabeledBlock> {
        let mut labels = vec![];
        let mut rows = CsrBuilder::for_block(TARGET_BLOCK_NONZEROS);
        loop {
            let Some(block) = &self.open else {
                match blocks.next() {
                    Some(block) => {
                        self.width = self.width.max(block.features.columns());
                        self.at = 0;
                        self.open = Some(block);
                        continue;
                    }
                    None => break,
                }
            };
            while self.at < block.rows()
                && rows.nnz() < TARGET_BLOCK_NONZEROS
                && labels.len() < TARGET_BLOCK_NONZEROS
            {
                labels.push(block.labels[self.at]);
                rows.push_row(block.features.row(self.at));
                self.at += 1;
            }
            if self.at < block.rows()
                || rows.nnz() >= TARGET_BLOCK_NONZEROS
                || labels.len() >= TARGET_BLOCK_NONZEROS
            {
                break;
            }
            self.open = None;
        }
        labels.shrink_to_fit();
        (!labels.is_empty()).then(|| LabeledBlock { labels, features: rows.finish(self.width) })
    }
}
