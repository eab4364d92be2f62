"""The report's plots, each as SVG text, for a wide page or a narrow one."""

import math

from drawing import (FAINT, GUIDE, INK, PAPER, SOFT, STRONG, Size, color, family_handles, hollow_handle, legend_below, marker, plain_axis, plt,
                     svg)
from labels import literal, place, spread
from matplotlib.lines import Line2D

WIDE = 11.4
NARROW = 4.2


def _scatter(size, comparison, xs, xlabel):
    """Errors, one filled mark for each compressor and a hollow one with feedback, against what `xs` says of each."""
    shown = [one for one in comparison.results if one.relative_error is not None]
    positive = [e for one in shown for e in (one.relative_error, one.feedback_error) if e]
    floor = min(positive, default=1e-3) / 3  # an error of zero has no place on a logarithmic axis: it goes to the edge
    height = lambda error: max(error, floor)  # noqa: E731

    figure, axes = size.figure((WIDE, 6.4), (NARROW, 6.2))
    figure.subplots_adjust(**({"left": 0.21, "right": 0.92, "bottom": 0.22, "top": 0.98} if size.narrow else
                              {"left": 0.075, "right": 0.965, "bottom": 0.15, "top": 0.98}))
    axes.set(xscale="log", yscale="log", xlabel=xlabel, ylabel="Relative error of one encode and decode")
    axes.grid(True, which="major")
    places = [xs(one) for one in shown] or [1.0]
    axes.set_xlim(min(places) / 2.2, max(places) * 2.2)
    top = max([height(one.relative_error) for one in shown] + [floor * 10])
    axes.set_ylim(min([height(e) for e in positive] + [floor if len(positive) < 2 * len(shown) else top]) / 1.6, top * 2.2)

    obstacles = []
    for one in shown:
        x, y = xs(one), height(one.relative_error)
        if one.feedback_error is not None:
            z = height(one.feedback_error)
            axes.plot([x, x], [y, z], color=color(one), linewidth=0.9, alpha=0.45, zorder=1.4)
            axes.plot(x, z, marker(one), markersize=size.marks(5), markerfacecolor=PAPER, markeredgecolor=color(one),
                      markeredgewidth=1.1, alpha=0.85, zorder=2)
            obstacles.append((x, z))
        axes.plot(x, y, marker(one), color=color(one), markersize=size.marks(7.5), markeredgecolor=PAPER,
                  markeredgewidth=0.6, zorder=3)

    def finish():
        plain_axis(axes.xaxis)
        plain_axis(axes.yaxis)
        legend_below(axes, size, family_handles(shown) + [hollow_handle(comparison.environment["feedback_steps"])], 7)
        numbers = {id(one): i + 1 for i, one in enumerate(comparison.results)}
        place(axes, [(xs(one), height(one.relative_error)) for one in shown],
              [size.label(numbers[id(one)], one.name) for one in shown], [color(one) for one in shown], obstacles=obstacles,
              size=9 if size.narrow else 8)

    return figure, axes, finish


def error_against_bytes(comparison, size):
    figure, axes, finish = _scatter(size, comparison, lambda one: one.payload_bytes, "Payload of one gradient (bytes)")
    figure.subplots_adjust(top=0.9)  # for a second axis
    raw_bytes = comparison.environment["value_bytes"] * comparison.environment["n"]
    ratio = lambda b: raw_bytes / _positive(b)  # noqa: E731
    above = axes.secondary_xaxis("top", functions=(ratio, ratio))
    above.set_xlabel("Ratio: bytes of the input / payload bytes")
    above.set_xlim(*ratio(axes.get_xlim()))
    plain_axis(above.xaxis)
    finish()
    return svg(figure, f"bytes-{size.suffix}")


