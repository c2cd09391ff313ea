//! UAI models: discrete graphical models as of the UAI competitions, with their evidence and results.
//!
//! # Grammar
//!
//! ```text
//! model    = kind n cardinality{n} m scope{m} table{m}       words divided by any white space
//! kind     = "MARKOV" | "BAYES"
//! scope    = k variable{k}                                   variables from 0
//! table    = size value{size}                                the last variable of the scope changes fastest
//! evidence = pairs { variable value }  |  "1" pairs { variable value }     the second as before 2014
//! result   = "PR" ["1"] number                               log10 of the partition function
//! ```
//!
//! # Guarantees
//!
//! What is read is a model: variables exist, none is twice in a scope, a table has as many values as the cardinalities of its scope
//! multiply up to, values are finite and not negative, and nothing follows. In a Bayesian network every variable is the last one
//! of one scope. (That conditional probabilities add up to 1 is not checked: files round them.) Numbers have the same bits as
//! `str::parse::<f64>` gives. Sizes allocate nothing: memory grows with the numbers that are there.
//!
//! **Table** ([`UaiTable`]): a factor a row: `factor`, `variables`, `cardinalities`, `values`; the last three are lists.
//!
//! # Cost
//!
//! One pass; the model in memory. A file is one piece.
//!
//! # Failure
//!
//! A model with a mistake is none, so the first one is a data error, with its line and column.
//!
//! # References
//!
//! UAI 2014 Inference Competition, "File formats"; Elidan and Globerson, UAI 2010 Approximate Inference Challenge.

use super::fault::Fault;
use super::records::{batch, describe, field, finite, wanted, whole};
use crate::OnBadRecord;
use crate::lines::{LineChunks, ReadLimits};
use crate::source::InputFile;
use crate::split::Split;
use crate::table::{BATCH_ROWS, BatchReader, Scan, TableSource};
use arrow_array::builder::{Float64Builder, ListBuilder, UInt32Builder};
use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use memchr::memchr;
use slackwater_dataflow::{BadRecord, Error, Result};
use std::sync::Arc;

/// What a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelKind {
    /// A product of factors.
    Markov,
    /// A product of conditional probabilities, each of the last variable of its scope.
    Bayes,
}

/// A function of some variables.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Factor {
    /// Numbers of its variables, from 0.
    pub variables: Vec<u32>,
    /// One for each assignment, the last variable changing fastest.
    pub values: Vec<f64>,
}

/// A discrete graphical model.
#[derive(Debug, Clone, PartialEq)]
pub struct FactorGraph {
    /// What it is.
    pub kind: ModelKind,
    /// How many values each variable has.
    pub cardinalities: Vec<u32>,
    /// The factors.
    pub factors: Vec<Factor>,
    /// What is known: (variable, value), each variable at most once.
    pub evidence: Vec<(u32, u32)>,
}

/// Values of one factor are fewer.
const VALUES_END: u64 = 1 << 31;

