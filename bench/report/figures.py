"""The report's plots, each as SVG text."""

import io
import math

import matplotlib

matplotlib.use("agg")  # it measures text; SVG is only written

from matplotlib import pyplot as plt  # noqa: E402  (the backend comes first)
from matplotlib.lines import Line2D  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator  # noqa: E402

import matplotlib.patheffects  # noqa: E402

from families import FAMILIES, family_of  # noqa: E402
from labels import literal, place, spread  # noqa: E402

INK = "#1b2733"
FAINT = "#d9e0e6"
HALO = [matplotlib.patheffects.withStroke(linewidth=2.5, foreground="white")]

plt.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 9.5,
        "axes.edgecolor": "#8795a1",
        "axes.labelcolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": FAINT,
        "grid.linewidth": 0.7,
        "xtick.color": INK,
        "ytick.color": INK,
        "text.color": INK,
        "svg.fonttype": "path",
        "svg.hashsalt": "ccomp",
        "legend.frameon": False,
    }
)


def _svg(figure):
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return stream.getvalue()


def _color(result):
    return FAMILIES[family_of(result.name)][1]


def _marker(result):
    return FAMILIES[family_of(result.name)][2]


def plain_number(value, _=None):
    """1000 rather than 10^3, 0.001 rather than 10^-3."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else ""
    if 1e-5 <= abs(value) < 1e8:
        return f"{value:.10f}".rstrip("0").rstrip(".") if abs(value) < 1 else f"{value:,.10g}"
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def gbit_text(gbit):
    if gbit < 1:
        return f"{gbit * 1000:.3g} Mbit/s"
    return f"{gbit:.3g} Gbit/s" if gbit < 1000 else f"{gbit / 1000:.3g} Tbit/s"


def _family_handles(results):
    present = {family_of(one.name) for one in results}
    return [
        Line2D([], [], color=color, marker=marker, linestyle="", markersize=7, label=label)
        for key, (label, color, marker) in FAMILIES.items()
        if key in present
    ]


def error_against_bytes(comparison):
    shown = [one for one in comparison.results if one.relative_error is not None]
    positive = [e for one in shown for e in (one.relative_error, one.feedback_error) if e]
    floor = min(positive, default=1e-3) / 3  # an error of zero has no place on a logarithmic axis: it goes to the edge
    height = lambda error: max(error, floor)  # noqa: E731

    figure, axes = plt.subplots(figsize=(11.4, 6.4), layout="constrained")
    axes.set(xscale="log", yscale="log", xlabel="Payload of one gradient (bytes)",
             ylabel="Relative error of one encode and decode")
    axes.grid(True, which="major")
    bytes_ = [one.payload_bytes for one in shown] or [1.0]
    axes.set_xlim(min(bytes_) / 2.2, max(bytes_) * 2.2)
    top = max([height(one.relative_error) for one in shown] + [floor * 10])
    axes.set_ylim(min([height(e) for e in positive] + [floor if len(positive) < 2 * len(shown) else top]) / 1.6, top * 2.2)

    obstacles = []
    for one in shown:
        x, y = one.payload_bytes, height(one.relative_error)
        if one.feedback_error is not None:
            z = height(one.feedback_error)
            axes.plot([x, x], [y, z], color=_color(one), linewidth=0.9, alpha=0.4, zorder=1.4)
            axes.plot(x, z, _marker(one), markersize=5, markerfacecolor="white", markeredgecolor=_color(one),
                      markeredgewidth=1.1, alpha=0.85, zorder=2)
            obstacles.append((x, z))
        axes.plot(x, y, _marker(one), color=_color(one), markersize=7.5, markeredgecolor="white",
                  markeredgewidth=0.6, zorder=3)
    axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.yaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())

    raw_bytes = 4 * comparison.environment["n"]
    above = axes.secondary_xaxis("top", functions=(lambda b: raw_bytes / _positive(b), lambda r: raw_bytes / _positive(r)))
    above.set_xlabel("Ratio: float32 bytes / payload bytes")
    above.xaxis.set_major_formatter(FuncFormatter(plain_number))
    above.xaxis.set_minor_formatter(NullFormatter())

    steps = comparison.environment["feedback_steps"]
    handles = _family_handles(shown)
    handles.append(Line2D([], [], color=INK, marker="o", linestyle="", markersize=5, markerfacecolor="white",
                          label=f"mean of {steps} steps with error feedback"))
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncol=len(handles), handletextpad=0.3,
                columnspacing=1.4)
    figure.canvas.draw()
    place(axes, [(one.payload_bytes, height(one.relative_error)) for one in shown], [one.name for one in shown],
          [_color(one) for one in shown], obstacles=obstacles)
    return _svg(figure)


def _positive(values):
    import numpy

    return numpy.maximum(numpy.asarray(values, dtype=float), 1e-12)


def _speed_axis(comparison):
    """Link speeds from left to right, wide enough for the links asked for and the break-even points near them."""
    speeds = [gbit for _, gbit in comparison.links]
    for one in comparison.results:
        speeds += [s for s in (one.beats_float32_below, one.beats_bf16_below) if 0 < s < math.inf]
    low = min(gbit for _, gbit in comparison.links) / 2
    high = max(gbit for _, gbit in comparison.links) * 2
    near = [s for s in speeds if low / 20 < s < high * 20]
    return min([low] + [s / 1.6 for s in near]), max([high] + [s * 1.6 for s in near])


def time_against_speed(comparison):
    low, high = _speed_axis(comparison)
    grid = [low * (high / low) ** (i / 160) for i in range(161)]
    figure, axes = plt.subplots(figsize=(11.4, 7.0))
    figure.subplots_adjust(left=0.07, right=0.735, top=0.93, bottom=0.155)
    axes.set(xscale="log", yscale="log", xlabel="Link speed (Gbit/s)", ylabel="Predicted time of one allreduce (ms)")
    axes.grid(True, which="major", axis="y")
    axes.set_xlim(low, high)
    for name, gbit in comparison.links:
        axes.axvline(gbit, color="#b8c4ce", linewidth=0.8, linestyle=(0, (2, 3)), zorder=0.5)
        axes.annotate(literal(name), (gbit, 1), xycoords=("data", "axes fraction"), xytext=(0, 4),
                      textcoords="offset points", ha="center", fontsize=8.5, color="#4a5a68")

    ends = []
    for one in comparison.results:
        axes.plot(grid, [one.milliseconds(s) for s in grid], color=_color(one), linewidth=1.2, alpha=0.75, zorder=2)
        ends.append((one.name, one.milliseconds(high), _color(one)))
        for limit, dense, filled in (
            (one.beats_float32_below, comparison.dense_float32, True),
            (one.beats_bf16_below, comparison.dense_bf16, False),
        ):
            if low < limit < high:
                axes.plot(limit, dense.milliseconds(limit), "o", markersize=6 if filled else 5.5, zorder=5,
                          markerfacecolor=_color(one) if filled else "white", markeredgecolor=_color(one),
                          markeredgewidth=1.2)
    for dense, style in ((comparison.dense_float32, "-"), (comparison.dense_bf16, (0, (5, 2)))):
        axes.plot(grid, [dense.milliseconds(s) for s in grid], color="black", linewidth=2.4, linestyle=style, zorder=4)
        ends.append((dense.name, dense.milliseconds(high), "black"))

    axes.yaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.xaxis.set_minor_formatter(NullFormatter())
    # Dense float32 has no codec and falls for ever: the axis ends a little below the compressors instead.
    bottom = min([ms for name, ms, _ in ends if name != comparison.dense_float32.name]) / 2.5
    top = max(comparison.dense_float32.milliseconds(low), *(one.milliseconds(low) for one in comparison.results)) * 1.3
    axes.set_ylim(bottom, top)
    float32 = comparison.dense_float32
    if float32.milliseconds(high) < bottom:
        ends.remove((float32.name, float32.milliseconds(high), "black"))
        leaves = float32.milliseconds(1.0) / bottom
        axes.annotate(float32.name, (leaves, bottom), xytext=(-16, 8), textcoords="offset points", ha="right", fontsize=8.2,
                      fontweight="bold", path_effects=HALO)
    fraction = lambda ms: (math.log(ms) - math.log(bottom)) / (math.log(top) - math.log(bottom))  # noqa: E731
    wanted = [fraction(max(ms, bottom)) for _, ms, _ in ends]
    for (name, _, color), at, to in zip(ends, wanted, spread(wanted, 0.031, 0.0, 1.0)):
        axes.plot([1.0, 1.015, 1.028], [at, to, to], transform=axes.transAxes, clip_on=False, color=color,
                  linewidth=0.7, alpha=0.8)
        axes.text(1.032, to, literal(name), transform=axes.transAxes, va="center", fontsize=8.2, color=color,
                  fontweight="bold" if color == "black" else "normal")
    handles = [
        Line2D([], [], color="black", linewidth=2.4, label="dense float32"),
        Line2D([], [], color="black", linewidth=2.4, linestyle=(0, (5, 2)), label="dense bf16"),
        Line2D([], [], color=INK, marker="o", linestyle="", markersize=6, label="break-even with dense float32"),
        Line2D([], [], color=INK, marker="o", linestyle="", markersize=5.5, markerfacecolor="white",
               label="break-even with dense bf16"),
    ]
    figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.06, 0.0), ncol=4)
    figure.legend(handles=_family_handles(comparison.results), loc="lower left", bbox_to_anchor=(0.06, 0.035),
                  ncol=6, handletextpad=0.3)
    return _svg(figure)


def break_even(comparison):
    low, high = _speed_axis(comparison)
    results = sorted(comparison.results, key=lambda one: (one.beats_bf16_below, one.beats_float32_below))
    figure, axes = plt.subplots(figsize=(11.4, 1.35 + 0.27 * len(results)), layout="constrained")
    axes.set(xscale="log", xlabel="Link speed up to which the compressor is the faster one (Gbit/s)")
    axes.set_xlim(low, high)
    axes.set_ylim(-0.7, len(results) - 0.3)
    for _, gbit in comparison.links:
        axes.axvline(gbit, color="#b8c4ce", linewidth=0.8, linestyle=(0, (2, 3)), zorder=0.5)
    clip = lambda speed: min(max(speed, low), high)  # noqa: E731
    for y, one in enumerate(results):
        color = _color(one)
        for limit, offset, filled in ((one.beats_float32_below, 0.14, True), (one.beats_bf16_below, -0.14, False)):
            alpha = 0.55 if filled else 0.25
            if limit > low:
                axes.plot([low, clip(limit)], [y + offset] * 2, color=color, linewidth=3.6, alpha=alpha,
                          solid_capstyle="butt", zorder=2)
            face = color if filled else "white"
            if low < limit < high:
                axes.plot(limit, y + offset, "o", markersize=5.5, markerfacecolor=face, markeredgecolor=color, zorder=3)
            elif limit >= high:
                axes.plot(high, y + offset, ">", markersize=6, markerfacecolor=face, markeredgecolor=color, zorder=3,
                          clip_on=False)
            else:
                axes.plot(low, y + offset, "x", markersize=5, color=color, zorder=3, clip_on=False)
    axes.set_yticks(range(len(results)), [literal(one.name) for one in results])
    for tick, one in zip(axes.get_yticklabels(), results):
        tick.set_color(_color(one))
        tick.set_fontsize(8.5)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.xaxis.set_minor_formatter(NullFormatter())
    handles = [
        Line2D([], [], color=INK, marker="o", linewidth=3.6, alpha=0.8, markersize=5.5, label="against dense float32"),
        Line2D([], [], color="#9aa5b0", marker="o", linewidth=3.6, markersize=5.5, markerfacecolor="white",
               markeredgecolor=INK, label="against dense bf16"),
        Line2D([], [], color=INK, marker=">", linestyle="", label="beyond the right edge, or always"),
        Line2D([], [], color=INK, marker="x", linestyle="", label="never, or below the left edge"),
    ]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.4, -0.55 / figure.get_figheight() * 1.35), ncol=4)
    return _svg(figure)


def gradient_distribution(comparison):
    figure, (bell, tail) = plt.subplots(1, 2, figsize=(11.4, 4.5), layout="constrained", width_ratios=(1.35, 1))
    shades = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8C6D00", "#56B4E9", "#555555", "#000000")
    limit = comparison.limit
    shown = comparison.distributions[:8]
    highest = 1
    for rank, one in enumerate(shown):
        bins = len(one.counts)
        edges = [limit * (2 * i / bins - 1) for i in range(bins + 1)]
        bell.stairs([c if c else math.nan for c in one.counts], edges, color=shades[rank], linewidth=1.1, alpha=0.85,
                    label=f"rank {rank}", baseline=0.5)
        highest = max([highest] + one.counts)
    rms = shown[0].rms
    width = 2 * limit / len(shown[0].counts)
    total = sum(shown[0].counts)
    if rms > 0:
        xs = [limit * (i / 300 - 1) for i in range(601)]
        normal = [total * width / (rms * math.sqrt(2 * math.pi)) * math.exp(-0.5 * (x / rms) ** 2) for x in xs]
        bell.plot(xs, normal, color="#4a5a68", linestyle=(0, (4, 2)), linewidth=1.3,
                  label="normal distribution of rank 0's RMS")
    bell.set(yscale="log", ylim=(0.6, highest * 6), xlabel="Value", ylabel="Values per bin")
    bell.yaxis.set_major_formatter(FuncFormatter(plain_number))
    bell.yaxis.set_major_locator(LogLocator(numticks=9))
    bell.yaxis.set_minor_locator(NullLocator())
    bell.grid(True, axis="y")
    bell.legend(loc="upper left", fontsize=8.2, ncol=2, columnspacing=1.0)
    bell.set_title("How often each value occurs", fontsize=10, loc="left")

    names, lasting = [], [pair[0] for pair in shown[0].abs_quantiles]
    for probability in lasting:
        names.append("largest" if probability >= 1 else f"{100 * probability:g} %")
    step = 0.8 / len(shown)
    for rank, one in enumerate(shown):
        if one.rms <= 0:
            continue
        heights = [value / one.rms for _, value in one.abs_quantiles]
        at = [i + (rank - (len(shown) - 1) / 2) * step for i in range(len(heights))]
        tail.plot(at, heights, "o", color=shades[rank], markersize=5, alpha=0.9)
    gauss = {0.5: 0.674, 0.9: 1.645, 0.99: 2.576, 0.999: 3.291, 0.9999: 3.891}
    places = [(i, gauss[p]) for i, p in enumerate(lasting) if p in gauss]
    tail.plot([p[0] for p in places], [p[1] for p in places], "_", color="#4a5a68", markersize=26, markeredgewidth=1.6,
              label="normal distribution")
    tail.set(yscale="log", ylabel="Multiple of the RMS", xlabel="This share of all |values| is smaller")
    tail.set_xticks(range(len(names)), names)
    tail.yaxis.set_major_formatter(FuncFormatter(plain_number))
    tail.yaxis.set_minor_formatter(NullFormatter())
    tail.grid(True, axis="y")
    tail.legend(loc="upper left", fontsize=8.2)
    tail.set_title("How far the tail reaches", fontsize=10, loc="left")
    return _svg(figure)