def error_against_time(comparison, size, index):
    """On one link: what is right of the nearer line is slower than sending everything."""
    name, gbit = comparison.links[index]
    figure, axes, finish = _scatter(size, comparison, lambda one: one.predicted_ms[index],
                                    f"Predicted time of one allreduce at {literal(name)} (ms)")
    references = [(one, one.milliseconds(gbit)) for one in (comparison.dense_float32, comparison.dense_half)]
    references = [(one, ms) for one, ms in references if ms > 0]  # one rank sends nothing
    if references:
        low, high = axes.get_xlim()
        first, last = min(ms for _, ms in references), max(ms for _, ms in references)
        axes.set_xlim(min(low, first / 1.6), max(high, last * 1.6))
        axes.axvspan(first, axes.get_xlim()[1], color=FAINT, alpha=0.45, linewidth=0, zorder=0.2)
        for one, ms in references:
            axes.axvline(ms, color=STRONG, linewidth=1.8, linestyle="-" if one is comparison.dense_float32 else (0, (5, 2)),
                         zorder=1)
            axes.annotate(one.name, (ms, 0), xycoords=("data", "axes fraction"), xytext=(-4, 6), textcoords="offset points",
                          rotation=90, ha="right", va="bottom", fontsize=8.5, color=STRONG, fontweight="bold")
    finish()
    return svg(figure, f"time{index}-{size.suffix}")


def _positive(values):
    import numpy

    return numpy.maximum(numpy.asarray(values, dtype=float), 1e-12)


def _speed_axis(comparison):
    """Link speeds from left to right, wide enough for the links asked for and the break-even points near them."""
    speeds = [gbit for _, gbit in comparison.links]
    for one in comparison.results:
        speeds += [s for s in (one.beats_float32_below, one.beats_half_below) if 0 < s < math.inf]
    low = min(gbit for _, gbit in comparison.links) / 2
    high = max(gbit for _, gbit in comparison.links) * 2
    near = [s for s in speeds if low / 20 < s < high * 20]
    return min([low] + [s / 1.6 for s in near]), max([high] + [s * 1.6 for s in near])


def _guides(axes, comparison, named):
    for name, gbit in comparison.links:
        axes.axvline(gbit, color=GUIDE, linewidth=0.8, linestyle=(0, (2, 3)), zorder=0.5)
        if named:
            axes.annotate(literal(name), (gbit, 1), xycoords=("data", "axes fraction"), xytext=(0, 4),
                          textcoords="offset points", ha="center", fontsize=8.5, color=SOFT)