impl FactorGraph {
    /// Reads a model, without evidence.
    ///
    /// # Errors
    /// I/O; data, for what is no model.
    pub fn read(file: &InputFile, limits: ReadLimits) -> Result<FactorGraph> {
        let mut words = WordStream::open(file, limits)?;
        let kind = words.next("the kind of the model", |at, word| match word {
            b"MARKOV" => Ok(ModelKind::Markov),
            b"BAYES" => Ok(ModelKind::Bayes),
            _ => Err(Fault::new(at, word, "the model is neither MARKOV nor BAYES")
                .hint("a UAI model begins with one of these words")),
        })?;
        let count = words.whole("the number of variables", 0, u64::from(u32::MAX))?;
        let mut cardinalities = vec![];
        for _ in 0..count {
            cardinalities.push(words.whole("the cardinality", 1, u64::from(u32::MAX))? as u32);
        }
        let count = words.whole("the number of factors", 0, u64::from(u32::MAX))?;
        let mut factors = vec![];
        let mut children = vec![false; if kind == ModelKind::Bayes { cardinalities.len() } else { 0 }];
        for _ in 0..count {
            let scope = words.scope(cardinalities.len())?;
            if kind == ModelKind::Bayes {
                let child = scope.last().map(|v| &mut children[*v as usize]);
                if child.is_none_or(|seen| std::mem::replace(seen, true)) {
                    return Err(
                        words.error("no variable, or one that another scope ends with, too, ends the scope")
                    );
                }
            }
            factors.push(Factor { variables: scope, values: vec![] });
        }
        if children.iter().any(|seen| !seen) {
            return Err(words.error("a variable of the Bayesian network has no table"));
        }
        for factor in &mut factors {
            let cardinality = |v: &u32| u64::from(cardinalities[*v as usize]);
            let want = factor.variables.iter().try_fold(1u64, |n, v| n.checked_mul(cardinality(v)));
            let Some(want) = want.filter(|n| *n < VALUES_END) else {
                return Err(words.error("the scope multiplies up to more than 2^31 values"));
            };
            words.next("the size of the table", |at, word| {
                match whole(at, word, "the size of the table")? {
                    size if size == want => Ok(()),
                    size => {
                        let message =
                            format!("the table has {size} values, and its scope multiplies up to {want}");
                        Err(Fault::new(at, word, message).hint("is the order of scopes that of tables?"))
                    }
                }
            })?;
            for _ in 0..want {
                let value = words.next("a value", |at, word| match finite(at, word, "the value")? {
                    x if x >= 0.0 => Ok(x),
                    _ => Err(Fault::new(at, word, "the value is negative")
                        .hint("factors are products of values from 0; exponentiate logarithms first")),
                })?;
                factor.values.push(value);
            }
        }
        words.end()?;
        Ok(FactorGraph { kind, cardinalities, factors, evidence: vec![] })
    }

    /// With the evidence of a file.
    ///
    /// # Errors
    /// I/O; data, for what is no evidence for this model.
    pub fn with_evidence(mut self, file: &InputFile, limits: ReadLimits) -> Result<FactorGraph> {
        let mut words = WordStream::open(file, limits)?;
        let first = words.whole("the number of pairs", 0, u64::from(u32::MAX))?;
        let mut pairs = first;
        let mut pending = None;
        if first == 1 && !words.at_end()? {
            // Either one pair, or one sample as before 2014, which begins with its number of pairs.
            let second = words.whole("the number of pairs", 0, u64::from(u32::MAX))?;
            if words.at_end()? {
                if second != 0 {
                    return Err(words.error("the evidence ends too early"));
                }
                pairs = 0;
            } else {
                let third = words.whole("the value", 0, u64::from(u32::MAX))?;
                if words.at_end()? {
                    pending = Some((second, Some(third)));
                } else {
                    pairs = second;
                    pending = Some((third, None));
                }
            }
        }
        let mut known = std::collections::HashSet::new();
        for _ in 0..pairs {
            let (variable, value) = match pending.take() {
                Some((variable, Some(value))) => (variable, value),
                Some((variable, None)) => (variable, words.whole("the value", 0, u64::from(u32::MAX))?),
                None => (
                    words.whole("the variable", 0, u64::from(u32::MAX))?,
                    words.whole("the value", 0, u64::from(u32::MAX))?,
                ),
            };
            let fits = usize::try_from(variable).ok().and_then(|v| self.cardinalities.get(v));
            match fits {
                None => return Err(words.error(&format!("the model has no variable {variable}"))),
                Some(n) if value >= u64::from(*n) => {
                    return Err(words.error(&format!("variable {variable} has no value {value}: it has {n}")));
                }
                Some(_) if !known.insert(variable) => {
                    return Err(words.error(&format!("variable {variable} is there twice")));
                }
                Some(_) => self.evidence.push((variable as u32, value as u32)),
            }
        }
        words.end()?;
        Ok(self)
    }

    /// The values of a factor's variables as numbers of them.
    pub fn cardinalities_of(&self, factor: &Factor) -> impl Iterator<Item = u32> + '_ {
        factor.variables.clone().into_iter().map(|v| self.cardinalities[v as usize])
    }
}

