"""Sign tests: which bit a ReLU multiplies by. `window` is the arithmetic, `table` carries it by 1-of-N OT."""
