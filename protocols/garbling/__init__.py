"""Yao's garbled circuits, one circuit on many instances at once: all ReLUs of a layer.

circuit.py         the builder, and a finished circuit as flat arrays
arithmetic.py      words: add, subtract, compare, reduce, select
relu_circuits.py   the circuits of the ReLU protocols, with their AND counts
plain.py           the plain evaluator
halfgates.py       garble and evaluate [ZRE15]
yao.py             the two-party protocol: tables offline, the garbler's labels online
bristol.py         circuits in the Bristol formats
"""
