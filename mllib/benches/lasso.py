"""The lasso of other libraries beside ours, on the same designs, in turns: seconds to the same duality gap.

    python3 mllib/benches/lasso.py [--rounds N] [--threads 2] [--cases dense,sparse,..] FOLDER

FOLDER is where the designs are made, if they are not there: real ones of SLACKWATER_DATA, `dense` (2,000 rows, 200,000 columns,
3.2 GB), `wide` (1,000 rows, 50,000 columns, 0.4 GB) and `sparse` (10,000 rows, 100,000 columns, 1 % of the values). Columns of the real ones and of `dense` are centred and
scaled; no library is asked for an intercept. The gap is 1e-6 |y|^2 / (2n), for the objective |y - Xb|^2 / (2n) + penalty |b|_1.

Each run is a process of its own, on as many processors as there are threads. Time is of the fit, with the design in memory
column by column; the best of the runs of a process and of all rounds counts. Each is run twice before, so that nothing
is compiled in between. Tolerances: celer and scikit-learn stop by a gap, in units of their own; skglm by how far the
optimality conditions are from holding, so it is given the largest power of ten that leads to the gap. Gaps are
computed again from the weights; celer's is its own where that is less, since its dual point is another than the residual.
pip install numpy scipy scikit-learn celer skglm
"""

import gzip
import json
import os
import subprocess
import sys
import time

GAP = 1e-6
PEERS = ["celer", "skglm", "scikit-learn"]


def gap_of(X, y, b, penalty):
    import numpy

    n = len(y)
    r = y - X @ b
    objective = r @ r / (2 * n) + penalty * numpy.abs(b).sum()
    limit = n * penalty / numpy.abs(X.T @ r).max()
    scale = min(y @ r / (r @ r), limit)
    return objective, objective - (scale * (y @ r) - scale**2 * (r @ r) / 2) / n


def load(folder, case):
    import numpy
    import scipy.sparse

    base = os.path.join(folder, case)
    y = numpy.fromfile(base + ".y")
    if os.path.exists(base + ".x"):
        return numpy.fromfile(base + ".x").reshape(len(y), -1, order="F"), y
    offsets = numpy.fromfile(base + ".offsets", dtype="u8").astype("i4")
    rows = numpy.fromfile(base + ".rows", dtype="u4").astype("i4")
    values = numpy.fromfile(base + ".values")
    return scipy.sparse.csc_matrix((values, rows, offsets), shape=(len(y), len(offsets) - 1)), y


def one(peer, folder, case, part, runs):
    """Fits `runs` times, and prints what it took. Runs in a process of its own."""
    import warnings

    import numpy

    warnings.simplefilter("ignore")
    X, y = load(folder, case)
    n = len(y)
    largest = numpy.abs(X.T @ y).max() / n
    path = part == "path"
    penalties = largest * numpy.geomspace(1, 0.01, 100) if path else numpy.array([largest * float(part)])
    target = GAP * (y @ y) / (2 * n)

    own = []

    def fit(tolerance):
        if peer == "celer":
            from celer import celer_path

            _, b, gaps = celer_path(X, y, "lasso", alphas=penalties, tol=tolerance, max_iter=1000, max_epochs=100000)
            own.append(gaps[-1])
            return b[:, -1]
        if peer == "scikit-learn":
            from sklearn.linear_model import lasso_path

            return lasso_path(X, y, alphas=penalties, tol=tolerance, max_iter=1000000)[1][:, -1]
        from skglm.datafits import Quadratic
        from skglm.penalties import L1
        from skglm.solvers import AndersonCD

        solver = AndersonCD(tol=tolerance, fit_intercept=False, max_iter=1000, max_epochs=100000, warm_start=path)
        b, Xb = numpy.zeros(X.shape[1]), numpy.zeros(n)
        datafit, penalty = Quadratic(), L1(1.0)
        for alpha in penalties:
            from skglm.utils.jit_compilation import compiled_clone

            f, g = compiled_clone(datafit), compiled_clone(L1(alpha))
            (f.initialize_sparse(X.data, X.indptr, X.indices, y) if hasattr(X, "indptr") else f.initialize(X, y))
            b = solver.solve(X, y, f, g, b, X @ b)[0]
        return b

    # celer: gap <= tol |y|^2 / n; scikit-learn: n gap <= tol |y|^2.
    tolerance = GAP / 2
    if peer == "skglm":
        tolerance = largest
        b = fit(tolerance)
        while gap_of(X, y, b, penalties[-1])[1] > target:
            tolerance /= 10
            b = fit(tolerance)
    else:
        fit(tolerance)
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        b = fit(tolerance)
        seconds.append(time.perf_counter() - start)
    objective, gap = gap_of(X, y, b, penalties[-1])
    gap = min([gap] + own[-1:])
    print(json.dumps(dict(seconds=seconds, objective=objective, gap=gap, nonzeros=int((b != 0).sum()), converged=bool(gap <= target * 1.001))))


