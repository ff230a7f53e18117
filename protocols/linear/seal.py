"""Microsoft SEAL through `tenseal.sealapi`, with NumPy arrays in and out, and types: one context a process.

The binding has no array constructors; its `save` and `load` take a path. A memory file (Linux) and SEAL's
documented serialisation carry the arrays: a 16-byte header, the parameters' id, the sizes, 64-bit words.
`load` validates what it reads. Every function that takes a peer's values checks them first and raises
CheckFailed; no exception of SEAL escapes.

The secret key and the randomness of `Keys.encrypt` are SEAL's own, seeded by the operating system; it takes
no `Prg`.
"""

import os
import struct
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import tenseal.sealapi as sealapi
import zstandard
from numpy.typing import NDArray

from ..errors import CheckFailed
from ..packing import pack, packed_size, unpack
from .parameters import SEED_BYTES, ParameterSet

__all__ = ["Ciphertext", "Context", "Keys", "Plaintext", "Words", "context", "pack_words", "unpack_words"]

Plaintext = Any  # sealapi.Plaintext; the binding carries no types
Ciphertext = Any  # sealapi.Ciphertext
Words = NDArray[np.uint64]

_MAGIC = 0xA15E
_HEADER = struct.Struct("<HB2sBHQ")  # magic, header size, version, compression, reserved, size of the whole
_SIZES = struct.Struct(
    "<32sBQQQdQ"
)  # parameters' id, NTT form, polynomials, N, primes, scale, correction factor
_ARRAY = _HEADER.size + 8  # header and length that precede an array's words
_BLAKE2XB = b"\x01"  # SEAL's default generator, the only one that a request may name


class _Pipe:
    """A memory file, for one thread of one process."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._fd = os.memfd_create("seal")
        self.path = f"/proc/self/fd/{self._fd}"
        weakref.finalize(self, os.close, self._fd).atexit = False

    def write(self, *parts: Any) -> str:
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        os.writev(self._fd, parts)
        return self.path

    def saved(self, item: Any) -> bytes:
        """What `item.save` writes, decompressed, without the header."""
        item.save(self.path)
        raw = os.pread(self._fd, os.fstat(self._fd).st_size, 0)
        magic, header, _, compression, _, size = _HEADER.unpack_from(raw)
        assert (magic, header, size) == (_MAGIC, _HEADER.size, len(raw))
        body = raw[header:]
        return body if compression == 0 else zstandard.ZstdDecompressor().decompressobj().decompress(body)


class Context:
    """BFV with one parameter set and plaintext modulus. Safe to share by threads."""

    def __init__(self, parameters: ParameterSet, modulus: int):
        bits = [*parameters.data_bits, parameters.special_bits]
        chosen = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.BFV)
        chosen.set_poly_modulus_degree(parameters.degree)
        chosen.set_coeff_modulus(sealapi.CoeffModulus.Create(parameters.degree, bits))
        chosen.set_plain_modulus(modulus)
        level = sealapi.SEC_LEVEL_TYPE
        self.seal = sealapi.SEALContext(chosen, True, level.TC128 if parameters.seal_checks else level.NONE)
        assert self.seal.parameters_set(), self.seal.parameters_error_message()
        self.parameters, self.modulus, self.degree = parameters, modulus, parameters.degree
        self.primes: tuple[int, ...] = tuple(p.value() for p in chosen.coeff_modulus())[:-1]
        assert tuple(p.bit_length() for p in self.primes) == parameters.data_bits
        self._evaluator = sealapi.Evaluator(self.seal)
        self._local = threading.local()
        self._fresh, self._last = self.seal.first_parms_id(), self.seal.last_parms_id()
        path = self._pipe.path
        sealapi.Plaintext("1").save(path)
        with open(path, "rb") as file:
            self._version: bytes = _HEADER.unpack(file.read(_HEADER.size))[2]

    @property
    def _pipe(self) -> _Pipe:
        pipe: _Pipe | None = getattr(self._local, "pipe", None)
        if pipe is None or pipe.process != os.getpid():  # a forked child would share the parent's file
            pipe = self._local.pipe = _Pipe()
        return pipe

    def _header(self, size: int) -> bytes:
        return _HEADER.pack(_MAGIC, _HEADER.size, self._version, 0, 0, _HEADER.size + size)

    def _sizes(self, last: bool, primes: int) -> bytes:
        identity = np.array(self._last if last else self._fresh, np.uint64).tobytes()
        return _SIZES.pack(identity, 0, 2, self.degree, primes, 1.0, 1)

    def _array(self, words: Words) -> tuple[bytes, NDArray[Any]]:
        return self._header(8 + 8 * words.size) + struct.pack("<Q", words.size), words

    # plaintexts

    def plaintext(self, values: Words) -> Plaintext:
        """A polynomial of residues below the plaintext modulus, at most N of them."""
        array, words = self._array(np.ascontiguousarray(values))
        sizes = bytes(32) + struct.pack("<Qd", values.size, 1.0)
        path = self._pipe.write(self._header(len(sizes) + len(array) + 8 * words.size), sizes, array, words)
        made = sealapi.Plaintext()
        made.load(self.seal, path)
        return made

    def factor(self, values: NDArray[np.int64]) -> Plaintext:
        """A polynomial of small signed integers, ready for `multiply`."""
        made = self.plaintext(np.where(values < 0, values + self.modulus, values).astype(np.uint64))
        self._evaluator.transform_to_ntt_inplace(made, self._fresh)
        return made

    def coefficients(self, plaintext: Plaintext) -> Words:
        """The N coefficients of a plaintext."""
        body = self._pipe.saved(plaintext)
        count = struct.unpack_from("<Q", body, 32)[0]
        values = np.zeros(self.degree, np.uint64)
        values[:count] = np.frombuffer(body, np.uint64, count, 48 + _ARRAY)
        return values

    # ciphertexts

    def ciphertext(self, polynomials: Words) -> Ciphertext:
        """From (2, primes, N) words: all data primes or, after `drop`, the first alone."""
        primes = polynomials.shape[1]
        sizes = self._sizes(last=primes == 1, primes=primes)
        array, words = self._array(np.ascontiguousarray(polynomials))
        path = self._pipe.write(self._header(len(sizes) + len(array) + 8 * words.size), sizes, array, words)
        with _rejecting("a response"):
            made = sealapi.Ciphertext()
            made.load(self.seal, path)
        return made

    def words(self, ciphertext: Ciphertext) -> Words:
        """The (2, primes, N) words of a ciphertext."""
        body = self._pipe.saved(ciphertext)
        _, _, size, degree, primes, _, _ = _SIZES.unpack_from(body)
        words = np.frombuffer(body, np.uint64, size * primes * degree, _SIZES.size + _ARRAY)
        return words.reshape(size, primes, degree)

    def pack_request(self, seeded: Any) -> bytes:
        """A seeded ciphertext as it travels: c0 at exactly the bits of its primes, then the seed of c1."""
        body = self._pipe.saved(seeded)
        start, shape = _SIZES.size + _ARRAY, (len(self.primes), self.degree)
        c0 = np.frombuffer(body, np.uint64, shape[0] * shape[1], start).reshape(shape)
        generator = body[start + c0.nbytes :]
        assert generator[_HEADER.size : -SEED_BYTES] == _BLAKE2XB
        return b"".join(
            (*(pack_words(c, q) for c, q in zip(c0, self.primes, strict=True)), generator[-SEED_BYTES:])
        )

    def unpack_request(self, message: bytes) -> Ciphertext:
        """The peer's seeded ciphertext, ready for `multiply`. Raises CheckFailed for values not reduced."""
        c0 = np.empty((len(self.primes), self.degree), np.uint64)
        start = 0
        for i, q in enumerate(self.primes):
            stop = start + packed_size(self.degree, q.bit_length())
            c0[i] = unpack_words(message[start:stop], self.degree, q)
            start = stop
        generator = self._header(len(_BLAKE2XB) + SEED_BYTES) + _BLAKE2XB + message[start:]
        sizes, (array, words) = self._sizes(last=False, primes=len(self.primes)), self._array(c0)
        whole = self._header(len(sizes) + len(array) + 8 * words.size + len(generator))
        path = self._pipe.write(whole, sizes, array, words, generator)
        with _rejecting("a request"):
            made = sealapi.Ciphertext()
            made.load(self.seal, path)
            self._evaluator.transform_to_ntt_inplace(made)
        return made

    # arithmetic

    def multiply(self, ciphertext: Ciphertext, factor: Plaintext) -> Ciphertext:
        product = sealapi.Ciphertext()
        with _rejecting("a request"):  # a transparent product: c1 vanishes, which no honest request gives
            self._evaluator.multiply_plain(ciphertext, factor, product)
        return product

    def add(self, total: Ciphertext, ciphertext: Ciphertext) -> None:
        """total += ciphertext."""
        with _rejecting("a request"):
            self._evaluator.add_inplace(total, ciphertext)

    def add_plaintext(self, total: Ciphertext, plaintext: Plaintext) -> None:
        self._evaluator.add_plain_inplace(total, plaintext)

    def leave_ntt(self, ciphertext: Ciphertext) -> None:
        """From the form of products to coefficients."""
        self._evaluator.transform_from_ntt_inplace(ciphertext)

    def drop(self, ciphertext: Ciphertext) -> None:
        """Switch to the first prime alone."""
        self._evaluator.mod_switch_to_inplace(ciphertext, self._last)