def time_against_speed(comparison, size):
    low, high = _speed_axis(comparison)
    grid = [low * (high / low) ** (i / 80) for i in range(81)]
    figure, axes = size.figure((WIDE, 7.0), (NARROW, 6.6))
    if size.narrow:
        figure.subplots_adjust(left=0.16, right=0.86, top=0.95, bottom=0.24)
    else:
        figure.subplots_adjust(left=0.07, right=0.735, top=0.93, bottom=0.155)
    axes.set(xscale="log", yscale="log", xlabel="Link speed (Gbit/s)", ylabel="Predicted time of one allreduce (ms)")
    axes.grid(True, which="major", axis="y")
    axes.set_xlim(low, high)
    _guides(axes, comparison, not size.narrow)

    half = comparison.dense_half
    ends = []
    for number, one in enumerate(comparison.results, 1):
        axes.plot(grid, [one.milliseconds(s) for s in grid], color=color(one), linewidth=1.2, alpha=0.8, zorder=2)
        ends.append((size.label(number, one.name), one.milliseconds(high), color(one)))
        for limit, dense, filled in (
            (one.beats_float32_below, comparison.dense_float32, True),
            (one.beats_half_below, half, False),
        ):
            if low < limit < high:
                axes.plot(limit, dense.milliseconds(limit), "o", markersize=size.marks(6 if filled else 5.5), zorder=5,
                          markerfacecolor=color(one) if filled else PAPER, markeredgecolor=color(one), markeredgewidth=1.2)
    dense_lines = [(comparison.dense_float32, "-"), (half, (0, (5, 2)))]
    for dense, style in dense_lines:
        axes.plot(grid, [dense.milliseconds(s) for s in grid], color=STRONG, linewidth=2.4, linestyle=style, zorder=4)
    # What has no codec falls for ever: the axis ends a little below the compressors instead.
    bottom = min(ms for _, ms, _ in ends) / 2.5
    dense_top = [dense.milliseconds(low) for dense, _ in dense_lines]
    top = max(*dense_top, *(one.milliseconds(low) for one in comparison.results)) * 1.3
    axes.set_ylim(bottom, top)
    plain_axis(axes.yaxis)
    plain_axis(axes.xaxis)
    for dense, _ in dense_lines:
        if dense.milliseconds(high) >= bottom:
            ends.append(("bf16" if size.narrow and dense is half else dense.name, dense.milliseconds(high), STRONG))
    fraction = lambda ms: (math.log(ms) - math.log(bottom)) / (math.log(top) - math.log(bottom))  # noqa: E731
    wanted = [fraction(max(ms, bottom)) for _, ms, _ in ends]
    for (name, _, shade), at, to in zip(ends, wanted, spread(wanted, 0.031, 0.0, 1.0)):
        axes.plot([1.0, 1.015, 1.028], [at, to, to], transform=axes.transAxes, clip_on=False, color=shade,
                  linewidth=0.7, alpha=0.8)
        axes.text(1.032, to, literal(name), transform=axes.transAxes, va="center", fontsize=8.2, color=shade,
                  fontweight="bold" if shade == STRONG else "normal")
    handles = [
        Line2D([], [], color=STRONG, linewidth=2.4, label="dense float32"),
        Line2D([], [], color=STRONG, linewidth=2.4, linestyle=(0, (5, 2)), label=half.name),
        Line2D([], [], color=INK, marker="o", linestyle="", markersize=6, label="as fast as dense float32"),
        Line2D([], [], color=INK, marker="o", linestyle="", markersize=5.5, markerfacecolor=PAPER, markeredgecolor=INK,
               label=f"as fast as {half.name}"),
    ]
    families = family_handles(comparison.results)
    if size.narrow:
        figure.legend(handles=handles + families, loc="lower left", bbox_to_anchor=(0.0, 0.0), ncol=2, fontsize=8,
                      columnspacing=1.0, handletextpad=0.4)
    else:
        figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.06, 0.0), ncol=4)
        figure.legend(handles=families, loc="lower left", bbox_to_anchor=(0.06, 0.035), ncol=6, handletextpad=0.3)
    return svg(figure, f"speed-{size.suffix}")


def break_even(comparison, size):
    low, high = _speed_axis(comparison)
    half = comparison.dense_half
    results = sorted(comparison.results, key=lambda one: (one.beats_half_below, one.beats_float32_below))
    rows = len(results)
    figure, axes = size.figure((WIDE, 1.35 + 0.27 * rows), (NARROW, 2.0 + 0.42 * rows), layout="constrained")
    axes.set(xscale="log", xlabel="Faster up to a link of (Gbit/s)")
    axes.set_xlim(low, high)
    axes.set_ylim(-0.7, rows - 0.3)
    _guides(axes, comparison, False)
    clip = lambda speed: min(max(speed, low), high)  # noqa: E731
    middle = -0.15 if size.narrow else 0.0  # on a narrow page names stand above their bars
    for y, one in enumerate(results):
        shade = color(one)
        for limit, offset, filled in ((one.beats_float32_below, 0.14, True), (one.beats_half_below, -0.14, False)):
            if limit > low:
                axes.plot([low, clip(limit)], [y + middle + offset] * 2, color=shade, linewidth=3.6,
                          alpha=0.6 if filled else 0.3, solid_capstyle="butt", zorder=2)
            face = shade if filled else PAPER
            at, mark = (limit, "o") if low < limit < high else (high, ">") if limit >= high else (low, "x")
            axes.plot(at, y + middle + offset, mark, markersize=5.5, color=shade, markerfacecolor=face, markeredgecolor=shade,
                      zorder=3, clip_on=False)
    if size.narrow:
        axes.set_yticks([])
        for y, one in enumerate(results):
            axes.annotate(literal(one.name), (0, y + 0.22), xycoords=("axes fraction", "data"), xytext=(6, 0),
                          textcoords="offset points", va="center", fontsize=8.5, color=color(one), zorder=4)
    else:
        axes.set_yticks(range(rows), [literal(one.name) for one in results])
        for tick, one in zip(axes.get_yticklabels(), results):
            tick.set_color(color(one))
            tick.set_fontsize(8.5)
    axes.tick_params(axis="y", length=0)
    plain_axis(axes.xaxis)
    legend_below(axes, size, [
        Line2D([], [], color=INK, marker="o", linewidth=3.6, alpha=0.8, markersize=5.5, label="against dense float32"),
        Line2D([], [], color=GUIDE, marker="o", linewidth=3.6, markersize=5.5, markerfacecolor=PAPER,
               markeredgecolor=INK, label=f"against {half.name}"),
        Line2D([], [], color=INK, marker=">", linestyle="", label="beyond the right edge, or always"),
        Line2D([], [], color=INK, marker="x", linestyle="", label="never, or below the left edge"),
    ], 4)
    return svg(figure, f"break-{size.suffix}")


