"""Two-party protocols for private inference: semi-honest, kappa = 128, sigma = 40, no third party.

Roles in layer protocols: the **sender** (subscript s) holds the weights, and a share that depends on the
input; the **receiver** (c) holds a share that is fixed offline. In `circa` they become server and client.

    module            functionality                     source                        fails
    shares.py         additive sharing mod M            -                             never
    prg.py, hash.py   AES-CTR; H(x, j) = pi(s) ^ s      SP 800-38A; [GKWY20] 7.3      never
    ot/base.py        128 random OTs                    [MR19] fig. 1, Ed25519        never
    ot/softspoken.py  correlated OT extension           [Roy22], trees of [BCGI+19]   never
    ot/products.py    shares of bit * value             [Gil99]                       never
    ot/one_of_n.py    1-of-2^n random OT of bits        [NP99]; design.md 5.2         never
    steps.py          round trips of many at once       -                             never
    beaver.py         triples from COT, multiplication  [Bea91], [Gil99]              never
    linear/           W r - s under BFV; native or SEAL Cheetah [HLHD22]              never; flood >= 2^40
    garbling/         Yao's circuits, half gates        [ZRE15], [LP09]               never
    sign/             sign tests on shares              design.md 4 and 5             near 0, by stated law
    relu/             ReLU protocols by name            below                         as its sign test

Cost of one ReLU in bytes, n = 6, f = 8, k = 12, offline without the session's setup and with
the OT extension's default k of 6 (22 bits a COT); the tests assert it:

    protocol          modulus  online down  online up  round trips  offline down  offline up  AND gates
    table             ring           14.0       4.25            1          8.75       28.75          0
    rescale           ring          0.125        1.0            1           1.0        6.75          0
    window-garbled    ring          102.0       4.25            1        168.75       28.75          5
    circa             prime        311.75     11.625            1      1813.125     260.375         50
    circa-stochastic  prime        503.75     11.625            1      2197.125     293.375         62
    circa-sign        prime        503.75     11.625            1      4853.125     293.375        145
    delphi            prime         496.0      3.875            1        7424.0       170.5        232

(delphi computes 240 AND gates at f = 0; its rescale drops f of them.)

[Bea91] Beaver, CRYPTO 1991.                                [MR19] Masny, Rindal, CCS 2019.
[Gil99] Gilboa, CRYPTO 1999.                                [NP99] Naor, Pinkas, STOC 1999.
[GKWY20] Guo, Katz, Wang, Yu, IEEE S&P 2020.                [ZRE15] Zahur, Rosulek, Evans, EUROCRYPT 2015.
[HLHD22] Huang, Lu, Hong, Ding, USENIX Security 2022.
[LP09] Lindell, Pinkas, J. Cryptology 2009.                 [Roy22] Roy, CRYPTO 2022.
[BCGI+19] Boyle, Couteau, Gilboa, Ishai, Kohl, Rindal, Scholl, CCS 2019.
"""

if __name__ != "circa.protocols":
    raise ImportError(f"import this package as circa.protocols, not {__name__}")
