//! From parameters to a solver.

use super::params::{Solver, TrainingParams};
use super::survey::Survey;
use crate::objective::{Objective, Penalty, Regularized, RowKernel, Standardization, Sweep};
use crate::optimization::{
    GradientDescent, InitialMatrix, Lbfgs, Newton, Observer, OwlQn, Solution, Updater,
};
use slackwater_dataflow::{Error, Result};

/// From this many columns on, their frequencies differ so much (text, one-hot) that a diagonal start of L-BFGS pays for
/// its sweep; on tables with fewer it was measured to cost iterations instead.
const MANY_COLUMNS: usize = 2048;
/// Default tolerance of L-BFGS and OWL-QN, Spark's.
const LBFGS_TOLERANCE: f64 = 1e-6;
/// Default tolerance of the Newton method.
const NEWTON_TOLERANCE: f64 = 1e-3;
/// Default iterations of these solvers.
const ITERATIONS: usize = 100;

/// The standardisation that the parameters ask for: shifted, if there is an intercept to take the shift up.
pub(crate) fn standardization_of(params: &TrainingParams, survey: &Survey) -> Option<Standardization> {
    let moments = survey.moments.as_ref().filter(|_| params.standardize)?;
    let means = params.intercept.then(|| moments.means());
    Some(Standardization::new(&moments.sample_deviations(), means))
}

/// A smooth loss plus a penalty, for the solvers that see it as an [`Objective`].
pub(crate) struct Smooth<S, K> {
    pub rows: S,
    pub kernel: K,
    pub factor: f64,
    pub penalty: Penalty,
    pub standardization: Option<Standardization>,
}

impl<S: Sweep, K: RowKernel> Smooth<S, K> {
    /// The objective.
    pub(crate) fn objective(self) -> Regularized<S, K> {
        let objective = Regularized::new(self.rows, self.kernel, self.factor, &self.penalty);
        match self.standardization {
            Some(standardization) => objective.standardized(standardization),
            None => objective,
        }
    }
    /// Minimises with `solver` from zero; the weights returned are those of raw columns.
    pub(crate) fn minimize(
        self,
        solver: Solver,
        params: &TrainingParams,
        observer: &mut Observer<'_>,
    ) -> Result<Solution> {
        let columns = self.kernel.columns();
        let standardized = self.standardization.is_some();
        let mut objective = self.objective();
        let start = vec![0.0; objective.dimension()];
        let iterations_max = params.iterations_max.unwrap_or(ITERATIONS);
        let tolerance = params.tolerance.unwrap_or(LBFGS_TOLERANCE);
        let initial_matrix = match columns >= MANY_COLUMNS && !standardized {
            true => InitialMatrix::HessianDiagonal,
            false => InitialMatrix::Identity,
        };
        let mut solution = match solver {
            Solver::Lbfgs if objective.l1().is_some() => {
                let solver = OwlQn {
                    iterations_max,
                    tolerance,
                    gradient_tolerance: tolerance,
                    initial_matrix,
                    ..Default::default()
                };
                solver.minimize(&mut objective, start, observer)?
            }
            Solver::Lbfgs => {
                let solver = Lbfgs {
                    iterations_max,
                    tolerance,
                    gradient_tolerance: tolerance,
                    initial_matrix,
                    ..Default::default()
                };
                solver.minimize(&mut objective, start, observer)?
            }
            Solver::Newton => {
                let gradient_tolerance = params.tolerance.unwrap_or(NEWTON_TOLERANCE);
                let solver = Newton { iterations_max, gradient_tolerance, ..Default::default() };
                solver.minimize(&mut objective, start, observer)?
            }
            other => return Err(Error::config("solver", format!("`{other}` does not take this objective"))),
        };
        solution.weights = objective.raw_weights(solution.weights);
        Ok(solution)
    }
}

/// Spark's gradient descent with the given parameters, from zero.
pub(crate) fn gradient_descent<S: Sweep, K: RowKernel>(
    rows: &S,
    kernel: &K,
    params: &TrainingParams,
    observer: &mut Observer<'_>,
) -> Result<Solution> {
    let regularization = params.scaling.penalty_factor();
    let updater = match regularization {
        0.0 => Updater::Simple,
        _ if params.has_l1() => Updater::L1,
        _ => Updater::SquaredL2,
    };
    let defaults = GradientDescent::default();
    let solver = GradientDescent {
        step_size: params.step_size,
        iterations_max: params.iterations_max.unwrap_or(defaults.iterations_max),
        regularization,
        updater,
        tolerance: params.tolerance.unwrap_or(defaults.tolerance),
        mini_batch_fraction: params.mini_batch_fraction,
        seed: params.seed,
    };
    solver.minimize(rows, kernel, vec![0.0; kernel.dimension()], observer)
}