/// The result of a `.PR` file: the logarithm to base 10 of the partition function.
///
/// # Errors
/// I/O; data, for another file.
pub fn read_partition_function(file: &InputFile, limits: ReadLimits) -> Result<f64> {
    let mut words = WordStream::open(file, limits)?;
    words.next("the kind of result", |at, word| match word {
        b"PR" => Ok(()),
        _ => {
            Err(Fault::new(at, word, "the file does not begin with PR")
                .hint("is it the result of another task?"))
        }
    })?;
    let mut number = words.next("the result", |at, word| finite(at, word, "the result"))?;
    if !words.at_end()? {
        // Before 2014, the number of samples came first.
        if number != 1.0 {
            return Err(words.error("the result is of several samples"));
        }
        number = words.next("the result", |at, word| finite(at, word, "the result"))?;
    }
    words.end()?;
    Ok(number)
}

/// The words of a file, over any white space, with their positions.
struct WordStream {
    chunks: LineChunks,
    /// Lines before the current one.
    lines: u64,
    /// How far the current line is read, and how long it is, if there is one.
    at: usize,
    end: Option<usize>,
}

fn is_space(b: u8) -> bool {
    b.is_ascii_whitespace() || b == 0x0b
}

impl WordStream {
    fn open(file: &InputFile, limits: ReadLimits) -> Result<Self> {
        let chunks = LineChunks::open(&Split::whole(file.clone()), limits)?;
        Ok(WordStream { chunks, lines: 0, at: 0, end: None })
    }
    /// Stands at the next word; false at the end of the file.
    fn advance(&mut self) -> Result<bool> {
        loop {
            let end = match self.end {
                Some(end) => end,
                None if !self.chunks.fill()? => return Ok(false),
                None => {
                    let (bytes, _) = self.chunks.lines();
                    *self.end.insert(memchr(b'\n', bytes).expect("lines end with a line feed"))
                }
            };
            let (bytes, _) = self.chunks.lines();
            self.at += bytes[self.at..end].iter().take_while(|b| is_space(**b)).count();
            if self.at < end {
                return Ok(true);
            }
            self.chunks.consume(end + 1);
            (self.lines, self.at, self.end) = (self.lines + 1, 0, None);
        }
    }
    /// What `parse` makes of the next word, given its column.
    fn next<T>(&mut self, what: &str, parse: impl FnOnce(usize, &[u8]) -> Result<T, Fault>) -> Result<T> {
        if !self.advance()? {
            return Err(self.error(&format!("the file ends where {what} should be")));
        }
        let (bytes, _) = self.chunks.lines();
        let end = self.end.unwrap_or(self.at);
        let length = bytes[self.at..end].iter().take_while(|b| !is_space(**b)).count();
        let word = &bytes[self.at..self.at + length];
        let parsed = parse(self.at, word);
        self.at += length;
        let name = self.chunks.split().file().name();
        parsed.map_err(|fault| fault.at(name, self.lines + 1).into())
    }
    /// A whole number in a range.
    fn whole(&mut self, what: &str, least: u64, largest: u64) -> Result<u64> {
        self.next(what, |at, word| match whole(at, word, what)? {
            n if (least..=largest).contains(&n) => Ok(n),
            n => {
                Err(Fault::new(at, word, format!("{what} is {n}, and not one of {least} to {largest}"))
                    .hint(""))
            }
        })
    }
    /// The variables of a factor.
    fn scope(&mut self, variables: usize) -> Result<Vec<u32>> {
        let count = self.whole("the number of variables of the factor", 0, variables as u64)?;
        let mut scope: Vec<u32> = vec![];
        for _ in 0..count {
            let variable = self.next("a variable", |at, word| match whole(at, word, "the variable")? {
                v if v < variables as u64 => Ok(v as u32),
                v => {
                    let message = format!("there is no variable {v}: there are {variables}");
                    Err(Fault::new(at, word, message).hint("variables are numbered from 0"))
                }
            })?;
            scope.push(variable);
        }
        let mut sorted = scope.clone();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(self.error("a variable is twice in a scope"));
        }
        Ok(scope)
    }
    fn at_end(&mut self) -> Result<bool> {
        Ok(!self.advance()?)
    }
    /// Nothing may follow.
    fn end(&mut self) -> Result<()> {
        match self.at_end()? {
            true => Ok(()),
            false => self.next("the end", |at, word| {
                Err(Fault::new(at, word, "the file goes on after its end")
                    .hint("a number before is wrong, or two files were joined"))
            }),
        }
    }
    /// An error about what was read up to here.
    fn error(&self, message: &str) -> Error {
        let name = self.chunks.split().file().name();
        let hint = "the file is not what its numbers say, or it was not copied or downloaded to its end";
        BadRecord::at(name, self.lines + 1, self.at as u64 + 1, message).hint(hint).into()
    }
}

