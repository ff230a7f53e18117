"""Break a module one place at a time, and list the breaks that its tests do not notice.

    python scripts/mutate.py protocols/ot/pprf.py tests/protocols/ot/test_pprf.py [--count 30] [--seed 0]

Every mutant is one change of the syntax tree: another operator, a constant one higher, a condition negated,
a call whose result is dropped removed. The tests run on a copy of the tree, in NumPy (CIRCA_NATIVE=0), until
the first failure. A survivor is a hole in the tests or a change that changes nothing (an optimisation, a
constant of tuning): someone has to look. The exit status is the number of survivors.
"""

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TREES = ("circa", "protocols", "models", "tests")
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitXor: ast.BitOr,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


def breaks(node: ast.AST) -> Iterator[str]:
    """The ways in which a node can be broken; each step leaves it broken, the last one repairs it."""
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in SWAPS:
        old = node.op
        node.op = SWAPS[type(old)]()  # type: ignore[assignment]
        yield f"{type(old).__name__} to {type(node.op).__name__}"
        node.op = old
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        operators = node.ops
        node.ops = [SWAPS[type(operators[0])](), *operators[1:]]  # type: ignore[list-item]
        yield f"{type(operators[0]).__name__} to {type(node.ops[0]).__name__}"
        node.ops = operators
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        node.value += 1
        yield f"{node.value - 1} to {node.value}"
        node.value -= 1
    elif isinstance(node, ast.If):
        test = node.test
        node.test = ast.UnaryOp(ast.Not(), test)
        yield "condition negated"
        node.test = test
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call = node.value
        node.value = ast.Constant(None)
        yield "call removed"
        node.value = call


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, what was done, and the broken source, for every place outside of type annotations."""
    tree = ast.parse(source)
    hints = {id(sub) for node in ast.walk(tree) for sub in annotation_nodes(node)}
    for node in ast.walk(tree):
        if id(node) not in hints:
            for what in breaks(node):
                yield getattr(node, "lineno", 0), what, ast.unparse(ast.fix_missing_locations(tree))


def annotation_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for field in ("annotation", "returns"):
        if isinstance(hint := getattr(node, field, None), ast.AST):
            yield from ast.walk(hint)


def copy_of_the_tree(folder: Path) -> None:
    for name in TREES:
        ignore = shutil.ignore_patterns("__pycache__", *(["protocols", "models"] if name == "circa" else []))
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("protocols", "models"):
        (folder / "circa" / name).symlink_to(f"../{name}")
    shutil.copy(ROOT / "pyproject.toml", folder)


def passes(folder: Path, tests: list[str]) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    env = {**os.environ, "PYTHONPATH": str(folder), "CIRCA_NATIVE": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return not subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=300).returncode
    except subprocess.TimeoutExpired:
        return False  # it hangs: noticed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("module", help="the file to break, from the root of the repository")
    parser.add_argument("tests", nargs="+", help="test files that should notice")
    parser.add_argument("--count", type=int, default=30, help="mutants to try, drawn at random (0: all)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    source = (ROOT / arguments.module).read_text()
    drawn = list(mutants(source))
    if arguments.count and arguments.count < len(drawn):
        drawn = random.Random(arguments.seed).sample(drawn, arguments.count)
    survivors = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_of_the_tree(folder)
        if not passes(folder, arguments.tests):
            parser.error("the tests fail before anything is broken")
        for line, what, broken in sorted(drawn):
            (folder / arguments.module).write_text(broken)
            if passes(folder, arguments.tests):
                survivors += 1
                print(
                    f"{arguments.module}:{line}: {what}: {source.splitlines()[line - 1].strip()}", flush=True
                )
    print(f"{len(drawn)} mutants, {survivors} survived")
    return survivors


if __name__ == "__main__":
    sys.exit(main())
