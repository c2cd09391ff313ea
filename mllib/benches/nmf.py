"""scikit-learn's NMF by coordinate descent on the matrix that `nmf.rs` has written, from the same start, as many sweeps.

    python3 mllib/benches/nmf.py FOLDER [CASE] [THREADS]

CASE is sparse, dense or small. Printed: seconds of the fit, and the objective, which is that of `nmf.rs`. Threads are those of
the products of matrices; the sweeps themselves have one. pip install numpy scipy scikit-learn
"""

import os
import sys
import time

folder, case, threads = (sys.argv[1:] + ["small", "1"][len(sys.argv) - 2 :])[:3]
for name in ["OMP", "OPENBLAS", "MKL"]:
    os.environ[name + "_NUM_THREADS"] = threads

import warnings

import numpy
import scipy.sparse
from sklearn.decomposition import NMF

warnings.simplefilter("ignore")
base = os.path.join(folder, case)
rows, columns, rank, sweeps = map(int, open(base + ".sizes").read().split())
offsets = numpy.fromfile(base + ".offsets", dtype="u8").astype("i8")
indices = numpy.fromfile(base + ".columns", dtype="u4").astype("i4")
X = scipy.sparse.csr_matrix((numpy.fromfile(base + ".values"), indices, offsets), shape=(rows, columns))
size = numpy.sqrt(X.mean() / rank)
if X.nnz == rows * columns:
    X = X.toarray()
i, j = numpy.arange(rows)[:, None], numpy.arange(rank)[None]
W = size * (((7 * i + 11 * j + i * j) % 17 + 1) / 17)
j, c = numpy.arange(rank)[:, None], numpy.arange(columns)[None]
H = size * (((5 * j + 3 * c + j * c) % 13 + 1) / 13)
model = NMF(rank, init="custom", solver="cd", tol=0, max_iter=sweeps, shuffle=False)
start, processor = time.perf_counter(), time.process_time()
model.fit_transform(X, W=W, H=H)
seconds, processor = time.perf_counter() - start, time.process_time() - processor
print(
    f"{case}: {model.n_iter_} sweeps, {threads} threads: {seconds:.3f} s, {processor:.2f} s of processor time; "
    f"objective {model.reconstruction_err_ ** 2 / 2:.9e}"
)
