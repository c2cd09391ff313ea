"""The tree lasso and the graph-guided fused lasso of other programs: optima that tests know, and times beside ours.

    python3 mllib/benches/structured.py optima FOLDER              prints what mllib/tests/structured.rs compares with
    python3 mllib/benches/structured.py times FOLDER SLACKWATER    seconds of cvxpy with Clarabel, spams, and ours

FOLDER has the data sets (SLACKWATER_DATA), SLACKWATER is the command, built for release. Columns are centred and scaled to
deviation 1, labels centred; the objective is |y - Xb|^2 / (2n) + penalty P(b). `times` takes riboflavin (71 x 4088) with a binary
tree over tens of neighbouring columns, with a chain, and with edges between columns that correlate by more than 0.9; 0.1 of the
largest penalty. What is timed of others is the fit, and of ours `train` as a whole, with a process that starts and reads CSV.
pip install numpy scipy cvxpy clarabel spams-bin
"""

import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np

EXACT = dict(tol_gap_abs=1e-13, tol_gap_rel=1e-13, tol_feas=1e-13, max_iter=500)


def load(path, targets):
    opened = gzip.open(path, "rt") if path.endswith("gz") else open(path)
    with opened as file:
        table = np.loadtxt(file, delimiter=",", skiprows=1)
    y, X = table[:, 0], table[:, targets:]
    X = X - X.mean(0)
    return X / X.std(0), y - y.mean()


