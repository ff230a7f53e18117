"""AES-128 and SHA-256 as circuits of our builder, from FIPS 197 and FIPS 180-4.

They are known answers for every interpreter. Nothing is taken from a circuit file. The S-box inverts in the
tower GF(((2^2)^2)^2), found here by search: 36 ANDs. Bytes and words are words of wires, low bit first.
"""

import itertools
import math

from circa.protocols.garbling.arithmetic import add, carry, constant
from circa.protocols.garbling.circuit import Builder, Circuit, Word

AES_POLYNOMIAL = 0x11B


def aes_multiply(x: int, y: int) -> int:
    product = 0
    for i in range(8):
        product ^= (x << i) * (y >> i & 1)
    for i in range(14, 7, -1):
        product ^= (AES_POLYNOMIAL << (i - 8)) * (product >> i & 1)
    return product


def tower_multiply(x: int, y: int, bits: int) -> int:
    """In the field of 2^bits elements: pairs over the field of half the bits, with t^2 = t + NORM[bits]."""
    if bits == 1:
        return x & y
    half = bits // 2
    low = (1 << half) - 1
    x0, x1, y0, y1 = x & low, x >> half, y & low, y >> half
    p0, p1 = tower_multiply(x0, y0, half), tower_multiply(x1, y1, half)
    cross = tower_multiply(x0 ^ x1, y0 ^ y1, half)
    return (cross ^ p0) << half | p0 ^ tower_multiply(p1, NORM[bits], half)


def _norm(bits: int) -> int:
    """The first n for which t^2 + t + n has no root in the field of half the bits."""
    half = bits // 2
    images = {tower_multiply(t, t, half) ^ t for t in range(1 << half)}
    return next(n for n in range(1 << half) if n not in images)


NORM: dict[int, int] = {}
for _bits in (2, 4, 8):
    NORM[_bits] = _norm(_bits)


def _powers(root: int) -> list[int]:
    return list(itertools.accumulate([root] * 7, lambda x, y: tower_multiply(x, y, 8), initial=1))


def _is_root(root: int) -> bool:
    powers = [*_powers(root), tower_multiply(_powers(root)[7], root, 8)]
    total = 0
    for i, power in enumerate(powers):
        total ^= power * (AES_POLYNOMIAL >> i & 1)
    return total == 0


BASIS = _powers(next(root for root in range(2, 256) if _is_root(root)))  # the images of AES's x^i


def to_tower(x: int) -> int:
    total = 0
    for i, power in enumerate(BASIS):
        total ^= power * (x >> i & 1)
    return total


FROM_TOWER = {to_tower(x): x for x in range(256)}


def affine(x: int) -> int:
    """The linear part of the S-box's last step."""
    return x ^ x << 1 & 255 ^ x >> 7 ^ x << 2 & 255 ^ x >> 6 ^ x << 3 & 255 ^ x >> 5 ^ x << 4 & 255 ^ x >> 4


def linear(b: Builder, function, x: Word) -> Word:
    """A GF(2)-linear function of integers, on wires: XORs only."""
    out = constant(0, len(x))
    for j, wire in enumerate(x):
        out = [b.xor(o, wire) if function(1 << j) >> i & 1 else o for i, o in enumerate(out)]
    return out


def xor(b: Builder, x: Word, y: Word) -> Word:
    return [b.xor(x_i, y_i) for x_i, y_i in zip(x, y, strict=True)]


def multiply(b: Builder, x: Word, y: Word) -> Word:
    """`tower_multiply` on wires: 3, 9 ANDs for 2, 4 bits."""
    if len(x) == 1:
        return [b.and_(x[0], y[0])]
    half = len(x) // 2
    p0, p1 = multiply(b, x[:half], y[:half]), multiply(b, x[half:], y[half:])
    cross = multiply(b, xor(b, x[:half], x[half:]), xor(b, y[:half], y[half:]))
    scaled = linear(b, lambda v: tower_multiply(v, NORM[2 * half], half), p1)
    return xor(b, p0, scaled) + xor(b, cross, p0)


