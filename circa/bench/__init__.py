"""Measurements that a user can repeat: `circa bench`.

turns.py         both roles in one process, one at a time: exact bytes, processor time without waiting
cases.py         which protocols, k and n; refused before anything runs where out of range
inputs.py        the values that every system is given
relu.py          one row a case, checked against the protocol's own cost
loopback.py      the same cases as two processes over TCP
peers/           other systems, each in a Python environment of its own
figure.py        storage and online time against truncated bits
environment.py   machine, versions, kernels, commit
"""
