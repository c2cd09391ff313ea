//! Rows of features to learn from, and rows to measure on.

use super::MeasuredOn;
use crate::args::{Globals, HeldOutArgs, InputArgs};
use crate::data::{Input, check_split, split_part};
use crate::evaluation::Evaluation;
use crate::labels::{self, Accepts};
use crate::model::RowModel;
use crate::session::Session;
use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::{Dataset, Result, StorageLevel};
use slackwater_mllib::objective::DatasetRows;

/// The files.
pub struct Files {
    /// Those to learn from.
    pub input: Input,
    /// Those to measure on, if they are others.
    pub test: Option<Input>,
    split: Vec<f64>,
}

/// The rows of the files.
pub struct Rows {
    /// Those to learn from.
    pub training: DatasetRows,
    /// Partitions of the data.
    pub partitions: usize,
    held_out: Option<Dataset<LabeledBlock>>,
}

impl Files {
    /// Looks at the files: all must be there.
    pub fn open(input: &InputArgs, held_out: &HeldOutArgs, globals: &Globals) -> Result<Self> {
        check_split(&held_out.split.split)?;
        let open = |files| Input::open(files, &input.read, globals.partitions);
        let test = match &held_out.test[..] {
            [] => None,
            files => Some(open(files)?),
        };
        let input = open(&input.data)?;
        let test = test.map(|test| test.alike(&input));
        Ok(Files { input, test, split: held_out.split.split.clone() })
    }
    /// The rows to learn from, and those to measure on if they are to be split.
    pub fn parts(
        &self,
        session: &Session,
        seed: u64,
    ) -> Result<(Dataset<LabeledBlock>, Option<Dataset<LabeledBlock>>)> {
        if self.input.is_sample {
            session.output.note("no --data: this is the sample that comes with the program");
        }
        let blocks = self.input.blocks(&session.cx)?;
        Ok(match self.split.is_empty() {
            true => (blocks, None),
            false => {
                // Both parts read it: parsed once.
                let parsed = blocks.persist(StorageLevel::MemoryAndDisk).named("parsed rows");
                let part = |i| split_part(&parsed, &self.split, i, seed);
                (part(0), Some(part(1)))
            }
        })
    }
    /// [`parts`](Files::parts), ready for trainers that read their rows again and again.
    pub fn rows(&self, session: &Session, seed: u64) -> Result<Rows> {
        let (training, held_out) = self.parts(session, seed)?;
        let partitions = training.num_partitions();
        Ok(Rows { training: DatasetRows::from_blocks(&training), partitions, held_out })
    }
    /// The rows to measure on: those of other files, those that were held out, or else those learnt from.
    pub fn measured_rows(&self, session: &Session, rows: &Rows) -> Result<(DatasetRows, MeasuredOn)> {
        Ok(match (&self.test, &rows.held_out) {
            (Some(test), _) => (DatasetRows::from_blocks(&test.blocks(&session.cx)?), MeasuredOn::Test),
            (None, Some(held_out)) => (DatasetRows::from_blocks(held_out), MeasuredOn::HeldOut),
            (None, None) => (rows.training.clone(), MeasuredOn::Training),
        })
    }
    /// The files that the rows to measure on are from.
    pub fn measured_input(&self) -> &Input {
        self.test.as_ref().unwrap_or(&self.input)
    }
    /// Measures a model on the rows of other files, on those that were held out, or else on those learnt from.
    pub fn measure(
        &self,
        session: &Session,
        rows: &Rows,
        model: &impl RowModel,
    ) -> Result<(Evaluation, MeasuredOn)> {
        if let Some(test) = &self.test {
            let mut evaluation = Evaluation::new(model, &test.blocks(&session.cx)?);
            if let Some(classes) = model.classes() {
                let accepts = Accepts::Known(classes);
                evaluation = evaluation.map_err(|e| labels::located(e, test, Some(&accepts)));
            }
            let evaluation = evaluation?;
            model.check_columns(evaluation.columns, &test.name())?;
            return Ok((evaluation, MeasuredOn::Test));
        }
        Ok(match &rows.held_out {
            Some(held_out) => (Evaluation::new(model, held_out)?, MeasuredOn::HeldOut),
            None => (Evaluation::new(model, &rows.training.blocks())?, MeasuredOn::Training),
        })
    }
}
