//! Options of `train lda`.

use super::input::{HeldOutArgs, index_base};
use super::output::OutputArgs;
use super::table::SnapshotArgs;
use super::values::{at_least_one, finite};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use slackwater_loaders::format::bag_of_words::BagFormat;
use slackwater_loaders::format::libsvm::IndexBase;
use slackwater_mllib::clustering::lda::{CountRows, Sampler, Solver};
use slackwater_paramstore::Consistency;
use std::path::PathBuf;

/// Shown below the long help.
pub const TOPICS_EXAMPLES: &str = "\
Examples:
  slackwater train lda --data docword.kos.txt.gz --vocabulary vocab.kos.txt --topics 50 --split 0.9,0.1
  slackwater train lda --data daily_kos/tokens --vocabulary daily_kos/dictionary.txt --alpha 1 --beta 0.1 --watch 5
  slackwater train lda --data news.ldac --index-base 0 --topics 1000 --sampler alias --consistency ssp:2
  slackwater cluster run -n 4 -- train lda --data news.ldac --topics 1000 --solver rotation";

/// What files of documents look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DocumentFormat {
    /// By the first line.
    Auto,
    /// `document word count` a line, from 0.
    Triples,
    /// Three sizes on lines of their own, then triples from 1.
    Uci,
    /// `label word:count ...` a line.
    Rows,
}

impl DocumentFormat {
    /// The format, if one is said.
    pub fn format(self) -> Option<BagFormat> {
        match self {
            DocumentFormat::Auto => None,
            DocumentFormat::Triples => Some(BagFormat::Triples),
            DocumentFormat::Uci => Some(BagFormat::Uci),
            DocumentFormat::Rows => Some(BagFormat::Rows),
        }
    }
}

/// A sampler, or the one that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SamplerChoice(pub Option<Sampler>);

fn sampler() -> impl TypedValueParser<Value = SamplerChoice> {
    PossibleValuesParser::new(["auto", "dense", "sparse", "alias"])
        .map(|name| SamplerChoice(name.parse().ok()))
}

fn solver() -> impl TypedValueParser<Value = Solver> {
    PossibleValuesParser::new(["table", "rotation"]).map(|name| name.parse().expect("it is a possible value"))
}

pub(super) fn count_rows() -> impl TypedValueParser<Value = CountRows> {
    PossibleValuesParser::new(["auto", "dense", "sparse"])
        .map(|name| name.parse().expect("it is a possible value"))
}

/// `train lda`.
#[derive(Debug, Args)]
pub struct TopicsArgs {
    /// Files of documents, patterns, folders, or -
    ///
    /// Triples (`document word count` a line, from 0), files of UCI's bag-of-words sets (three sizes first, then triples from
    /// 1), or rows (`label word:count ...`). Packed files (gz, zst, bz2) are known by their content.
    #[arg(long, short, value_name = "FILE", num_args = 1.., alias = "corpus", required = true, help_heading = "Input")]
    pub data: Vec<PathBuf>,