def binary(columns, size):
    """Nodes as lists of columns, and the node above each: `size` neighbouring columns a node, two nodes under one."""
    level = [list(range(i, min(i + size, columns))) for i in range(0, columns, size)]
    nodes, above = [], []
    while True:
        first = len(nodes)
        nodes += level
        if len(level) == 1:
            return nodes, above + [None]
        above += [first + len(level) + i // 2 for i in range(len(level))]
        level = [sum(level[i : i + 2], []) for i in range(0, len(level), 2)]


def of_tree(nodes, single=0.0):
    import cvxpy as cp

    def penalty(b):
        norms = sum(np.sqrt(len(g)) * cp.norm(b[g], 2) for g in nodes)
        return norms + single * cp.norm1(b) if single else norms

    return penalty


def of_graph(edges, fusion):
    import cvxpy as cp

    i, j, w = (np.array(column) for column in zip(*edges))
    return lambda b: cp.norm1(b) + fusion * cp.norm1(cp.multiply(np.abs(w), b[i] - cp.multiply(np.sign(w), b[j])))


def chain(columns):
    return [(j, j + 1, 1.0) for j in range(columns - 1)]


def correlated(X, least):
    r = X.T @ X / len(X)
    pairs = np.argwhere(np.triu(np.abs(r) > least, 1))
    return [(int(i), int(j), round(float(r[i, j]), 3)) for i, j in pairs]


def largest(penalty, X, y):
    """The least penalty that leaves no weights: the dual norm of the products of columns with labels."""
    import cvxpy as cp

    b = cp.Variable(X.shape[1])
    problem = cp.Problem(cp.Maximize((X.T @ y / len(y)) @ b), [penalty(b) <= 1])
    problem.solve(solver="CLARABEL", **EXACT)
    return float(problem.value)


def least(penalty, X, y, weight, **tolerances):
    """The least objective, and the seconds that it took."""
    import cvxpy as cp

    b = cp.Variable(X.shape[1])
    problem = cp.Problem(cp.Minimize(cp.sum_squares(X @ b - y) / (2 * len(y)) + weight * penalty(b)))
    start = time.time()
    problem.solve(solver="CLARABEL", **tolerances)
    return float(problem.value), time.time() - start


def optima(folder):
    cases = [
        ("bardet", "bardet_gglasso/bardet_gglasso.csv.gz", 1, 5, 0.5),
        ("birthwt", "birthwt_grpreg/birthwt.csv", 2, 2, 0.3),
    ]
    for name, path, targets, size, r in cases:
        X, y = load(os.path.join(folder, path), targets)
        nodes, _ = binary(X.shape[1], size)
        penalties = {
            "plain": of_tree(nodes),
            "sparse": of_tree(nodes, 0.3),
            "chain": of_graph(chain(X.shape[1]), 2.0),
            "graph": of_graph(correlated(X, r), 0.5),
        }
        for kind, penalty in penalties.items():
            most = largest(penalty, X, y)
            for part in (0.3, 0.1):
                print(name, kind, part, most, least(penalty, X, y, part * most, **EXACT)[0], flush=True)


def spams_tree(X, y, nodes, above, weight):
    """FISTA of spams on the same tree: its groups are numbered from the root down, own columns first."""
    import scipy.sparse
    import spams

    count, columns = len(nodes), X.shape[1]
    # Depth first from the root, so that the columns of a node are neighbours.
    children = [[v for v in range(count) if above[v] == u] for u in range(count)]
    order, stack = [], [count - 1]
    while stack:
        v = stack.pop()
        order.append(v)
        stack += reversed(children[v])
    place = {v: k for k, v in enumerate(order)}
    own = [nodes[v] if not children[v] else [] for v in order]
    permutation = [j for columns_of in own for j in columns_of]
    starts = np.cumsum([0] + [len(o) for o in own])[:-1]
    inside = np.zeros((count, count), dtype=bool, order="F")
    for v in range(count):
        if above[v] is not None:
            inside[place[v], place[above[v]]] = True
    tree = {
        "eta_g": np.array([np.sqrt(len(nodes[v])) for v in order]),
        "groups": scipy.sparse.csc_matrix(inside),
        "own_variables": np.array(starts, dtype=np.int32),
        "N_own_variables": np.array([len(o) for o in own], dtype=np.int32),
    }
    A = np.asfortranarray(X[:, permutation] / np.sqrt(len(y)))
    b = np.asfortranarray((y / np.sqrt(len(y))).reshape(-1, 1))
    start = time.time()
    W, _ = spams.fistaTree(
        b, A, np.zeros((columns, 1), order="F"), tree, True, numThreads=2, max_it=100000, tol=1e-10,
        lambda1=weight, loss="square", regul="tree-l2", it0=50,
    )
    seconds = time.time() - start
    full = np.zeros(columns)
    full[permutation] = W[:, 0]
    value = np.sum((X @ full - y) ** 2) / (2 * len(y))
    return value + weight * sum(np.sqrt(len(g)) * np.linalg.norm(full[g]) for g in nodes), seconds


def times(folder, command):
    path = os.path.join(folder, "riboflavin/riboflavin.csv.gz")
    X, y = load(path, 1)
    with gzip.open(path, "rt") as file:
        names = file.readline().strip().split(",")[1:]
    columns = X.shape[1]
    nodes, above = binary(columns, 10)
    with tempfile.TemporaryDirectory() as place:
        tree, graph = os.path.join(place, "tree.csv"), os.path.join(place, "graph.csv")
        with open(tree, "w") as file:
            for v, parent in enumerate(above):
                file.write(f"node-{v},{'' if parent is None else f'node-{parent}'}\n")
            for j, name in enumerate(names):
                file.write(f"{name},node-{j // 10}\n")
        edges = correlated(X, 0.9)
        with open(graph, "w") as file:
            file.writelines(f"{names[i]},{names[j]},{w}\n" for i, j, w in edges)
        cases = [
            ("tree", ["tree-lasso", "--tree", tree], of_tree(nodes)),
            ("chain", ["fused-lasso", "--graph", "chain"], of_graph(chain(columns), 1.0)),
            (f"{len(edges)} edges", ["fused-lasso", "--graph", graph], of_graph(edges, 1.0)),
        ]
        for name, options, penalty in cases:
            train = [command, "train", *options, "--data", path, "--label", "y", "--json", "--overwrite"]
            done, best = None, np.inf
            for _ in range(3):
                start = time.time()
                run = [*train, "--tolerance", "1e-7", "--model", os.path.join(place, "m")]
                done = json.loads(subprocess.run(run, check=True, capture_output=True).stdout)
                best = min(best, time.time() - start)
            weight = done["regularization"]
            print(name, "ours", done["objective"], "gap", done["gap"], f"{best:.2f} s", flush=True)
            value, seconds = least(penalty, X, y, weight)
            print(name, "cvxpy", value, f"{seconds:.2f} s", flush=True)
            if name == "tree":
                value, seconds = spams_tree(X, y, nodes, above, weight)
                print(name, "spams", value, f"{seconds:.2f} s", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    match sys.argv[1:]:
        case ["optima", folder]:
            optima(folder)
        case ["times", folder, command]:
            times(folder, command)
        case _:
            sys.exit(__doc__)