def make(folder, case):
    import numpy

    base = os.path.join(folder, case)
    if os.path.exists(base + ".y"):
        return
    os.makedirs(folder, exist_ok=True)
    data = os.environ.get("SLACKWATER_DATA", "")
    rng = numpy.random.default_rng(1)
    tables = dict(alon=("alon_colon/alon_colon.csv.gz", 1), golub=("golub_leukemia/golub_leukemia.csv.gz", 1), riboflavin=("riboflavin/riboflavin.csv.gz", 1), wheat=("wheat_cimmyt/wheat.csv.gz", 4))
    if case in ("dense", "wide"):
        n, p, group = (2000, 200000, 10) if case == "dense" else (1000, 50000, 10)
        informative = numpy.arange(100) * (p // 100)
        y = numpy.zeros(n)
        with open(base + ".part", "wb") as out:
            for first in range(0, p, 2000):
                factors = numpy.repeat(rng.standard_normal((2000 // group, n)), group, axis=0)
                x = numpy.sqrt(0.5) * factors + numpy.sqrt(0.5) * rng.standard_normal((2000, n))
                x -= x.mean(1, keepdims=True)
                x /= x.std(1, keepdims=True)
                for j in informative[(informative >= first) & (informative < first + 2000)]:
                    y += rng.standard_normal() * x[j - first]
                x.tofile(out)
        os.rename(base + ".part", base + ".x")
        y += rng.standard_normal(n) * y.std() / 3
        (y - y.mean()).tofile(base + ".y")
        return
    if case == "sparse":
        import scipy.sparse

        n, p = 10000, 100000
        X = scipy.sparse.random(n, p, 0.01, format="csc", random_state=1, data_rvs=rng.standard_normal)
        X.sort_indices()
        b = numpy.zeros(p)
        b[:: p // 200] = rng.standard_normal(200)
        y = X @ b
        y += rng.standard_normal(n) * y.std() / 3
        X.indptr.astype("u8").tofile(base + ".offsets")
        X.indices.astype("u4").tofile(base + ".rows")
        X.data.tofile(base + ".values")
        y.tofile(base + ".y")
        return
    if case == "strads":
        X, y = numpy.zeros((500, 1000)), numpy.zeros(500)
        folder = os.path.join(data, "strads_lasso500by1K/lasso500by1K.")
        for line in gzip.open(folder + "X.mmt.gz", "rt").read().splitlines()[2:]:
            i, j, x = line.split()
            X[int(i) - 1, int(j) - 1] = float(x)
        for line in open(folder + "Y.mmt").read().splitlines()[2:]:
            i, _, x = line.split()
            y[int(i) - 1] = float(x)
    else:
        path, targets = tables[case]
        table = numpy.loadtxt(gzip.open(os.path.join(data, path)), delimiter=",", skiprows=1)
        X, y = table[:, targets:], table[:, 0]
    X = X - X.mean(0)
    deviations = X.std(0)
    X = X / numpy.where(deviations > 1e-12, deviations, 1)
    X[:, deviations <= 1e-12] = 0
    numpy.ascontiguousarray(X.T).tofile(base + ".x")
    (y - y.mean()).tofile(base + ".y")


def binary():
    """Builds our side, and finds it."""
    command = ["cargo", "bench", "-p", "slackwater-mllib", "--bench", "lasso", "--no-run", "--message-format=json"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    built = [json.loads(line) for line in out.splitlines() if '"executable"' in line]
    return [b["executable"] for b in built if b.get("executable") and b["target"]["name"] == "lasso"][-1]


def main(one=one, script=__file__, null_of=lambda y: y @ y / (2 * len(y)), unit="|y|^2 / 2n", ours_too=(), **defaults):
    """Compares. `one` fits another library, and `null_of` is the loss without weights; `script` calls this."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--one"]:
        peer, folder, case, part, runs = arguments[1:]
        return one(peer, folder, case, part, int(runs))
    options = {"--rounds": "3", "--threads": "2", "--cases": "alon,golub,riboflavin,wheat,strads,sparse,dense", "--parts": "0.1,0.05", "--peers": ",".join(PEERS)}
    options.update({"--" + name: value for name, value in defaults.items()})
    while arguments and arguments[0] in options:
        options[arguments[0]] = arguments[1]
        arguments = arguments[2:]
    folder = arguments[0]
    threads = int(options["--threads"])
    ours = binary()
    processors = sorted(os.sched_getaffinity(0))[:threads]
    environment = {**os.environ, **{name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")}}
    print(f"| case | penalty | who | seconds | objective | gap / ({unit}) | weights |\n|---|---|---|---|---|---|---|")
    for case in options["--cases"].split(","):
        make(folder, case)
        import numpy

        y = numpy.fromfile(os.path.join(folder, case + ".y"))
        null = null_of(y)
        runs = "2" if case in ("dense", "wide") else "5" if case == "sparse" else "20"
        for part in options["--parts"].split(","):
            best = {}
            for _ in range(int(options["--rounds"])):
                for who in ["slackwater"] + options["--peers"].split(","):
                    if who == "slackwater":
                        command = [ours, folder, case, part, str(threads), runs, *ours_too]
                    else:
                        command = [sys.executable, os.path.abspath(script), "--one", who, folder, case, part, runs]
                    done = subprocess.run(
                        command, capture_output=True, text=True, env=environment, preexec_fn=lambda: os.sched_setaffinity(0, processors)
                    )
                    if done.returncode:
                        print(f"{who}: {done.stderr[-400:]}", file=sys.stderr)
                        continue
                    told = json.loads(done.stdout.splitlines()[-1])
                    told["seconds"] = min(told["seconds"] + [best.get(who, told)["seconds"]] if who in best else told["seconds"])
                    best[who] = told
            for who, told in best.items():
                mark = "" if told["converged"] else " (not reached)"
                print(f"| {case} | {part} | {who} | {told['seconds']:.5f} | {told['objective']:.8g} | {told['gap'] / null:.1e}{mark} | {told['nonzeros']} |", flush=True)
            print(f"{case} {part}: {json.dumps({k: v for k, v in best['slackwater'].items()})}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
