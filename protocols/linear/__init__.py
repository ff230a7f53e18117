"""Offline masked linear layers: the sender holds W and gets s, the receiver holds r and gets W r - s.

`he.py` is the protocol (BFV, Cheetah's encoding), `ideal.py` its interface without cryptography (tests only),
`cost.py` the bytes. Import the submodules by name: the geometry alone does not load the encryption library.
"""
