"""Which kind of compressor a text names, and its colours on light and dark paper (after Okabe and Ito's palette: told apart
by colour-blind eyes)."""

# key: name, colour on white, colour on black, matplotlib's mark
FAMILIES = {
    "cast": ("Casts", "#0072b2", "#62bdf0", "o"),
    "quantizer": ("Quantizers", "#00835f", "#3fcfa3", "s"),
    "one_bit": ("Signs and ternary", "#b0568a", "#eaa6cc", "D"),
    "sparse": ("Sparsifiers", "#c65600", "#ff9a5c", "^"),
    "low_rank": ("Low rank", "#8c6d00", "#dfba45", "P"),
    "other": ("Others", "#555555", "#b4bcc4", "X"),
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
