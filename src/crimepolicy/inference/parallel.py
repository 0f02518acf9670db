"""Many independent fits: ordered, the same bits whatever the number of workers, with progress on a terminal."""

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from crimepolicy.errors import InferenceError

__all__ = ["ordered_map"]

_CHUNKS = 40
"""Chunks of work per call: enough to show progress and balance workers, few enough that sending them costs little."""


def ordered_map[Task, Result](
    function: Callable[[Task], Result], tasks: Sequence[Task], *, n_jobs: int = 1, label: str = ""
) -> list[Result]:
    """Return `function` of every task, in order.

    Parameters
    ----------
    function : callable
        Must depend on its task alone: seeds belong in the task.
    tasks : sequence
    n_jobs : int
        Workers; 1 runs here. Otherwise joblib, with whatever backend `joblib.parallel_config` names (loky by default, "dask"
        where a Dask client is open).
    label : str
        Shown with the progress, when standard error is a terminal.
    """
    size = max(1, -(-len(tasks) // _CHUNKS))
    chunks = [tasks[start : start + size] for start in range(0, len(tasks), size)]
    work = partial(_chunk, function)
    done: Iterable[list[Result]] = map(work, chunks) if n_jobs == 1 else _workers(work, chunks, n_jobs)
    results: list[Result] = []
    for part in done:
        results += part
        _show(label, len(results), len(tasks))
    return results


def _chunk[Task, Result](function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    return [function(task) for task in tasks]


def _workers[Task, Result](
    work: Callable[[Sequence[Task]], list[Result]], chunks: list[Sequence[Task]], n_jobs: int
) -> Iterable[list[Result]]:
    try:
        from joblib import Parallel, delayed
    except ImportError as missing:
        raise InferenceError(
            f"n_jobs={n_jobs} needs joblib. Install 'crimepolicy[fast]', or use n_jobs=1."
        ) from missing

    results: Iterable[list[Result]] = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(work)(chunk) for chunk in chunks
    )
    return results


def _show(label: str, done: int, total: int) -> None:
    if label and sys.stderr.isatty():
        sys.stderr.write(f"\r{label}: {done:,} of {total:,}" + ("\n" if done == total else ""))
        sys.stderr.flush()