class Keys:
    """A secret key for symmetric encryption; no public, Galois or relinearisation key may be made of it."""

    def __init__(self, chosen: Context):
        self._context = chosen
        secret = sealapi.KeyGenerator(chosen.seal).secret_key()
        self._encryptor = sealapi.Encryptor(chosen.seal, secret)
        self._decryptor = sealapi.Decryptor(chosen.seal, secret)

    def encrypt(self, values: Words) -> bytes:
        """One request: a fresh seeded encryption of a polynomial of residues."""
        return self._context.pack_request(self._encryptor.encrypt_symmetric(self._context.plaintext(values)))

    def decrypt(self, c1: Words, c0: Words) -> Words:
        """The N coefficients of a response at the first prime."""
        ciphertext = self._context.ciphertext(np.stack([c0, c1])[:, None, :])
        made = sealapi.Plaintext()
        with _rejecting("a response"):
            self._decryptor.decrypt(ciphertext, made)
        return self._context.coefficients(made)


@lru_cache(maxsize=8)
def context(parameters: ParameterSet, modulus: int) -> Context:
    """The context of this process for a parameter set and plaintext modulus."""
    return Context(parameters, modulus)


def pack_words(words: Words, q: int) -> bytes:
    """Residues modulo q, at exactly the bits of q."""
    return pack(words, q.bit_length()).tobytes()


def unpack_words(packed: bytes, count: int, q: int) -> Words:
    """The peer's residues modulo q. Raises CheckFailed where one is not below q."""
    words = unpack(np.frombuffer(packed, np.uint8), count, q.bit_length())
    if count and int(words.max()) >= q:
        raise CheckFailed("the peer sent a coefficient that is not reduced modulo its prime")
    return words


@contextmanager
def _rejecting(what: str) -> Iterator[None]:
    """SEAL's refusal of a peer's ciphertext as CheckFailed."""
    try:
        yield
    except (ValueError, RuntimeError, IndexError) as error:
        raise CheckFailed(f"the peer sent {what} that the encryption library refuses") from error
