"""The network's plots, as matplotlib figures: gain per compressor and rate, error against time."""

from drawing import FAINT, GUIDE, INK, PAPER, STRONG, color, family_handles, legend_below, marker, plain_axis
from labels import literal, place
from matplotlib.lines import Line2D
from network import significant

WIDE = 11.4
NARROW = 4.2
# One mark and one shade of ink per rate, from the slowest on.
RATE_MARKS = ("o", "s", "^", "D", "v")


def gains(network, size):
    """One line per compressor, the largest gain on top; one mark per rate."""
    middle = network.middle()
    order = {label: 0.0 for label in network.labels()}
    for rate in network.rates:  # what was not measured at the middle rate goes by another one
        for one in rate.results:
            if rate is middle or not order[one.label]:
                order[one.label] = rate.gain(one)
    labels = sorted(order, key=lambda label: order[label])
    rows = len(labels)
    figure, axes = size.figure((WIDE, 1.3 + 0.24 * rows), (NARROW, 1.9 + 0.4 * rows), layout="constrained")
    axes.set(xscale="log", xlabel="Gain over the fastest dense float32 allreduce of Open MPI at the same rate")
    if size.narrow:
        axes.set_xlabel("Gain over Open MPI's fastest dense float32")
    every = [rate.gain(one) for rate in network.rates for one in rate.results] + [
        rate.gain(rate.fastest("bf16")) for rate in network.rates] or [1.0]
    axes.set_xlim(min(every + [1.0]) / 1.25, max(every + [2.0]) * 1.25)
    axes.set_ylim(-0.8, rows - 0.2)
    axes.grid(True, axis="x", which="major")
    axes.axvline(1, color=STRONG, linewidth=1.8, zorder=1)
    at = {label: y for y, label in enumerate(labels)}
    middle_of_row = -0.15 if size.narrow else 0.0  # on a narrow page names stand above their marks
    for y in range(rows):
        axes.axhline(y + middle_of_row, color=FAINT, linewidth=0.7, zorder=0.4)
    for mark, rate in zip(RATE_MARKS, network.rates):
        axes.axvline(rate.gain(rate.fastest("bf16")), color=GUIDE, linewidth=1.0, linestyle=(0, (2, 3)), zorder=0.6)
        for one in rate.results:
            axes.plot(rate.gain(one), at[one.label] + middle_of_row, mark, color=color(one), markersize=size.marks(6.5 if rate is middle else 5.5),
                      markerfacecolor=color(one) if rate is middle else PAPER, markeredgecolor=color(one), zorder=3)
    by_label = {one.label: one for rate in network.rates for one in rate.results}
    if size.narrow:
        axes.set_yticks([])
        for label, y in at.items():
            axes.annotate(literal(label), (0, y + 0.22), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
                          va="center", fontsize=8, color=color(by_label[label]), zorder=4)
    else:
        axes.set_yticks(range(rows), [literal(label) for label in labels])
        for tick, label in zip(axes.get_yticklabels(), labels):
            tick.set_color(color(by_label[label]))
            tick.set_fontsize(8.5)
    axes.tick_params(axis="y", length=0)
    plain_axis(axes.xaxis)
    handles = [Line2D([], [], color=INK, marker=mark, linestyle="", markersize=6, markerfacecolor=INK if rate is middle else PAPER,
                      label=rate.name) for mark, rate in zip(RATE_MARKS, network.rates)]
    handles.append(Line2D([], [], color=GUIDE, linewidth=1.2, linestyle=(0, (2, 3)), label="Open MPI's bf16, each rate"))
    legend_below(axes, size, handles, 5)
    return figure


def error_against_time(rate, size):
    """Down and to the left is better; what is right of the solid line is slower than dense."""
    figure, axes = size.figure((WIDE, 6.4), (NARROW, 6.2))
    figure.subplots_adjust(**({"left": 0.21, "right": 0.92, "bottom": 0.22, "top": 0.98} if size.narrow else
                              {"left": 0.075, "right": 0.965, "bottom": 0.15, "top": 0.98}))
    axes.set(xscale="log", yscale="log", xlabel=f"Time of one allreduce at {rate.name} (ms)", ylabel="Relative error of one allreduce")
    axes.grid(True, which="major")
    shown = [one for one in rate.results if one.relative_error is not None]
    floor = min((one.relative_error for one in shown if one.relative_error), default=1e-3) / 3
    points = [(one.ms, max(one.relative_error, floor)) for one in shown] or [(1.0, 1.0)]
    dense = [(rate.fastest("float32"), "-"), (rate.fastest("bf16"), (0, (5, 2)))]
    times = [x for x, _ in points] + [one.ms for one, _ in dense]
    axes.set_xlim(min(times) / 1.5, max(times) * 1.5)
    axes.set_ylim(min(y for _, y in points) / 1.8, max(y for _, y in points) * 2.2)
    axes.axvspan(min(one.ms for one, _ in dense), axes.get_xlim()[1], color=FAINT, alpha=0.45, linewidth=0, zorder=0.2)
    for one, style in dense:
        axes.axvline(one.ms, color=STRONG, linewidth=1.8, linestyle=style, zorder=1)
        axes.annotate(f"Open MPI {one.type}, {significant(one.ms)} ms", (one.ms, 0), xycoords=("data", "axes fraction"), xytext=(4, 6),
                      textcoords="offset points", rotation=90, ha="left", va="bottom", fontsize=8.5, color=STRONG, fontweight="bold")
    for one, (x, y) in zip(shown, points):
        axes.plot(x, y, marker(one), color=color(one), markersize=size.marks(7.5), markerfacecolor=PAPER if one.feedback else color(one),
                  markeredgecolor=color(one) if one.feedback else PAPER, markeredgewidth=1.1 if one.feedback else 0.6, zorder=3)
    plain_axis(axes.xaxis)
    plain_axis(axes.yaxis)
    handles = family_handles(shown) + [Line2D([], [], color=INK, marker="o", linestyle="", markersize=5, markerfacecolor=PAPER,
                                              markeredgecolor=INK, label="with error feedback")]
    legend_below(axes, size, handles, 7)
    # With feedback, the first call has the error of the call without: one name for both, at the faster mark.
    named = {}
    for number, (one, point) in enumerate(zip(shown, points), 1):
        if one.name not in named or point[0] < named[one.name][1][0]:
            named[one.name] = (number, point, one)
    place(axes, [point for _, point, _ in named.values()], [size.label(number, one.name) for number, _, one in named.values()],
          [color(one) for _, _, one in named.values()], obstacles=points, size=9 if size.narrow else 7.6)
    return figure
