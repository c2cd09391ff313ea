//! All metrics of a model on rows: one pass, a tally a partition, merged in a fixed order.

use crate::model::{RowModel, as_taken};
use crate::output::{count, figure, table};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::{BadRecord, Dataset, Error, Result};
use slackwater_mllib::clustering::lda::Perplexity;
use slackwater_mllib::evaluation::{
    BinaryMetrics, ClusteringMetrics, ConfusionCounts, CurvePoint, LogLoss, MulticlassMetrics,
    RegressionMetrics, RegressionSums, ScoreCounts,
};
use slackwater_mllib::tuning::Direction;
use std::sync::Arc;

/// The table of labels against predictions is told for this many classes at most: its size is their square.
const CONFUSION_CLASSES_MAX: usize = 100;

/// About how many distinct scores are kept, of all rows together: neighbours are counted together when there are twice as
/// many. A pair of rows can change its order only if both lie within one group, so the areas change by about one part in what
/// is kept of a partition at most.
const SCORES_MAX: usize = 1 << 20;
/// Of one partition, however many there are.
const SCORES_OF_A_PARTITION: usize = 4096;

/// What is known of some rows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Tally {
    rows: u64,
    columns: usize,
    /// Scores that are not in `counts` yet: sorting them once a partition is cheaper than once a block.
    pending: Vec<(f64, bool)>,
    counts: ScoreCounts,
    /// About how many of them are kept.
    scores_max: usize,
    confusion: ConfusionCounts,
    loss: Option<LogLoss>,
    regression: RegressionSums,
}

impl Tally {
    /// Of one of so many partitions.
    fn of_partitions(partitions: usize) -> Self {
        let scores_max = (SCORES_MAX / partitions.max(1)).max(SCORES_OF_A_PARTITION);
        Tally { scores_max, ..Tally::default() }
    }
    fn push(&mut self, model: &impl RowModel, classes: Option<&[f64]>, block: &LabeledBlock) {
        self.rows += block.rows() as u64;
        self.columns = self.columns.max(block.features.columns());
        let mut labels = block.labels.iter();
        model.score(&block.features, &mut |row| {
            let (prediction, label) = (row.prediction(), *labels.next().expect("a label a row"));
            let Some(classes) = classes else {
                return self.regression.push(prediction, label);
            };
            self.confusion.push(prediction, label);
            if let [_, positive] = classes {
                self.pending.push((row.ranking(), label == *positive));
            }
            if let Some(probabilities) = row.probabilities() {
                let of_label = classes.iter().position(|c| *c == label).map_or(0.0, |c| probabilities[c]);
                self.loss.get_or_insert_default().push(of_label);
            }
        });
        self.seal_if_many();
    }
    fn seal_if_many(&mut self) {
        if self.pending.len() >= 2 * self.scores_max {
            self.seal();
        }
    }
    fn seal(&mut self) {
        let pending = ScoreCounts::new(std::mem::take(&mut self.pending));
        self.counts = std::mem::take(&mut self.counts).merge(pending).downsample(self.scores_max);
    }
    fn sealed(mut self) -> Self {
        self.seal();
        self
    }
    fn merge(self, other: Tally) -> Tally {
        let (a, b) = (self.sealed(), other.sealed());
        Tally {
            rows: a.rows + b.rows,
            columns: a.columns.max(b.columns),
            pending: vec![],
            counts: a.counts.merge(b.counts).downsample(SCORES_MAX),
            scores_max: SCORES_MAX,
            confusion: a.confusion.merge(b.confusion),
            loss: match (a.loss, b.loss) {
                (Some(a), Some(b)) => Some(a.merge(b)),
                (a, b) => a.or(b),
            },
            regression: a.regression.merge(b.regression),
        }
    }
}

