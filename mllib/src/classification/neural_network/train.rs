//! Training: from rows to tables, and from tables to a model.

use super::model::Attributes;
use super::network::{Inputs, Network, Pass};
use super::{Layer, NeuralNetworkModel, NeuralNetworkParams, NeuralNetworkSummary};
use crate::linear::{Survey, class_labels};
use crate::objective::{DatasetRows, RowSlice};
use crate::optimization::{Observer, TableTrained, TableTraining, require_convergence, silent};
use crate::pool::Pool;
use crate::random::shuffle;
use slackwater_dataflow::{Dataset, Result, rng};
use slackwater_paramstore::{Clock, EpochsExt, Snapshots, Table, TableExt, TableSpec, TableView};
use std::sync::Arc;

impl NeuralNetworkParams {
    /// Fits a model to a dataset of points or blocks, or to [`DatasetRows`] that serve several runs. Collective: every
    /// process calls it.
    ///
    /// # Errors
    /// As [`fit_observed`](NeuralNetworkParams::fit_observed).
    pub fn fit(&self, data: impl Into<DatasetRows>) -> Result<NeuralNetworkModel> {
        self.fit_observed(&data.into(), None, &mut silent)
    }
    /// [`fit`](NeuralNetworkParams::fit) with snapshots, and with an observer, which is told the mean loss of every epoch.
    ///
    /// # Errors
    /// Config, for parameters that do not fit; data, for labels that are no whole numbers; input, if there are no rows or
    /// only one class; numerical, if training diverges; what the engine reports.
    pub fn fit_observed(
        &self,
        rows: &DatasetRows,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<NeuralNetworkModel> {
        self.for_rows(rows)?.train(snapshots, observer)
    }
    /// The network for these rows, before training: how large it is can be told before a long run begins. One pass over
    /// the rows.
    ///
    /// # Errors
    /// Those of [`fit_observed`](NeuralNetworkParams::fit_observed) that can be told without training.
    pub fn for_rows(&self, rows: &DatasetRows) -> Result<UntrainedNetwork> {
        self.check()?;
        let survey = Survey::new(rows, self.standardize)?;
        let classes = class_labels(&survey.labels)?;
        let network = Network::new(survey.columns, &self.hidden, classes.len(), self.activation);
        let standardization = survey.moments.as_ref().map_or(vec![], |moments| {
            let (means, deviations) = (moments.means(), moments.sample_deviations());
            means.iter().zip(&deviations).map(|(m, d)| [*m as f32, *d as f32]).collect()
        });
        Ok(UntrainedNetwork {
            params: self.clone(),
            rows: rows.clone(),
            row_count: survey.rows,
            columns: survey.columns,
            classes,
            network,
            standardization,
        })
    }
}

/// A network, and the rows that it is for.
#[derive(Debug, Clone)]
pub struct UntrainedNetwork {
    params: NeuralNetworkParams,
    rows: DatasetRows,
    row_count: u64,
    columns: usize,
    classes: Vec<f64>,
    network: Network,
    standardization: Vec<[f32; 2]>,
}

impl UntrainedNetwork {
    /// The layers, from the inputs on.
    pub fn layers(&self) -> &[Layer] {
        self.network.layers()
    }
    /// Weights and biases of all layers.
    pub fn parameters(&self) -> usize {
        self.network.parameters()
    }
    /// Trains it; see [`NeuralNetworkParams::fit_observed`].
    ///
    /// # Errors
    /// Numerical, if training diverges; what the engine reports.
    pub fn train(
        self,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<NeuralNetworkModel> {
        let params = &self.params;
        let records = self.records();
        let tables = self.tables(&records)?;
        let descent = self.descent();
        let n = self.row_count as f64;
        let training = records.epochs(params.epochs as u64).batch(params.batch).seed(params.seed).update_all(
            &tables.iter().collect::<Vec<_>>(),
            move |batch, tables, clock| {
                descent.run(batch, tables, clock);
            },
        );
        let run = TableTraining { snapshots, tolerance: params.tolerance, objective: &|loss| loss / n };
        let TableTrained { history, stop, .. } = run.run(training, observer)?;
        require_convergence(&history, (self.classes.len() as f64).ln(), params.step_size)?;
        let weights = tables.iter().flat_map(|t| t.values().to_vec()).collect();
        let summary = NeuralNetworkSummary {
            rows: self.row_count,
            partitions: records.num_partitions(),
            parameters: self.parameters(),
            loss: history.last().copied().unwrap_or(f64::NAN),
            loss_history: history,
            stop,
        };
        let attributes =
            Attributes { columns: self.columns, classes: self.classes, params: self.params, summary };
        Ok(NeuralNetworkModel::new(weights, self.standardization, attributes))
    }
    /// One record a row, in the order of training.
    fn records(&self) -> Dataset<RowSlice> {
        let rows = self.rows.slices(1);
        if !self.params.shuffle {
            return rows;
        }
        let seed = self.params.seed;
        rows.map_partitions_with_index(move |partition, rows| {
            let mut rows: Vec<RowSlice> = rows.collect();
            shuffle(&mut rows, &mut rng::stream(seed, partition as u64));
            rows.into_iter()
        })
    }
    /// One a layer.
    fn tables(&self, records: &Dataset<RowSlice>) -> Result<Vec<Table<f32>>> {
        let table = |(l, layer): (usize, &Layer)| {
            let spec = TableSpec::dense(layer.rows(), layer.outputs)
                .init(self.network.first_weights(l, self.params.seed))
                .consistency(self.params.consistency)
                .rule(self.params.rule());
            records.context().table(&format!("layer {}", l + 1), spec)
        };
        self.layers().iter().enumerate().map(table).collect()
    }
    fn descent(&self) -> Descent {
        Descent {
            network: self.network.clone(),
            inputs: Inputs::new(self.columns, &self.standardization),
            classes: self.classes.as_slice().into(),
            rows: self.row_count as f64,
            step: self.params.step_size,
            decay: self.params.decay,
            penalty: self.params.regularization,
            pool: Pool::default(),
        }
    }
}

/// What a minibatch works with.
#[derive(Debug, Default)]
struct Scratch {
    weights: Vec<f32>,
    classes: Vec<usize>,
    pass: Pass,
}

/// What a minibatch needs to know.
struct Descent {
    network: Network,
    inputs: Inputs,
    classes: Arc<[f64]>,
    rows: f64,
    step: f64,
    decay: f64,
    penalty: f64,
    pool: Pool<Scratch>,
}

impl Descent {
    fn run(&self, batch: &[RowSlice], tables: &mut [TableView<'_, f32>], clock: &mut Clock) {
        self.pool.with(|scratch| self.run_with(scratch, batch, tables, clock));
    }
    fn run_with(
        &self,
        scratch: &mut Scratch,
        batch: &[RowSlice],
        tables: &mut [TableView<'_, f32>],
        clock: &mut Clock,
    ) {
        read(tables, self.network.parameters(), &mut scratch.weights);
        self.load(batch, scratch);
        let Scratch { weights, classes, pass } = scratch;
        self.network.forward(weights, pass);
        clock.loss(self.network.derive(classes, pass));
        let step = self.step * self.decay.powf(clock.epoch() as f64);
        let rate = step * clock.clocks_per_epoch() as f64 / self.rows;
        // Every partition takes its share of the penalty, at the weights that it has read.
        let shrink = (step * self.penalty / clock.partitions() as f64) as f32;
        let parts = self.network.parts(weights);
        self.network.backward(weights, -rate as f32, pass, |l, increments| {
            if shrink > 0.0 {
                let (layer, part) = parts[l];
                let of_weights = increments.iter_mut().zip(layer.split(part).0);
                of_weights.for_each(|(increment, w)| *increment -= shrink * w);
            }
            tables[l].inc_rows(0, increments);
        });
    }
    fn load(&self, batch: &[RowSlice], scratch: &mut Scratch) {
        let rows = || batch.iter().flat_map(RowSlice::iter);
        let class = |label: f64| self.classes.partition_point(|c| *c < label);
        scratch.classes.clear();
        scratch.classes.extend(rows().map(|(label, _)| class(label)));
        let places = scratch.pass.inputs(&self.network, scratch.classes.len());
        rows().zip(places).for_each(|((_, row), place)| self.inputs.write(&row, place));
    }
}

/// All values of some tables, one after the other.
fn read(tables: &[TableView<'_, f32>], count: usize, to: &mut Vec<f32>) {
    to.resize(count, 0.0);
    let mut rest = &mut to[..];
    for table in tables {
        let (place, after) = rest.split_at_mut(table.rows() * table.columns());
        table.read_rows(0, place);
        rest = after;
    }
}