def inverse(b: Builder, x: Word) -> Word:
    """1/x in the tower, 0 for 0: 36 ANDs for 8 bits, 9 for 4, none for 2 (a square)."""
    bits = len(x)
    if bits == 2:
        return linear(b, lambda v: tower_multiply(v, v, 2), x)
    half = bits // 2
    low, high = x[:half], x[half:]

    def scaled_square(v: int) -> int:
        return tower_multiply(tower_multiply(v, v, half), NORM[bits], half)

    squares = xor(b, linear(b, lambda v: tower_multiply(v, v, half), low), linear(b, scaled_square, high))
    reciprocal = inverse(b, xor(b, squares, multiply(b, low, high)))
    return multiply(b, xor(b, low, high), reciprocal) + multiply(b, high, reciprocal)


def sbox(b: Builder, x: Word) -> Word:
    y = linear(b, lambda v: affine(FROM_TOWER[v]), inverse(b, linear(b, to_tower, x)))
    return xor(b, y, constant(0x63, 8))


def aes128() -> Circuit:
    """One block. Garbler: the key; evaluator: the plaintext; output: the ciphertext; bytes in order, low bit
    first."""
    b = Builder()
    key = [b.garbler(8) for _ in range(16)]
    state = [xor(b, k, b.evaluator(8)) for k in key]
    factor = 1
    for round_number in range(1, 11):
        turned = [sbox(b, key[i]) for i in (13, 14, 15, 12)]
        turned[0] = xor(b, turned[0], constant(factor, 8))
        factor = aes_multiply(factor, 2)
        for column in range(4):
            for i in range(4):
                key[4 * column + i] = xor(
                    b, key[4 * column + i], turned[i] if not column else key[4 * column + i - 4]
                )
        state = [sbox(b, x) for x in state]
        state = [state[(4 * (column + row) + row) % 16] for column in range(4) for row in range(4)]
        if round_number < 10:
            state = [x for column in range(4) for x in mix_column(b, state[4 * column : 4 * column + 4])]
        state = [xor(b, x, k) for x, k in zip(state, key, strict=True)]
    return b.finish([wire for x in state for wire in x])


def mix_column(b: Builder, column: list[Word]) -> list[Word]:
    total = xor(b, xor(b, column[0], column[1]), xor(b, column[2], column[3]))
    doubled = [
        linear(b, lambda v: aes_multiply(v, 2), xor(b, column[i], column[(i + 1) % 4])) for i in range(4)
    ]
    return [xor(b, xor(b, column[i], total), doubled[i]) for i in range(4)]


PRIMES = [p for p in range(2, 312) if all(p % q for q in range(2, p))][:64]


def cube_root(value: int) -> int:
    root = round(value ** (1 / 3))
    while root**3 > value:
        root -= 1
    while (root + 1) ** 3 <= value:
        root += 1
    return root


STATE = [math.isqrt(p << 64) & 0xFFFFFFFF for p in PRIMES[:8]]
ROUND = [cube_root(p << 96) & 0xFFFFFFFF for p in PRIMES]


def sha256() -> Circuit:
    """The digest of one padded block. Words of 32 bits, low bit first; garbler: the first 8, evaluator: the
    others."""
    b = Builder()
    w = [b.garbler(32) for _ in range(8)] + [b.evaluator(32) for _ in range(8)]
    for i in range(16, 64):
        s0 = mixed(b, w[i - 15], (7, 18), 3)
        s1 = mixed(b, w[i - 2], (17, 19), 10)
        w.append(add(b, add(b, add(b, w[i - 16], s0), w[i - 7]), s1))
    start = [constant(value, 32) for value in STATE]
    a, c, d, e, f, g, h, k = start
    for i in range(64):
        choice = [b.xor(y, b.and_(s, b.xor(x, y))) for s, x, y in zip(f, g, h, strict=True)]
        majority = [carry(b, x, y, z) for x, y, z in zip(a, c, d, strict=True)]
        t1 = add(b, add(b, k, mixed(b, f, (6, 11, 25))), add(b, choice, add(b, constant(ROUND[i], 32), w[i])))
        t2 = add(b, mixed(b, a, (2, 13, 22)), majority)
        a, c, d, e, f, g, h, k = add(b, t1, t2), a, c, d, add(b, e, t1), f, g, h
    digest = [add(b, x, y) for x, y in zip(start, (a, c, d, e, f, g, h, k), strict=True)]
    return b.finish([wire for word in digest for wire in word])


def mixed(b: Builder, x: Word, rotations: tuple[int, ...], shift: int | None = None) -> Word:
    """XOR of x rotated right, and of x shifted right."""
    out = constant(0, 32) if shift is None else x[shift:] + constant(0, shift)
    for r in rotations:
        out = xor(b, out, x[r:] + x[:r])
    return out