    /// What the files look like
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "auto",
        hide_possible_values = true,
        help_heading = "Input"
    )]
    #[arg(
        long_help = "What the files look like: triples, uci, rows; auto looks at the first line of the first file"
    )]
    pub format: DocumentFormat,

    /// What rows call the first word
    #[arg(long, value_name = "BASE", default_value = "1", value_parser = index_base(), help_heading = "Input")]
    pub index_base: IndexBase,

    /// The words, one a line, in the order of their numbers
    ///
    /// Also: --dictionary.
    #[arg(long, value_name = "FILE", alias = "dictionary", help_heading = "Input")]
    pub vocabulary: Option<PathBuf>,

    /// Which documents to measure on.
    #[command(flatten)]
    pub held_out: HeldOutArgs,

    /// Number of topics [default: 50]
    ///
    /// Also: --ntopics, --num_topics, --k.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["ntopics", "num-topics", "num_topics", "n-topics", "k"])]
    pub topics: Option<usize>,

    /// Prior count of every topic in a document [default: 0.1]
    ///
    /// Also: --docConcentration.
    #[arg(long, value_name = "X", value_parser = finite, alias = "docConcentration", help_heading = "Algorithm")]
    pub alpha: Option<f64>,

    /// Prior count of every word in a topic [default: 0.01]
    ///
    /// Also: --eta, --topicConcentration.
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    #[arg(aliases = ["eta", "topicConcentration"])]
    pub beta: Option<f64>,

    /// Passes over the tokens at most [default: 100]
    ///
    /// Also: --iterations, --n-iter, --num_iters, --maxIter.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["iterations", "n-iter", "n_iter", "num_iters", "maxIter"])]
    pub epochs: Option<usize>,

    /// Take the mean of the counts at all evaluations after so many epochs [default: only the counts at the end]
    ///
    /// Also: --burnin.
    #[arg(long, value_name = "EPOCHS", alias = "burnin", help_heading = "Algorithm")]
    pub burn_in: Option<usize>,

    /// Epochs from one evaluation of the log likelihood to the next [default: 10]
    ///
    /// Also: --compute_ll_interval.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(alias = "compute_ll_interval")]
    pub evaluate_every: Option<usize>,

    /// Stop when the log likelihood changes by less than this share between evaluations [default: never]
    ///
    /// Also: --tol.
    #[arg(long, value_name = "X", value_parser = finite, alias = "tol", help_heading = "Algorithm")]
    pub tolerance: Option<f64>,

    /// Where the counts of words are in training: table, rotation
    ///
    /// table: in a parameter table, of which every process has a copy. rotation: in as many blocks of words as there are
    /// partitions; who works on a block has it alone, then it goes to the next. No count is stale, and of P processes each
    /// has a part in P of them.
    #[arg(long, value_name = "NAME", default_value = "table", value_parser = solver(), help_heading = "Algorithm")]
    #[arg(hide_possible_values = true)]
    pub solver: Solver,

    /// With rotation: write the model from the blocks where they are, and measure nothing
    ///
    /// No process then ever has all words: each needs memory for its part of the counts, thrice at the end, and for a piece of
    /// the model. The model is the same to the byte. Measure it with `evaluate`.
    #[arg(long, help_heading = "Algorithm")]
    #[arg(conflicts_with_all = ["test", "split", "word_counts", "metrics"])]
    pub in_blocks: bool,

    /// How topics are drawn: dense, sparse, alias; auto: dense up to 200 topics, sparse above
    ///
    /// dense weighs all topics, sparse those that the document has; both draw from the exact distribution. alias makes
    /// proposals in constant time and accepts them or not: for very many topics.
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = sampler(), help_heading = "Algorithm")]
    #[arg(hide_possible_values = true)]
    pub sampler: SamplerChoice,

    /// How the counts of words are kept in training: dense, sparse; auto: sparse where that saves memory
    ///
    /// dense has a number for every word and topic, in a few copies; sparse only those that are not 0. Which is chosen
    /// changes nothing else.
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = count_rows(), help_heading = "Algorithm")]
    #[arg(hide_possible_values = true)]
    pub count_rows: CountRows,

    /// Proposals of the word, and of the document, for each token, of `--sampler alias` [default: 2]
    ///
    /// Also: --mh_steps.
    #[arg(long, value_name = "N", value_parser = at_least_one, alias = "mh_steps", help_heading = "Algorithm")]
    pub proposals: Option<usize>,

    /// Documents of each partition in a clock [default: a sixteenth of them, but 2048 to 65536 tokens]
    ///
    /// Also: --batch-size, --batch_size.
    #[arg(long, value_name = "DOCUMENTS", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["batch-size", "batch_size"])]
    pub batch: Option<usize>,

    /// How old the counts of other partitions may be: bsp, ssp:S, essp:S, async [default: bsp]
    ///
    /// bsp: as of the clock before, the same bits for any number of workers. ssp:S: nothing older than S clocks; who
    /// would read older asks and waits. essp:S: the same, but fresh values are sent at once. S may be a range, as
    /// 0..8: each worker goes up in it when it waits too long. async: as they come.
    #[arg(long, value_name = "MODEL", help_heading = "Algorithm")]
    pub consistency: Option<Consistency>,

    /// Print the N most frequent words of every topic at every evaluation, to standard error [default N: 5]
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "5", value_parser = at_least_one)]
    #[arg(help_heading = "Output")]
    pub watch: Option<usize>,

    /// Write the topics of every word: its name or number, then its tokens by topic, with tabs between
    ///
    /// Also: --word_dir.
    #[arg(long, value_name = "FILE", alias = "word_dir", help_heading = "Output")]
    pub word_counts: Option<PathBuf>,

    /// Write the topics of every document: its number, then its tokens by topic, with tabs between
    ///
    /// Also: --doc_dir.
    #[arg(long, value_name = "FILE", alias = "doc_dir", help_heading = "Output")]
    pub document_counts: Option<PathBuf>,

    /// Snapshots of the training.
    #[command(flatten)]
    pub snapshots: SnapshotArgs,

    /// The model.
    #[command(flatten)]
    pub output: OutputArgs,
}
