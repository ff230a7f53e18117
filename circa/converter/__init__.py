"""A trained PyTorch network to an integer program: trace, fold, calibrate, quantise, check.

capture     torch.export on a copy            lower       ATen operations to `graph`: rules, advice
masking     activations on some elements      fold        batch normalisation and factors
maximum     max-pooling as ReLUs              calibrate   ranges, by `evaluate`
equalise    channels of one range             scales      fractional bits
windows     the sign test's gains             quantise    integers
verify      the self-check                    conversion  all of it
"""

from .conversion import convert

__all__ = ["convert"]
