"""Change one operator or number of a module at a time and see whether its tests notice.

Run on a copy of the repository: ``python tools/mutate.py 10`` tries ten changes per module, the same ones every time.
"""

import ast
import os
import random
import sys
import time
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Modules by the test file that knows them.
FOLDERS = {
    "inference": {
        "cluster": "cluster bell_mccaffrey few_clusters",
        "randomization": "randomization randomization_interval placebo_fits impose",
        "conformal": "conformal cross_fit_t take_periods",
        "placebo": "placebo placebo_statistics prefit_curve light",
        "wild": "wild regression",
        "multiplier": "multiplier influence",
        "mechanisms": "mechanisms",
        "few_treated": "few_treated conley_taber control_noise ferman_pinto shared_noise sign_change worded",
        "multiple_testing": "multiple_testing",
        "conley": "conley kernel",
        "cell_clusters": "cell_clusters cell_scores",
        "parallel": "parallel",
    },
    "synth": {
        "weights": "weights",
        "constraints": "constraints balance penalised",
        "contamination": "contamination",
        "augmented": "augmented donor_sensitivity pooling ridge",
        "synthetic_did": "synthetic_did contrast covariates resampling",
        "synthetic_control": "synthetic_control cohorts donors nested packing predictors summary",
        "prediction_intervals": "prediction_intervals extremes in_sample out_of_sample",
        "factor_model": "factor_model completion factor_choice factor_fit factor_replicates factor_sample factor_terms "
        "interactive spell_time two_way",
    },
}
TESTS = {
    f"{folder}/{name}.py": f"{folder}/test_{tests}.py"
    for folder, modules in FOLDERS.items()
    for tests, names in modules.items()
    for name in names.split()
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
SECONDS = 120


def change(node: ast.AST) -> str:
    """Change one node in place and say how; nothing is said where the node is left alone."""
    before = ast.unparse(node)
    what = ""
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS and not _is_type(before):
        new = OPERATORS[type(node.op)]
        what, node.op = f"{type(node.op).__name__} to {new.__name__}", new()
    elif isinstance(node, ast.BoolOp):
        flip = ast.Or if isinstance(node.op, ast.And) else ast.And
        what, node.op = f"{type(node.op).__name__} to {flip.__name__}", flip()
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        other = COMPARISONS[type(node.ops[0])]
        what, node.ops[0] = f"{type(node.ops[0]).__name__} to {other.__name__}", other()
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        value = not node.value if isinstance(node.value, bool) else node.value + 1
        what, node.value = f"{node.value} to {value}", value
    return f"line {getattr(node, 'lineno', 0)}: {what} in `{before}`" if what else ""


def _is_type(text: str) -> bool:
    return "None" in text or "Literal" in text


def attempt(tests: Path) -> str:
    """Run tests on the package as it now is, in a process of its own and return killed, survived or timeout."""
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        import pytest

        code = pytest.main(["-x", "-q", "-m", "not slow", "-p", "no:randomly", "-p", "no:cacheprovider", str(tests)])
        os._exit(int(code))
    start = time.monotonic()
    while time.monotonic() - start < SECONDS:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"
        time.sleep(0.1)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return "timeout"


def main(count: int, names: list[str]) -> None:
    """Try `count` changes in each module and print those that no test noticed."""
    # Loaded once, so that a child only pays for the package and its tests.
    for heavy in ("pandas", "pytest", "scipy.optimize", "scipy.stats"):
        import_module(heavy)
    for name in names or TESTS:
        module, tests = ROOT / "src" / "crimepolicy" / name, ROOT / "tests" / TESTS[name]
        original = module.read_text(encoding="utf-8")
        every = [place for place, node in enumerate(ast.walk(ast.parse(original))) if change(node)]
        tally = {"killed": 0, "survived": 0, "timeout": 0}
        for place in random.Random(0).sample(every, min(count, len(every))):
            tree = ast.parse(original)
            what = change(list(ast.walk(tree))[place])
            module.write_text(ast.unparse(tree), encoding="utf-8")
            try:
                found = attempt(tests)
            finally:
                module.write_text(original, encoding="utf-8")
            tally[found] += 1
            if found != "killed":
                print(f"{name} {found}: {what}", flush=True)
        print(f"{name}: {tally} of {len(every)} possible changes", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