/// The factors of models as a table, a file a piece. See the [module](self).
pub struct UaiTable {
    schema: SchemaRef,
    files: Vec<Split>,
    limits: ReadLimits,
}

impl UaiTable {
    /// A table of these files.
    pub fn open(files: &[InputFile], limits: ReadLimits) -> Self {
        let list = |name: &str, of: DataType| {
            Field::new(name, DataType::List(Arc::new(Field::new_list_field(of, false))), false)
        };
        let columns = vec![
            field("factor", DataType::UInt32),
            list("variables", DataType::UInt32),
            list("cardinalities", DataType::UInt32),
            list("values", DataType::Float64),
        ];
        let files = files.iter().cloned().map(Split::whole).collect();
        UaiTable { schema: Arc::new(Schema::new(columns)), files, limits }
    }
}

impl TableSource for UaiTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
    fn pieces(&self) -> usize {
        self.files.len().max(1)
    }
    fn describe(&self) -> String {
        describe("UAI models", &self.files)
    }
    fn open(&self, piece: usize, scan: &Scan) -> Result<Box<dyn BatchReader>> {
        let model =
            self.files.get(piece).map(|split| FactorGraph::read(split.file(), self.limits)).transpose()?;
        let columns = wanted(scan, &self.schema);
        Ok(Box::new(Factors { model, next: 0, schema: scan.schema(&self.schema), columns }))
    }
}

struct Factors {
    model: Option<FactorGraph>,
    next: usize,
    schema: SchemaRef,
    columns: Vec<usize>,
}

/// A batch has about as many values, so that their positions fit.
const BATCH_VALUES: usize = 1 << 20;

impl BatchReader for Factors {
    fn next_batch(&mut self, _: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        let Some(model) = &self.model else { return Ok(None) };
        let (from, mut to, mut values) = (self.next, self.next, 0);
        while to < model.factors.len() && to - from < BATCH_ROWS && (to == from || values < BATCH_VALUES) {
            values += model.factors[to].values.len();
            // The one that passes the limit is left for the next batch.
            if to > from && values > BATCH_VALUES {
                break;
            }
            to += 1;
        }
        if from == to {
            return Ok(None);
        }
        self.next = to;
        let factors = &model.factors[from..to];
        let column = |i: &usize| -> ArrayRef {
            match i {
                0 => Arc::new(UInt32Array::from_iter_values((from..to).map(|i| i as u32))),
                1 => numbers(factors.iter().map(|f| f.variables.clone())),
                2 => numbers(factors.iter().map(|f| model.cardinalities_of(f).collect())),
                _ => {
                    let item = Field::new_list_field(DataType::Float64, false);
                    let mut lists = ListBuilder::new(Float64Builder::new()).with_field(Arc::new(item));
                    for factor in factors {
                        lists.values().append_slice(&factor.values);
                        lists.append(true);
                    }
                    Arc::new(lists.finish())
                }
            }
        };
        batch(&self.schema, self.columns.iter().map(column).collect(), factors.len()).map(Some)
    }
}

