"""What the report's plots share: colours that follow the page's, SVG for a page, two widths."""

import io
import math
import re

import matplotlib

matplotlib.use("agg")  # it measures text; SVG is only written

from matplotlib import pyplot as plt  # noqa: E402  (the backend comes first)
from matplotlib.lines import Line2D  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator  # noqa: E402

from families import FAMILIES, family_of  # noqa: E402

# Each becomes a variable of the page's style sheet, which knows light and dark. None is black: matplotlib would leave
# that one out.
INK = "#1b2733"
SOFT = "#4a5a68"
FAINT = "#d9e0e6"
GUIDE = "#b8c4ce"
STRONG = "#010203"
PAPER = "#fefefe"
VARIABLES = {INK: "ink", SOFT: "soft", FAINT: "line", GUIDE: "guide", STRONG: "strong", PAPER: "paper"}
VARIABLES |= {light: key for key, (_, light, _, _) in FAMILIES.items()}

plt.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 9.5,
        "axes.edgecolor": SOFT,
        "axes.labelcolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": FAINT,
        "grid.linewidth": 0.7,
        "xtick.color": INK,
        "ytick.color": INK,
        "text.color": INK,
        "svg.fonttype": "none",  # text stays text: small, sharp, and it can be found
        "svg.hashsalt": "ccomp",
        "legend.frameon": False,
    }
)


class Size:
    """A page wide enough for labels, or a telephone's, where compressors go by their numbers."""

    def __init__(self, narrow):
        self.narrow = narrow
        self.suffix = "narrow" if narrow else "wide"

    def figure(self, wide, narrow, **more):
        return plt.subplots(figsize=narrow if self.narrow else wide, **more)

    def label(self, number, name):
        return str(number) if self.narrow else name

    def marks(self, points):
        return points * (0.85 if self.narrow else 1)


def svg(figure, name):
    """Text to be put into a page: scales with it, takes its colours, and shares no id with another plot."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    text = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", text, count=1), count=1)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    return re.sub("#[0-9a-f]{6}", lambda found: f"var(--{VARIABLES[found[0]]})" if found[0] in VARIABLES else found[0], text)


def color(result):
    return FAMILIES[family_of(result.name)][1]


def marker(result):
    return FAMILIES[family_of(result.name)][3]


def plain_number(value, _=None):
    """1000 rather than 10^3, 0.001 rather than 10^-3."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else ""
    if 1e-5 <= abs(value) < 1e8:
        return f"{value:.10f}".rstrip("0").rstrip(".") if abs(value) < 1 else f"{value:,.10g}"
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def plain_axis(axis):
    """Of a logarithmic axis with its limits set: 1, 10, 100; over less than two decades 1, 2, 5, 10."""
    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1.0,) if high > 100 * low else (1.0, 2.0, 5.0), numticks=12))
    axis.set_minor_locator(NullLocator())  # each tick takes matplotlib's time
    axis.set_major_formatter(FuncFormatter(plain_number))


def gbit_text(gbit):
    if gbit < 1:
        return f"{gbit * 1000:.3g} Mbit/s"
    return f"{gbit:.3g} Gbit/s" if gbit < 1000 else f"{gbit / 1000:.3g} Tbit/s"


def family_handles(results):
    present = {family_of(one.name) for one in results}
    return [
        Line2D([], [], color=light, marker=mark, linestyle="", markersize=7, label=label)
        for key, (label, light, _, mark) in FAMILIES.items()
        if key in present
    ]


def hollow_handle(steps):
    return Line2D([], [], color=INK, marker="o", linestyle="", markersize=5, markerfacecolor=PAPER, markeredgecolor=INK,
                  label=f"mean of {steps} steps with feedback")


def legend_below(axes, size, handles, columns):
    """Below the axes, as many columns as fit."""
    below = 0.62 / axes.figure.get_figheight()
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.45, -below * 1.15), ncol=2 if size.narrow else columns,
                handletextpad=0.4, columnspacing=1.4 if not size.narrow else 1.0, fontsize=8.5 if size.narrow else 9)