/// Metrics of a model on rows.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// Rows measured on.
    pub rows: u64,
    /// Columns of these rows.
    pub columns: usize,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Classes {
        confusion: MulticlassMetrics,
        ranking: Option<BinaryMetrics>,
        positive: f64,
        log_loss: Option<f64>,
    },
    Values(RegressionMetrics),
    Words(Perplexity),
    Clusters(ClusteringMetrics),
    /// Figures that have no curves and tables beside them.
    Figures(Vec<(&'static str, f64)>),
}

/// Metrics of which less is better.
const LESS_IS_BETTER: [&str; 9] = [
    "log_loss",
    "rmse",
    "mse",
    "mae",
    "perplexity",
    "cost",
    "objective",
    "relative_error",
    "relative_frobenius",
];

/// Which end of a metric is the good one.
pub fn direction(metric: &str) -> Direction {
    if LESS_IS_BETTER.contains(&metric) { Direction::Smaller } else { Direction::Larger }
}

impl Evaluation {
    /// Measures.
    ///
    /// # Errors
    /// Data, for labels that are no classes of the model; what the job reports.
    pub fn new(model: &impl RowModel, rows: &Dataset<LabeledBlock>) -> Result<Self> {
        let classes = model.classes();
        let (shared, known) = (Arc::new(model.clone()), classes.clone());
        let add =
            move |tally: &mut Tally, block: &LabeledBlock| tally.push(&*shared, known.as_deref(), block);
        let merge = |left: &mut Tally, right: Tally| *left = std::mem::take(left).merge(right);
        let tally = as_taken(model, rows.clone())
            .aggregate(Tally::of_partitions(rows.num_partitions()), add, merge)?
            .sealed();
        require_rows(tally.rows)?;
        let (rows, columns) = (tally.rows, tally.columns);
        let Some(classes) = classes else {
            return Ok(Evaluation { rows, columns, kind: Kind::Values(tally.regression.into()) });
        };
        let confusion = MulticlassMetrics::from(tally.confusion);
        if let Some(odd) = confusion.classes().iter().find(|c| !classes.contains(c)) {
            let names: Vec<String> = classes.iter().map(f64::to_string).collect();
            let message = format!("label {odd}: the classes of the model are {}", names.join(", "));
            return Err(BadRecord::new(message)
                .hint("`--binarize T` makes labels above T positive and the others negative")
                .into());
        }
        let ranking = (classes.len() == 2).then(|| BinaryMetrics::from(tally.counts));
        let kind = Kind::Classes {
            confusion,
            ranking,
            positive: *classes.last().expect("a classifier has classes"),
            log_loss: tally.loss.map(|l| l.mean()),
        };
        Ok(Evaluation { rows, columns, kind })
    }
    /// Metrics of predicted values that were measured already.
    ///
    /// # Errors
    /// Input, if there were none.
    pub fn of_values(metrics: RegressionMetrics) -> Result<Self> {
        require_rows(metrics.rows)?;
        Ok(Evaluation { rows: metrics.rows, columns: 0, kind: Kind::Values(metrics) })
    }
    /// How well words were foretold. Rows are documents.
    pub fn of_words(perplexity: Perplexity) -> Self {
        Evaluation { rows: perplexity.documents, columns: 0, kind: Kind::Words(perplexity) }
    }
    /// How well rows are apart in clusters.
    pub fn of_clusters(metrics: ClusteringMetrics) -> Self {
        Evaluation { rows: metrics.rows, columns: metrics.columns, kind: Kind::Clusters(metrics) }
    }
    /// Figures by name that were measured already on rows, the most telling ones first.
    pub fn of_figures(rows: u64, columns: usize, figures: Vec<(&'static str, f64)>) -> Self {
        Evaluation { rows, columns, kind: Kind::Figures(figures) }
    }
    /// The figures by name, the most telling ones first.
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        match &self.kind {
            Kind::Figures(figures) => figures.clone(),
            Kind::Words(m) => vec![
                ("perplexity", m.perplexity()),
                ("log_likelihood_per_token", m.log_likelihood / m.tokens as f64),
                ("tokens", m.tokens as f64),
                ("unknown_tokens", m.unknown as f64),
            ],
            Kind::Clusters(m) => {
                let mut figures = vec![("cost", m.cost)];
                figures.extend(m.silhouette.map(|s| ("silhouette", s)));
                if let Some(a) = m.agreement {
                    figures.extend([
                        ("purity", a.purity),
                        ("adjusted_rand_index", a.adjusted_rand_index),
                        ("normalized_mutual_information", a.normalized_mutual_information),
                    ]);
                }
                figures
            }
            Kind::Values(m) => vec![
                ("rmse", m.root_mean_squared_error),
                ("r2", m.r2),
                ("mse", m.mean_squared_error),
                ("mae", m.mean_absolute_error),
                ("explained_variance", m.explained_variance),
            ],
            Kind::Classes { confusion: c, ranking, positive, log_loss } => {
                let mut figures = vec![];
                if let Some(r) = ranking {
                    figures.extend([("area_under_roc", r.area_under_roc()), ("accuracy", c.accuracy())]);
                    figures.push(("area_under_pr", r.area_under_precision_recall()));
                    let of_positive = c.classes().iter().position(|c| c == positive);
                    let of = |f: &dyn Fn(usize) -> f64| of_positive.map_or(0.0, f);
                    figures.push(("precision", of(&|i| c.precision(i))));
                    figures.push(("recall", of(&|i| c.recall(i))));
                    figures.push(("f1", of(&|i| c.f_measure(i, 1.0))));
                } else {
                    figures.extend([
                        ("accuracy", c.accuracy()),
                        ("weighted_f1", c.weighted_f_measure(1.0)),
                        ("macro_f1", c.macro_f1()),
                        ("weighted_precision", c.weighted_precision()),
                        ("weighted_recall", c.weighted_recall()),
                    ]);
                }
                figures.extend(log_loss.map(|l| ("log_loss", l)));
                figures
            }
        }
    }
    /// One figure. Names may be written with `-`.
    ///
    /// # Errors
    /// Config, with the names that there are.
    pub fn figure(&self, option: &str, name: &str) -> Result<f64> {
        let figures = self.figures();
        let found = figures.iter().find(|(n, _)| *n == name.replace('-', "_"));
        found.map(|(_, x)| *x).ok_or_else(|| {
            let names: Vec<String> = figures.iter().map(|(n, _)| n.replace('_', "-")).collect();
            Error::config(option, format!("`{name}` is none of {}", names.join(", ")))
        })
    }
    /// The first two figures, for one line of text.
    pub fn headline(&self) -> String {
        const FIRST: usize = 2;
        let figures = self.figures();
        let words: Vec<String> =
            figures.iter().take(FIRST).map(|(n, x)| format!("{} {}", words(n), figure(*x))).collect();
        words.join(", ")
    }
    /// All figures, and the table of labels against predictions.
    pub fn text(&self) -> String {
        let mut text = table(
            &[&count(self.rows, "row"), ""],
            self.figures().iter().map(|(n, x)| vec![words(n), figure(*x)]),
        );
        if let Some(confusion) = self.confusion() {
            let classes: Vec<String> = confusion.classes().iter().map(f64::to_string).collect();
            let heading: Vec<String> = std::iter::once("label".to_string())
                .chain(classes.iter().map(|c| format!("as {c}")))
                .collect();
            let heading: Vec<&str> =
                heading.iter().map(String::as_str).chain(["precision", "recall", "F1"]).collect();
            let rows = confusion.confusion().iter().enumerate().map(|(i, row)| {
                let shares = [confusion.precision(i), confusion.recall(i), confusion.f_measure(i, 1.0)];
                let cells = row.iter().map(|n| n.to_string()).chain(shares.map(figure));
                std::iter::once(classes[i].clone()).chain(cells).collect()
            });
            text += "\n";
            text += &table(&heading, rows);
        }
        text
    }
    /// Labels against predictions, if that is a table to look at.
    fn confusion(&self) -> Option<&MulticlassMetrics> {
        match &self.kind {
            Kind::Classes { confusion, .. } => Some(confusion),
            _ => None,
        }
        .filter(|c| c.classes().len() <= CONFUSION_CLASSES_MAX)
    }
    /// Everything but the curves. The table of labels against predictions is null for very many classes.
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("rows".to_string(), json!(self.rows));
        for (name, x) in self.figures() {
            map.insert(name.to_string(), json!(x));
        }
        if let Kind::Classes { confusion, .. } = &self.kind {
            map.insert("classes".to_string(), json!(confusion.classes()));
            map.insert("confusion".to_string(), json!(self.confusion().map(MulticlassMetrics::confusion)));
        }
        if let Kind::Clusters(m) = &self.kind {
            map.insert("sizes".to_string(), json!(m.sizes));
        }
        Value::Object(map)
    }
    /// Metrics of the ranking of two classes.
    ///
    /// # Errors
    /// Usage, if there are not two classes.
    pub fn ranking(&self, option: &str) -> Result<&BinaryMetrics> {
        match &self.kind {
            Kind::Classes { ranking: Some(ranking), .. } => Ok(ranking),
            _ => Err(Error::config(option, "is for models of two classes")),
        }
    }
}

