"""Which kind of compressor a text names, and its colour (Okabe and Ito's palette: told apart by colour-blind eyes)."""

FAMILIES = {
    "cast": ("Casts", "#0072B2", "o"),
    "quantizer": ("Quantizers", "#009E73", "s"),
    "one_bit": ("Signs and ternary", "#CC79A7", "D"),
    "sparse": ("Sparsifiers", "#D55E00", "^"),
    "low_rank": ("Low rank", "#8C6D00", "P"),
    "other": ("Others", "#555555", "X"),
}

_FAMILY_OF_STAGE = {
    "cast": "cast",
    "uniform_quantize": "quantizer",
    "qsgd": "quantizer",
    "natural": "quantizer",
    "shared_scale_quantize": "quantizer",
    "sign_quantize": "one_bit",
    "ternary": "one_bit",
    "top_k": "sparse",
    "threshold": "sparse",
    "random_k": "sparse",
    "random_block": "sparse",
    "power_sgd": "low_rank",
}

_TRANSFORMS = ("hadamard_rotate", "sign_flip", "scale")


def family_of(compressor):
    """The first stage that is more than a transform decides."""
    for stage in compressor.split("|"):
        name = stage.split("<")[0].split("(")[0].strip()
        if name not in _TRANSFORMS:
            return _FAMILY_OF_STAGE.get(name, "other")
    return "other"
