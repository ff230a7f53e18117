"""Measurements that a user can repeat: `circa bench`.

turns.py         both roles in one process, one at a time: exact bytes, processor time without waiting
cases.py         which protocols, k and n; refused before anything runs where out of range
inputs.py        the values that every system is given
relu.py          one row a case, checked against the protocol's own cost
loopback.py      the same cases as two processes over TCP
peers/           other systems, each in a Python environment of its own
figure.py        storage and online time against truncated bits
link.py          an emulated line between two processes
parties.py       a server and a client process that report to a third
processes.py     starts them and reads what they say
inference.py     a whole private inference between them: `circa bench network`
architectures.py the networks that it knows by name
settings.py      what one of its rows was measured with
trace.py         both parties in Chrome's trace format
network_figure.py   seconds and bytes, stacked
environment.py   machine, versions, kernels, commit
"""
