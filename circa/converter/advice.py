"""Why an operation does not convert, and what to use instead."""

__all__ = ["advice"]

LAST = "if it is the model's last operation, leave it out and apply it to the decoded result"
SMOOTH = "it is not piecewise linear; train with nn.ReLU, nn.ReLU6 or nn.Hardtanh instead"

COMPARISONS = ("gt.", "ge.", "lt.", "le.", "eq.", "ne.", "sign.")

# By the beginning of the ATen name; the first that fits.
ADVICE: tuple[tuple[str, str, str], ...] = (
    ("softmax", "exponentials and a division", LAST),
    ("log_softmax", "exponentials and a logarithm", LAST),
    ("argmax", "comparisons of all outputs", LAST),
    ("sigmoid", "it is not piecewise linear", f"use nn.Hardtanh or nn.ReLU6; {LAST}"),
    ("tanh", "it is not piecewise linear", "train with nn.Hardtanh instead"),
    ("gelu", "a smooth activation", SMOOTH),
    ("silu", "a smooth activation", SMOOTH),
    ("mish", "a smooth activation", SMOOTH),
    ("celu", "a smooth activation", SMOOTH),
    ("glu", "a product of two values that depend on the input", "train with nn.ReLU instead"),
    ("log_sigmoid", "a smooth activation", SMOOTH),
    ("threshold", "a jump", "use nn.ReLU, or F.relu(x - t) for another threshold t"),
    ("elu", "a smooth activation", SMOOTH),
    ("selu", "a smooth activation", SMOOTH),
    ("softplus", "a smooth activation", SMOOTH),
    ("hardswish", "a product of two values that depend on the input", "train with nn.ReLU6 instead"),
    ("rrelu", "a random slope below zero", "train with nn.LeakyReLU instead"),
    ("max_pool2d_with_indices", "the indices of a maximum", "leave return_indices out"),
    ("max_pool1d_with_indices", "the indices of a maximum", "leave return_indices out"),
    ("pixel_shuffle", "pixels change places", "keep (batch, channels, height, width)"),
    ("max.", "a largest value and its place", LAST),
    ("min.", "a smallest value and its place", LAST),
    ("topk", "an order by the input's values", LAST),
    ("sort", "an order by the input's values", LAST),
    ("conv_transpose", "a transposed convolution", "use a zero-padded convolution or an nn.Linear"),
    ("conv3d", "three spatial dimensions", "use nn.Conv2d"),
    ("upsample", "an upsampling", "use strides and pooling to lower the resolution only"),
    (
        "layer_norm",
        "statistics of the input itself",
        "use nn.BatchNorm2d, whose statistics are fixed in eval mode",
    ),
    (
        "group_norm",
        "statistics of the input itself",
        "use nn.BatchNorm2d, whose statistics are fixed in eval mode",
    ),
    ("instance_norm", "statistics of the input itself", "use nn.BatchNorm2d with running statistics"),
    ("native_batch_norm", "statistics of the batch itself", "use track_running_stats=True"),
    ("batch_norm", "statistics of the batch itself", "use track_running_stats=True"),
    ("native_layer_norm", "statistics of the input itself", "use nn.BatchNorm2d"),
    ("scaled_dot_product_attention", "products of values that depend on the input", "use convolutions"),
    ("rms_norm", "statistics of the input itself", "use nn.BatchNorm2d"),
    ("var.", "statistics of the input itself", "use nn.BatchNorm2d"),
    ("std.", "statistics of the input itself", "use nn.BatchNorm2d"),
    ("linalg_vector_norm", "statistics of the input itself", "use nn.BatchNorm2d"),
    ("einsum", "a product with an equation", "use nn.Linear, or a 1x1 nn.Conv2d"),
    ("bmm", "a product of two values that depend on the input", "use nn.Linear or nn.Conv2d"),
    ("float_power", "a power of the input in double precision", "use x * x"),
    ("pow", "a power of the input", "use x * x, or nn.ReLU"),
    ("sqrt", "a root", "use nn.ReLU"),
    ("exp.", "an exponential", "use nn.ReLU"),
    ("abs", "an absolute value", "use F.relu(x) + F.relu(-x)"),
    ("embedding", "a look-up by the input's value", "do it on the client, before the model"),
    ("index", "indices that are lists or depend on the input", "use slices"),
    ("native_dropout", "dropout that is active in eval mode", "pass training=self.training to F.dropout"),
    *(
        (name, "a comparison that depends on the input", "use F.relu, slices and constants")
        for name in COMPARISONS
    ),
    ("where", "a choice by the input's value", "use nn.ReLU"),
    ("lstm", "a recurrent network", "use convolutions"),
    ("gru", "a recurrent network", "use convolutions"),
    ("to_copy", "a change of the number type", "compute in float32 throughout"),
)


def advice(target: str) -> tuple[str, str]:
    """Reason and remedy for an ATen operation such as "aten.sigmoid.default"."""
    name = target.removeprefix("aten.").lstrip("_")
    for start, reason, remedy in ADVICE:
        if name.startswith(start):
            return reason, remedy
    return "no rule for it", "use convolutions, nn.Linear, batch normalisation, ReLU, pooling and additions"