RANK_SHADES = ("#0072b2", "#c65600", "#00835f", "#b0568a", "#8c6d00", "#555555", SOFT, INK)


def gradient_distribution(comparison, size):
    shape = {"nrows": 2} if size.narrow else {"ncols": 2, "width_ratios": (1.35, 1)}
    figure, (bell, tail) = size.figure((WIDE, 4.5), (NARROW, 7.4), layout="constrained", **shape)
    limit = comparison.limit
    shown = comparison.distributions[: len(RANK_SHADES)]
    highest = 1
    for rank, one in enumerate(shown):
        bins = len(one.counts)
        edges = [limit * (2 * i / bins - 1) for i in range(bins + 1)]
        bell.stairs([c if c else math.nan for c in one.counts], edges, color=RANK_SHADES[rank], linewidth=1.1, alpha=0.85,
                    label=f"rank {rank}", baseline=0.5)
        highest = max([highest] + one.counts)
    rms = shown[0].rms
    width = 2 * limit / len(shown[0].counts)
    total = sum(shown[0].counts)
    if rms > 0:
        xs = [limit * (i / 150 - 1) for i in range(301)]
        normal = [total * width / (rms * math.sqrt(2 * math.pi)) * math.exp(-0.5 * (x / rms) ** 2) for x in xs]
        bell.plot(xs, normal, color=SOFT, linestyle=(0, (4, 2)), linewidth=1.3, label="normal, of rank 0's RMS")
    bell.set(yscale="log", ylim=(0.6, highest * (40 if size.narrow else 6)), xlabel="Value", ylabel="Values per bin")
    bell.xaxis.set_major_locator(plt.MaxNLocator(5))
    plain_axis(bell.yaxis)
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
        tail.plot(at, heights, "o", color=RANK_SHADES[rank], markersize=size.marks(5), alpha=0.9)
    gauss = {0.5: 0.674, 0.9: 1.645, 0.99: 2.576, 0.999: 3.291, 0.9999: 3.891}
    places = [(i, gauss[p]) for i, p in enumerate(lasting) if p in gauss]
    tail.plot([p[0] for p in places], [p[1] for p in places], "_", color=SOFT, markersize=26 if not size.narrow else 18,
              markeredgewidth=1.6, label="normal distribution")
    tail.set(yscale="log", ylabel="Multiple of the RMS", xlabel="This share of all |values| is smaller")
    tail.set_xticks(range(len(names)), names, fontsize=8 if size.narrow else 9.5)
    plain_axis(tail.yaxis)
    tail.grid(True, axis="y")
    tail.legend(loc="upper left", fontsize=8.2)
    tail.set_title("How far the tail reaches", fontsize=10, loc="left")
    return svg(figure, f"values-{size.suffix}")


def draw_all(comparison):
    """Name of a plot -> what it looks like on a wide page and on a narrow one."""
    links = list(range(len(comparison.links)))
    shown = sorted({comparison.chosen, *[i for i in links if i != comparison.chosen][:3]})
    plots = {
        "error": error_against_bytes,
        **{f"time{i}": lambda all_, size, i=i: error_against_time(all_, size, i) for i in shown},
        "speed": time_against_speed,
        "break_even": break_even,
        "distribution": gradient_distribution,
    }
    return {name: tuple(draw(comparison, Size(narrow)) for narrow in (False, True)) for name, draw in plots.items()}