fn require_rows(rows: u64) -> Result<()> {
    if rows > 0 {
        return Ok(());
    }
    Err(Error::input("there are no rows to measure on", "look at how the data was split or filtered"))
}

/// Thresholds with precision, recall and F1: about `points` of them, evenly chosen.
pub fn thresholds(ranking: &BinaryMetrics, points: usize) -> Vec<[f64; 4]> {
    let (precision, recall) = (ranking.precision_by_threshold(), ranking.recall_by_threshold());
    let f1 = ranking.f_measure_by_threshold(1.0);
    thinned(precision.len(), points).map(|i| [precision[i].x, precision[i].y, recall[i].y, f1[i].y]).collect()
}

/// About `most` points of a curve for people to look at.
pub fn thinned_curve(curve: &[CurvePoint], most: usize) -> Vec<CurvePoint> {
    thinned(curve.len(), most).map(|i| curve[i]).collect()
}

/// About `most` of `n` places, the first and the last among them.
fn thinned(n: usize, most: usize) -> impl Iterator<Item = usize> {
    let wanted = most.max(2).min(n);
    (0..wanted).map(move |k| if wanted < 2 { 0 } else { k * (n - 1) / (wanted - 1) })
}

/// The name of a figure for people.
fn words(name: &str) -> String {
    match name {
        "area_under_roc" => "area under ROC".to_string(),
        "euclidean_accuracy" => "accuracy of Euclidean distances".to_string(),
        "euclidean_area_under_roc" => "area under ROC of Euclidean distances".to_string(),
        "area_under_pr" => "area under precision-recall".to_string(),
        "rmse" | "mse" | "mae" => name.to_uppercase(),
        "r2" => "R2".to_string(),
        "f1" => "F1".to_string(),
        other => other.replace("_f1", " F1").replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_spread() {
        assert_eq!(thinned(10, 4).collect::<Vec<_>>(), [0, 3, 6, 9]);
        assert_eq!(thinned(3, 20).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(thinned(1, 20).collect::<Vec<_>>(), [0]);
        assert_eq!(thinned(0, 20).count(), 0);
    }

    #[test]
    fn many_scores_are_counted_together() {
        // Scores that are all different, of rows whose classes overlap.
        let row = |i: u64| {
            let score = (i * 7919 % 200_003) as f64;
            (score, (i * 31 % 101) as f64 * 2000.0 < score)
        };
        let mut exact = vec![];
        let mut partitions = vec![];
        for partition in 0..4 {
            let mut tally = Tally { scores_max: 500, ..Tally::default() };
            for i in partition * 50_000..(partition + 1) * 50_000 {
                exact.push(row(i));
                tally.pending.push(row(i));
                if i % 300 == 0 {
                    tally.seal_if_many();
                    assert!(tally.pending.len() < 1300 && tally.counts.counts().len() < 1000);
                }
            }
            partitions.push(tally);
        }
        let all = partitions.into_iter().reduce(Tally::merge).unwrap();
        assert!(all.counts.counts().len() < 4000);
        let (exact, all) = (BinaryMetrics::from(ScoreCounts::new(exact)), BinaryMetrics::from(all.counts));
        assert_eq!((exact.positives(), exact.negatives()), (all.positives(), all.negatives()));
        let areas = |m: &BinaryMetrics| [m.area_under_roc(), m.area_under_precision_recall()];
        for (a, b) in areas(&exact).into_iter().zip(areas(&all)) {
            assert!((a - b).abs() < 1e-3 && a > 0.7 && a < 0.99, "{a} {b}");
        }
        // Few are all kept.
        let of = |rows: std::ops::Range<u64>| Tally {
            pending: rows.map(row).collect(),
            ..Tally::of_partitions(2)
        };
        let few = of(0..3000).merge(of(3000..7000));
        assert_eq!(few.counts, ScoreCounts::new((0..7000).map(row)));
    }

    #[test]
    fn names_and_directions() {
        assert_eq!(words("weighted_f1"), "weighted F1");
        assert_eq!((direction("rmse"), direction("r2")), (Direction::Smaller, Direction::Larger));
    }
}
