"""Readers of other libraries beside ours, on the same files, in turns: seconds, GB/s of the file, peak memory.

    python3 loaders/benches/readers.py [--rounds N] [--threads 1,2] FILE...

Files by their ending: .svm (scikit-learn, XGBoost, LIBLINEAR's own reader), .csv and .parquet (Polars, PyArrow). Libraries that
are not installed are left out, and said to be. Each reading is a process of its own; time is from the call that opens the
file until all values are in memory, without the start of Python. The best of the rounds counts; peaks are the largest.
pip install polars pyarrow scikit-learn xgboost liblinear-official
"""

import json
import os
import resource
import subprocess
import sys
import time


def one(reader, path, threads):
    """Reads `path` once, and prints what it took. Runs in a process of its own."""
    for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = str(threads)
    if reader == "polars":
        import polars

        read = polars.read_csv if path.endswith(".csv") else polars.read_parquet
        load = lambda: read(path)
        shape = lambda data: (data.height, data.height * data.width)
    elif reader == "pyarrow":
        import pyarrow
        import pyarrow.csv
        import pyarrow.parquet

        pyarrow.set_cpu_count(threads)
        pyarrow.set_io_thread_count(threads)
        parallel = threads > 1
        if path.endswith(".csv"):
            options = pyarrow.csv.ReadOptions(use_threads=parallel)
            # Line ends in quotes are part of the task; without this they are an error.
            quotes = pyarrow.csv.ParseOptions(newlines_in_values=True)
            load = lambda: pyarrow.csv.read_csv(path, read_options=options, parse_options=quotes)
        else:
            load = lambda: pyarrow.parquet.read_table(path, use_threads=parallel)
        shape = lambda data: (data.num_rows, data.num_rows * data.num_columns)
    elif reader == "scikit-learn":
        from sklearn.datasets import load_svmlight_file

        load = lambda: load_svmlight_file(path)
        shape = lambda data: (data[0].shape[0], data[0].nnz)
    elif reader == "xgboost":
        import xgboost

        xgboost.set_config(verbosity=0)
        load = lambda: xgboost.DMatrix(path + "?format=libsvm", nthread=threads)
        shape = lambda data: (data.num_row(), data.num_nonmissing())
    elif reader == "liblinear":
        from liblinear.commonutil import svm_read_problem

        load = lambda: svm_read_problem(path, return_scipy=True)
        shape = lambda data: (data[1].shape[0], data[1].nnz)
    start = time.perf_counter()
    data = load()
    seconds = time.perf_counter() - start
    rows, values = shape(data)
    size = os.path.getsize(path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        json.dumps(
            dict(reader=reader, threads=threads, rows=int(rows), values=int(values), seconds=seconds, gb_per_s=size / 1e9 / seconds, peak_mb=round(peak))
        )
    )


def binary():
    """Builds our side, and finds it."""
    command = ["cargo", "bench", "-p", "slackwater-loaders", "--bench", "readers", "--no-run", "--message-format=json"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    built = [json.loads(line) for line in out.splitlines() if '"executable"' in line]
    return [b["executable"] for b in built if b.get("executable") and b["target"]["name"] == "readers"][-1]


def main():
    arguments = sys.argv[1:]
    rounds, threads = 3, [1, 2]
    while arguments and arguments[0].startswith("--"):
        option, value = arguments[0], arguments[1]
        if option == "--rounds":
            rounds = int(value)
        elif option == "--threads":
            threads = [int(n) for n in value.split(",")]
        arguments = arguments[2:]
    ours = binary()
    for path in arguments:
        others = ["polars", "pyarrow"] if path.endswith((".csv", ".parquet")) else ["scikit-learn", "xgboost", "liblinear"]
        print(f"{path}: {os.path.getsize(path) / 1e6:.0f} MB")
        for n in threads:
            # Readers of one thread may have others that fetch: each gets so many processors and no more.
            processors = sorted(os.sched_getaffinity(0))[:n]
            pin = lambda: os.sched_setaffinity(0, processors)
            best, peak, shape = {}, {}, {}
            for _ in range(rounds):
                for reader in ["slackwater"] + others:
                    command = [ours, "--threads", str(n), path] if reader == "slackwater" else [sys.executable, __file__, "--one", reader, path, str(n)]
                    run = subprocess.run(command, capture_output=True, text=True, preexec_fn=pin)
                    if run.returncode:
                        best.setdefault(reader, None)
                        shape[reader] = run.stderr.strip().splitlines()[-1:]
                        continue
                    said = json.loads(run.stdout.strip().splitlines()[-1])
                    seconds = said["seconds"]
                    best[reader] = min(best.get(reader) or seconds, seconds)
                    peak[reader] = max(peak.get(reader, 0), said["peak_mb"])
                    shape[reader] = (said["rows"], said["values"])
            for reader, seconds in best.items():
                if seconds is None:
                    print(f"  {n} thread(s)  {reader:13} {shape[reader]}")
                    continue
                speed = os.path.getsize(path) / 1e9 / seconds
                ratio = seconds / best["slackwater"] if best["slackwater"] else float("nan")
                print(f"  {n} thread(s)  {reader:13} {seconds:8.3f} s  {speed:6.3f} GB/s  peak {peak[reader]:6.0f} MB  {ratio:6.2f} x our time  {shape[reader]}")
            sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
