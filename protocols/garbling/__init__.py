"""Yao's garbled circuits, one circuit on many instances at once: all ReLUs of a layer.

    circuit.py         the builder, and a finished circuit as flat arrays
    arithmetic.py      words: add, subtract, compare, reduce, select
    relu_circuits.py   the circuits of the ReLU protocols, with their AND counts
    plain.py           the plain evaluator
    halfgates.py       garble and evaluate [ZRE15]
    yao.py             the two-party protocol: tables offline, the garbler's labels online
    bristol.py         circuits in the Bristol formats

Why half gates only: three halves (Rosulek, Roy, CRYPTO 2021, eprint 2021/749) takes 1.5 κ + 5 bits an AND
instead of 2 κ, 24.6 bytes instead of 32, for more hashing at both parties. The default ReLU garbles nothing,
the garbled window test has 160 bytes of tables at n = 6, and the circuits with large tables are here to be
measured as they were published, with half gates.
"""
