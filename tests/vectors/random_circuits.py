"""Random circuits for tests, and their value bit by bit in plain Python."""

import random

from circa.protocols.garbling.circuit import ONE, ZERO, Builder, Circuit, Wire


def random_circuit(seed: int, gates: int, inputs: tuple[int, int, int]) -> tuple[Circuit, list]:
    """A circuit whose outputs are all its wires, and the recipe: (operation, operand, operand) in terms of
    outputs."""
    choose = random.Random(seed)
    b = Builder()
    wires: list[Wire] = [ZERO, ONE, b.wire(0), b.wire(1)]
    wires += b.garbler(inputs[0]) + b.fixed(inputs[1]) + b.evaluator(inputs[2])
    recipe = []
    for _ in range(gates):
        operation = choose.choice(["xor", "and_", "inv"])
        i, j = choose.randrange(len(wires)), choose.randrange(len(wires))
        wires.append(b.inv(wires[i]) if operation == "inv" else getattr(b, operation)(wires[i], wires[j]))
        recipe.append((operation, i, j))
    return b.finish(wires), recipe


def run_recipe(recipe: list, inputs: list[int]) -> list[int]:
    """The value of every wire for one instance."""
    values = [0, 1, 0, 1, *inputs]
    for operation, i, j in recipe:
        x, y = values[i], values[j]
        values.append({"xor": x ^ y, "and_": x & y, "inv": 1 - x}[operation])
    return values
