"""Sparse logistic regression of other libraries beside ours, on the designs of lasso.py, in turns: seconds to the same gap.

    python3 mllib/benches/sparse_logistic.py [--rounds N] [--threads 2] [--cases alon,wide,..] [--peers celer,..] FOLDER

Rows whose target is positive are one class. No library is asked for an intercept. The gap is 1e-6 log 2, for the objective
sum of log(1 + exp(-y x'b)) / n + penalty |b|_1.

Every other library has its own rule to stop by, so each is given the largest power of ten as tolerance that leads to the gap,
which is computed again from the weights. What else is as in lasso.py.
pip install numpy scipy scikit-learn celer skglm
"""

import json
import sys
import time

import lasso

GAP = 1e-6
PEERS = "celer,skglm,liblinear"


def gap_of(X, y, b, penalty):
    import numpy

    n = len(y)
    z = y * (X @ b)
    objective = numpy.logaddexp(0, -z).sum() / n + penalty * numpy.abs(b).sum()
    miss = 1 / (1 + numpy.exp(z))
    u = miss * min(1, n * penalty / numpy.abs(X.T @ (y * miss)).max())
    entropies = -(u * numpy.log(u) + (1 - u) * numpy.log1p(-u))
    return objective, objective - entropies.sum() / n


def one(peer, folder, case, part, runs):
    """Fits `runs` times, and prints what it took. Runs in a process of its own."""
    import warnings

    import numpy

    warnings.simplefilter("ignore")
    X, y = lasso.load(folder, case)
    n, y = len(y), numpy.where(y > 0, 1.0, -1.0)
    penalty = float(part) * numpy.abs(X.T @ y).max() / (2 * n)
    target = GAP * numpy.log(2)
    common = dict(C=1 / (n * penalty), fit_intercept=False)

    def fit(tolerance):
        if peer == "celer":
            from celer import LogisticRegression

            model = LogisticRegression(**common, tol=tolerance, max_iter=1000, max_epochs=100000)
            return model.fit(X, y).coef_[0]
        if peer == "skglm":
            from skglm import SparseLogisticRegression

            model = SparseLogisticRegression(alpha=penalty, fit_intercept=False, tol=tolerance, max_iter=1000, max_epochs=100000)
            return model.fit(X, y).coef_[0]
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(**common, penalty="l1", solver=peer, tol=tolerance, max_iter=1000000, random_state=0)
        return model.fit(X, y).coef_[0]

    tolerance = 1.0
    b = fit(tolerance)
    while gap_of(X, y, b, penalty)[1] > target and tolerance > 1e-14:
        tolerance /= 10
        b = fit(tolerance)
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        b = fit(tolerance)
        seconds.append(time.perf_counter() - start)
    objective, gap = gap_of(X, y, b, penalty)
    print(json.dumps(dict(seconds=seconds, objective=objective, gap=gap, nonzeros=int((b != 0).sum()), converged=bool(gap <= target * 1.001))))


def null(_):
    import math

    return math.log(2)


if __name__ == "__main__":
    lasso.main(one, __file__, null, "log 2", ["logistic"], cases="alon,golub,wide", peers=PEERS)