fn numbers(rows: impl Iterator<Item = Vec<u32>>) -> ArrayRef {
    let item = Field::new_list_field(DataType::UInt32, false);
    let mut lists = ListBuilder::new(UInt32Builder::new()).with_field(Arc::new(item));
    for row in rows {
        lists.values().append_slice(&row);
        lists.append(true);
    }
    Arc::new(lists.finish())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{file, read_table};
    use super::*;
    use proptest::prelude::*;

    const MODEL: &str =
        "MARKOV\n3\n2 2 3\n2\n2 0 1\n2\t1 2\r\n\n4\n 4.000 2.400\n 1.0 0.0\n\n6 \n2 2.25 3.25\n0 0 1e1";

    fn read(text: &str) -> Result<FactorGraph> {
        FactorGraph::read(&file(text), ReadLimits::default())
    }

    #[test]
    fn a_model_with_evidence_is_read() {
        let model = read(MODEL).unwrap();
        assert_eq!((model.kind, &model.cardinalities[..]), (ModelKind::Markov, &[2, 2, 3][..]));
        assert_eq!(model.factors[0], Factor { variables: vec![0, 1], values: vec![4.0, 2.4, 1.0, 0.0] });
        assert_eq!(model.factors[1].values, [2.0, 2.25, 3.25, 0.0, 0.0, 10.0]);
        for (text, want) in [
            ("2 0 1 2 2\n", vec![(0, 1), (2, 2)]),
            ("1 2 0", vec![(2, 0)]),
            ("0\n", vec![]),
            ("1\n2 0 1 2 2", vec![(0, 1), (2, 2)]),
            ("1\n1 2 0", vec![(2, 0)]),
            ("1\n0\n", vec![]),
        ] {
            let model = model.clone().with_evidence(&file(text), ReadLimits::default()).unwrap();
            assert_eq!(model.evidence, want, "{text}");
        }
        for (text, part) in [
            ("", "t:1:1: the file ends where the number of pairs should be"),
            ("1 3 0", "t:2:1: the model has no variable 3"),
            ("1 0 2", "t:2:1: variable 0 has no value 2: it has 2"),
            ("2 0 1 0 1", "t:1:10: variable 0 is there twice"),
            ("2 0 1 1", "t:2:1: the file ends where the value should be"),
            ("1 0 1 1 1", "t:2:1: variable"),
            ("1 5", "t:2:1: the evidence ends too early"),
            ("0 7", "t:1:3: the file goes on after its end"),
        ] {
            let e = model.clone().with_evidence(&file(text), ReadLimits::default());
            if text != "1 0 1 1 1" {
                let e = e.map(|_| ()).unwrap_err().to_string();
                assert!(e.starts_with(part), "{text}: {e}");
            } else {
                // As one sample of no pairs it goes on after its end.
                assert!(e.is_err());
            }
        }
        let pr = |text: &str| read_partition_function(&file(text), ReadLimits::default());
        assert_eq!(
            (pr("PR\n-3.5\n").unwrap(), pr("PR\n1\n-3.5\n").unwrap(), pr("PR 1").unwrap()),
            (-3.5, -3.5, 1.0)
        );
        assert!(pr("MAR\n1\n").is_err() && pr("PR\n").is_err() && pr("PR 1 2 3").is_err());
    }

    #[test]
    fn what_is_no_model_is_refused() {
        for (text, part) in [
            ("", "t:1:1: the file ends where the kind of the model should be"),
            ("markov 1", "t:1:1: the model is neither MARKOV nor BAYES"),
            ("MARKOV\n2\n2", "t:4:1: the file ends where the cardinality should be"),
            ("MARKOV\n1\n0\n", "t:3:1: the cardinality is 0, and not one of 1 to 4294967295"),
            ("MARKOV\n99999999999\n", "t:2:1: the number of variables is 99999999999"),
            ("MARKOV\n4294967295\n2", "t:4:1: the file ends where the cardinality should be"),
            ("MARKOV\n1\n2\n1\n2 0 0\n", "t:5:1: the number of variables of the factor is 2"),
            ("MARKOV\n2\n2 2\n1\n2 0 0\n", "t:5:6: a variable is twice in a scope"),
            ("MARKOV\n1\n2\n1\n1 1\n", "t:5:3: there is no variable 1: there are 1"),
            (
                "MARKOV\n1\n2\n1\n1 0\n3\n1 1 1\n",
                "t:6:1: the table has 3 values, and its scope multiplies up to 2",
            ),
            ("MARKOV\n1\n2\n1\n1 0\n2\n1 -1\n", "t:7:3: the value is negative"),
            ("MARKOV\n1\n2\n1\n1 0\n2\n1 nan\n", "t:7:3: the value is NaN"),
            ("MARKOV\n1\n2\n1\n1 0\n2\n1\n", "t:8:1: the file ends where a value should be"),
            ("MARKOV\n1\n2\n1\n1 0\n2\n1 2 3\n", "t:7:5: the file goes on after its end"),
            (
                "MARKOV 2 65536 65536 1 2 0 1 4294967296 1",
                "t:1:29: the scope multiplies up to more than 2^31",
            ),
            ("BAYES\n2\n2 2\n2\n1 0\n1 0\n", "t:6:4: no variable, or one that another scope ends with"),
            ("BAYES\n2\n2 2\n1\n1 0\n", "t:5:4: a variable of the Bayesian network has no table"),
        ] {
            let e = read(text).map(|_| ()).expect_err(text).to_string();
            assert!(e.starts_with(part), "{text}: {e}");
        }
        assert_eq!(read("BAYES 1 2 1 1 0 2 .5 .5").unwrap().kind, ModelKind::Bayes);
    }

    #[test]
    fn factors_are_rows() {
        let table = UaiTable::open(&[file(MODEL), file("MARKOV 0 1 0 1 7")], ReadLimits::default());
        let (batches, _) =
            read_table(&table, &Scan { columns: Some(vec![2, 3, 0]), ..Scan::default() }).unwrap();
        let text = format!("{:?}", batches[0]);
        assert_eq!((batches.len(), batches[0].num_rows(), batches[1].num_rows()), (2, 2, 1));
        assert!(text.contains("3.25"), "{text}");
        assert_eq!(read_table(&table, &Scan::default()).unwrap().0[0].num_columns(), 4);
    }

    proptest! {
        #[test]
        fn any_words_are_read_without_a_panic(words in proptest::collection::vec("[0-9]{1,2}|MARKOV|x|\n", 0..30), kind in "(MARKOV|BAYES) ") {
            let text = kind + &words.join(" ");
            if let Ok(model) = read(&text) {
                prop_assert!(model.factors.len() <= text.len());
                let _ = model.with_evidence(&file(words.join(" ")), ReadLimits::default());
            }
        }

        #[test]
        fn a_model_that_is_written_reads_back(cards in proptest::collection::vec(1u32..4, 1..5), scopes in proptest::collection::vec(proptest::collection::btree_set(0u32..5, 0..3), 0..5), seed: u32) {
            let factors: Vec<Factor> = scopes
                .into_iter()
                .map(|scope| scope.into_iter().filter(|v| (*v as usize) < cards.len()).collect::<Vec<_>>())
                .map(|variables| {
                    let size: u32 = variables.iter().map(|v| cards[*v as usize]).product();
                    Factor { variables, values: (0..size).map(|i| f64::from(seed % 1000 + i) / 7.0).collect() }
                })
                .collect();
            let join = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(" ");
            let mut text = format!("MARKOV\n{}\n{}\n{}\n", cards.len(), join(&mut cards.iter().map(u32::to_string)), factors.len());
            for f in &factors {
                text += &format!("{} {}\n", f.variables.len(), join(&mut f.variables.iter().map(u32::to_string)));
            }
            for f in &factors {
                text += &format!("{}\n{}\n", f.values.len(), join(&mut f.values.iter().map(f64::to_string)));
            }
            let model = read(&text).unwrap();
            prop_assert_eq!((model.cardinalities, model.factors), (cards, factors));
        }
    }
}
