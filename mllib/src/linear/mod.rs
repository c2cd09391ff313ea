//! What linear trainers share: parameters, a first look at the data, the choice of a solver, scores of rows.

mod export;
mod features;
mod labels;
pub mod minibatch;
mod params;
mod score;
mod solve;
mod summary;
mod survey;
mod weights;

pub(crate) use export::liblinear_text;
pub use features::Features;
pub use labels::{Binary, binary_classes, class_labels};
pub use params::{Solver, TableParams, TrainingParams};
pub use score::{RowRef, ScoreRows};
pub(crate) use solve::{Smooth, gradient_descent, standardization_of};
pub use summary::{PathPoint, TrainingSummary};
pub use survey::Survey;
pub use weights::WeightTable;
