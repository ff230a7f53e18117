"""`python -m circa` is the `circa` command."""

from circa.cli import app

app(prog_name="circa")
