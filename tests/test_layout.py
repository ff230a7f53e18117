"""The shape of the source tree: imports run one way, files stay short, importing has no effects."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TREES = ("circa", "protocols", "models")
SOFT = sys.stdlib_module_names
ALLOWED = {
    "protocols": {"numpy", "cryptography", "nacl", "tenseal", "zstandard"},
    "models": {"torch"},
}


def sources(tree: str) -> list[Path]:
    # circa/protocols and circa/models are links in a developer's checkout
    return [
        path
        for path in sorted((ROOT / tree).rglob("*.py"))
        if not {"__pycache__", ".venv"} & set(path.parts)
        and path.relative_to(ROOT).parts[:2] not in {("circa", "protocols"), ("circa", "models")}
    ]


def imports(path: Path) -> Iterator[str]:
    """Absolute module names that a file imports, anywhere in it; relative ones stay inside their tree."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def depth_escapes(path: Path, tree: str) -> Iterator[int]:
    """Lines of relative imports that climb out of the tree."""
    depth = len(path.relative_to(ROOT / tree).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level > depth:
            yield node.lineno


@pytest.mark.parametrize("tree", ["protocols", "models"])
def test_imports_run_one_way(tree):
    assert sources(tree)
    for path in sources(tree):
        outside = {name.split(".")[0] for name in imports(path)} - SOFT - ALLOWED[tree]
        assert not outside, f"{path} imports {sorted(outside)}"
        assert not list(depth_escapes(path, tree)), f"{path} climbs out of {tree}/"


def test_circa_imports_its_parts_by_their_installed_names():
    for path in sources("circa"):
        assert not {name.split(".")[0] for name in imports(path)} & {"protocols", "models"}, path


@pytest.mark.parametrize("tree", [*TREES, "tests", "benchmarks"])
def test_files_have_at_most_400_lines(tree):
    long = {str(path): lines for path in sources(tree) if (lines := len(path.read_text().splitlines())) > 400}
    assert not long


# Where a statistical generator hides nothing: simulation, self-checks and measurements on one machine.
SIMULATION = ("model.py", "simulate.py", "verify.py", "exact", "bench", "accuracy", "debug.py", "finetune.py")


@pytest.mark.parametrize("tree", ["circa", "protocols"])
def test_no_pickle_and_no_numpy_generator(tree):
    """Nothing of the peer's is unpickled, and no secret comes from a statistical generator."""
    for path in sources(tree):
        text = path.read_text()
        assert not {"pickle", "marshal", "shelve", "dill", "cloudpickle"} & set(imports(path)), path
        assert not re.search(r"allow_pickle\s*=\s*True", text), path
        if tree == "protocols" or not set(SIMULATION) & set(path.parts):
            assert not re.search(r"\bnp\.random\b|\bnumpy\.random\b", text), path


@pytest.mark.parametrize("tree", ["protocols", "models"])
def test_a_second_copy_cannot_be_imported(tree):
    """From the repository root `import protocols` would make classes that are not ours."""
    run = subprocess.run([sys.executable, "-c", f"import {tree}"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1
    assert f"import this package as circa.{tree}, not {tree}" in run.stderr


def test_importing_circa_is_light_and_has_no_effects():
    """No torch, no threads, no output, no file."""
    code = (
        "import sys, threading\n"
        "import circa, circa.protocols, circa.protocols.hash, circa.protocols.prg\n"
        "heavy = {'torch', 'tenseal', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert threading.active_count() == 1\n"
    )
    run = subprocess.run([sys.executable, "-P", "-W", "error", "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
