"""The README's code runs as it stands."""

import re
from pathlib import Path


def test_the_ten_lines_run(root: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert tuple(names["logits"].shape) == (4, 10)
