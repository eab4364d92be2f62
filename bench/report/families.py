"""Which kind of compressor a text names, and its colours on light and dark paper (after Okabe and Ito's palette: told apart
by colour-blind eyes)."""

import pathlib
import re

# key: name, colour on white, colour on black, matplotlib's mark
FAMILIES = {
    "cast": ("Casts", "#0072b2", "#62bdf0", "o"),
    "quantizer": ("Quantizers", "#00835f", "#3fcfa3", "s"),
    "sign": ("Signs", "#b0568a", "#eaa6cc", "D"),
    "sparsifier": ("Sparsifiers", "#c65600", "#ff9a5c", "^"),
    "low_rank": ("Low rank", "#8c6d00", "#dfba45", "P"),
    "other": ("Others", "#555555", "#b4bcc4", "X"),
}

STAGE_LIST = pathlib.Path(__file__).resolve().parents[2] / "include" / "ccomp" / "stage_list.hpp"


def _families():
    """Stage -> family, as the rows of stage_list.hpp say."""
    rows = re.findall(r'(?:stage_row<|stage_widths<|joining_row\{\.name = ")(\w+).*?\.kind = family::(\w+)',
                      STAGE_LIST.read_text(encoding="utf-8"))
    return dict(rows)


_FAMILY_OF_STAGE = _families()


def family_of(compressor):
    """The first stage that is more than a transform decides."""
    for stage in compressor.split("|"):
        family = _FAMILY_OF_STAGE.get(re.split("[<(]", stage)[0].strip(), "other")
        if family != "transform":
            return family
    return "other"
