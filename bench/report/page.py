"""The report as one HTML file without anything outside of itself."""

import html
import math

from drawing import gbit_text
from families import FAMILIES, family_of
from page_parts import breakable as _breakable
from page_parts import cell as _cell
from page_parts import code as _code
from page_parts import document
from page_parts import number as _number
from page_parts import picture as _picture
from page_parts import section as _section
from page_parts import swatch as _swatch
from page_parts import table as _table
from page_parts import three_digits


def _limit(speed):
    if speed == 0:
        return "never"
    return "always" if math.isinf(speed) else three_digits(speed)


def _key(comparison, is_open=False):
    """What the numbers in the narrow plots stand for."""
    names = "".join(f'<li style="color: var(--{family_of(one.name)})">{_breakable(one.name)}</li>' for one in comparison.results)
    return f'<details class="narrow"{" open" if is_open else ""}><summary>What the numbers stand for</summary><ol class="key">{names}</ol></details>'


def _percent(error):
    return "unknown" if error is None else f"{three_digits(100 * error)} %"


def _gain(comparison, index, most_error=math.inf):
    """A headline with its error beside it, or nothing where dense wins."""
    found = comparison.fastest(index, most_error)
    if found is None or found[1] < 1.01:  # no news
        return None
    one, gain = found
    more = f", {_percent(one.feedback_error)} with feedback" if one.feedback_error is not None else ""
    name, _ = comparison.links[index]
    bound = "" if math.isinf(most_error) else f", the fastest of at most {_percent(most_error)} error"
    return one, (f"{three_digits(gain)} × faster", f"{_percent(one.relative_error)} error{more}",
                 f"than the best dense allreduce at {html.escape(name)}{bound}: {_code(one.name)}")


def _tiles(comparison):
    """A number, what must be read with it, and what it is."""
    where = comparison.environment
    tiles, told = [], set()
    for index, bound in ((comparison.chosen, math.inf), (comparison.chosen, 0.05), (len(comparison.links) - 1, math.inf)):
        found = _gain(comparison, index, bound)
        if found and (found[0].name, index) not in told:
            told.add((found[0].name, index))
            tiles.append(found[1])
    smallest = max(comparison.results, key=lambda one: one.ratio)
    if smallest.ratio > 1:
        tiles.append((f"{three_digits(smallest.ratio)} : 1", f"{_percent(smallest.relative_error)} error",
                      f"is the highest ratio: {_code(smallest.name)}"))
    first = comparison.distributions[0]
    if first.rms > 0:
        tiles.append((f"{three_digits(first.max_abs / first.rms)} × RMS", f"kurtosis {three_digits(first.kurtosis)} (normal: 3)",
                      f"is the largest of rank 0's {where['n']:,} values"))
    cells = "".join(f'<div class="tile"><b>{value}</b><em>{beside}</em><span>{text}</span></div>' for value, beside, text in tiles)
    return f'<div class="tiles">{cells}</div>{_where_dense_wins(comparison)}'


def _where_dense_wins(comparison):
    lost = [i for i in range(len(comparison.links)) if comparison.fastest(i) is None]
    if not lost:
        return ""
    names = html.escape(", ".join(comparison.links[i][0] for i in lost))
    return f"<p>At {names} dense wins: no compressor here is faster than the best dense allreduce.</p>"


def _noise(comparison):
    """What the run's yardstick says about the machine."""
    what = "copy on the device" if comparison.on_device else "read"
    return (f"Spread of the {what} over the run, (highest - lowest) / median: {100 * comparison.spread:.0f} % "
            f"({three_digits(comparison.least_gbps)} to {three_digits(comparison.most_gbps)} GB/s)")


def _notice(comparison):
    if comparison.quiet:
        return ""
    return (f'<p class="notice">The machine was not quiet: other work ran on it. {_noise(comparison)}. Do not compare '
            "times and speeds below with each other; errors and bytes are exact.</p>")


def _filter(comparison):
    """Shown by the page's script, which knows what to do with it."""
    present = [key for key in FAMILIES if key in {family_of(one.name) for one in comparison.results}]
    chips = "".join(
        f'<label><input type="checkbox" checked value="{key}"><span class="swatch" style="background: var(--{key})"></span>'
        f"{FAMILIES[key][0]}</label>" for key in present)
    return f'<fieldset class="filter" hidden><legend>Show</legend>{chips}</fieldset>'


def _row(one, cells):
    kind = family_of(one.name)
    return f'<tr data-kind="{kind}"><td>{_swatch(kind)}{_breakable(one.name)}</td>{"".join(cells)}</tr>'


def _fidelity_table(comparison):
    head = (
        "<tr><th>compressor</th><th>payload<br>bytes</th><th>ratio</th><th>relative<br>error</th><th>cosine</th>"
        f"<th>error, mean of<br>{comparison.environment['feedback_steps']} steps with feedback</th>"
        "<th>allreduce<br>error</th><th>allreduce<br>strategy</th><th>bytes sent<br>per rank</th></tr>"
    )
    rows = [
        _row(one, [_cell(f"{one.payload_bytes:,.0f}", one.payload_bytes), _number(one.ratio), _number(one.relative_error),
                   _cell("–" if one.cosine is None else f"{one.cosine:.4f}", one.cosine), _number(one.feedback_error),
                   _number(one.allreduce_error), f"<td>{html.escape(one.strategy)}</td>",
                   _cell(f"{one.allreduce_bytes:,.0f}", one.allreduce_bytes)])
        for one in comparison.results
    ]
    return _table(head, rows)


def _right(yes):
    return "yes" if yes else "<b>NO</b>"


def _warning(comparison, one):
    """Ranks that do not agree are shouted about."""
    return " <b>ranks differ</b>" if comparison.on_device and not one.ranks_agree_on_device else ""


def _machine(where):
    """Where the speeds were measured."""
    host = f"{where['cpu']} ({where['threads']} of {where['cores']} cores, {where['instruction_set']}, {where['compiler']})"
    if "gpu" not in where:
        return host
    return f"{where['gpu']} (CUDA runtime {where['cuda_runtime']}, driver {where['cuda_driver']}); errors on {host}"


def _words_on_cost(comparison, mib):
    if comparison.on_device:
        return (
            f"<p>Speeds count float32 bytes of the input, repeated to {mib:.0f} MiB per rank, in the GPU's memory. <b>Of copy</b>: the "
            "bytes that a pass must move (values on one side, payload on the other) per second, as a share of the bytes per second that a copy of "
            "the values on the device reads and writes. <b>Same as on the host</b>: the GPU's payload and decoded values have the "
            f"host's bits. <b>In memory</b>: all {comparison.environment['ranks']} ranks as threads of one process that share this "
            "GPU. <b>Predicted</b>: the time that one rank computes, alone on its GPU, plus the bytes that it sends divided by the speed of the "
            "link; bold: the fastest compressor at that speed, if it is faster than dense. The last columns: the link speed up to "
            "which a compressor is faster than that dense allreduce.</p>"
        )
    return (
        f"<p>Speeds count float32 bytes of the input, repeated to {mib:.0f} MiB per rank. <b>Encode / read</b> compares encoding with "
        f"reading that array. <b>In memory</b>: all {comparison.environment['ranks']} ranks as threads of this one process. "
        "<b>Predicted</b>: the time that one rank computes, alone with its threads, plus the bytes that it sends divided by the speed of the link; "
        "bold: the fastest compressor at that speed, if it is faster than dense. The last columns: the link speed up to which a "
        "compressor is faster than that dense allreduce.</p>"
    )


def _yardsticks(comparison):
    if comparison.on_device:
        return (
            f"Yardstick in the same run: a copy on the device, {three_digits(comparison.copy_gbps)} GB/s (1 GB = 10<sup>9</sup> bytes, "
            f"read and written). {_noise(comparison)}"
        )
    return (
        f"Yardsticks in the same run, with the same threads: reading {three_digits(comparison.read_gbps)} GB/s, copying "
        f"{three_digits(comparison.copy_gbps)} GB/s (1 GB = 10<sup>9</sup> bytes of the array). {_noise(comparison)}"
    )


def _speed_table(comparison):
    links = "".join(f"<th>{html.escape(name)}</th>" for name, _ in comparison.links)
    count = len(comparison.links)
    own = ["encode<br>GB/s", "decode<br>GB/s", "encode<br>/ read"]
    if comparison.on_device:
        own = ["encode<br>GB/s", "decode<br>GB/s", "encode<br>of copy", "decode<br>of copy", "same as<br>on the host"]
    head = (
        f'<tr><th></th><th class="group" colspan="{len(own)}">codec, one rank</th><th class="group">allreduce</th>'
        f'<th class="group" colspan="{count}">predicted ms of an allreduce at</th>'
        '<th class="group" colspan="2">faster than, below Gbit/s</th></tr>'
        f"<tr><th>compressor</th>{''.join(f'<th>{name}</th>' for name in own)}"
        f"<th>in memory<br>ms</th>{links}<th>dense<br>float32</th><th>dense<br>{comparison.dense_half.name.split()[-1]}</th></tr>"
    )
    rows = []
    for dense in (comparison.dense_float32, comparison.dense_half):
        times = "".join(_number(dense.milliseconds(gbit)) for _, gbit in comparison.links)
        blank = '<td data-v=""></td>'
        rows.append(f'<tr class="dense"><td>{html.escape(dense.name)}</td>{blank * (len(own) + 1)}{times}{blank * 2}</tr>')
    best = [comparison.fastest(i) for i in range(count)]
    for one in comparison.results:
        times = [_cell(f"<b>{three_digits(ms)}</b>" if found and found[0] is one else three_digits(ms), ms)
                 for ms, found in zip(one.predicted_ms, best)]
        held = [_number(one.encode_of_yardstick)]
        if comparison.on_device:
            held += [_number(one.decode_of_yardstick), _cell(_right(one.same_as_host), one.same_as_host)]
        rows.append(_row(one, [_number(one.encode_gbps), _number(one.decode_gbps), *held,
                               _cell(three_digits(one.allreduce_ms) + _warning(comparison, one), one.allreduce_ms), *times,
                               _cell(_limit(one.beats_float32_below), one.beats_float32_below),
                               _cell(_limit(one.beats_half_below), one.beats_half_below)]))
    return _table(head, rows)


def _words_on(distribution):
    if distribution.kurtosis > 4.5:
        return (
            "<p>Most values are tiny and a few are very large: far more of them than a normal distribution of the same size "
            "would have (dashed). This is why sending the largest values keeps much of a gradient, and why a scale per block "
            "beats one for the whole tensor.</p>"
        )
    return (
        "<p>The values lie about as a normal distribution of the same size would (dashed). With so few large ones, sending "
        "only the largest values keeps little of such a gradient; quantizers suit it better.</p>"
    )


def _dense_half_words(comparison):
    if comparison.dense_half.name == "dense float16":
        return "Dense float16 sends the file's values as they are."
    return "Dense bf16 halves the bytes for the price of two casts, which are measured."


def _time_plots(comparison, pictures):
    """One link at a time; the page's script lets its reader choose another."""
    shown = [i for i in range(len(comparison.links)) if f"time{i}" in pictures]
    options = "".join(f'<option value="{i}"{" selected" if i == comparison.chosen else ""}>{html.escape(comparison.links[i][0])}'
                      "</option>" for i in shown)
    chooser = f'<p class="choose" hidden><label>Link <select>{options}</select></label></p>' if len(shown) > 1 else ""
    plots = "".join(
        f'<div class="on-link" data-link="{i}"{"" if i == comparison.chosen else " hidden"}>'
        + _picture(pictures[f"time{i}"], f"Relative error against predicted time at {comparison.links[i][0]}, both logarithmic.")
        + "</div>" for i in shown)
    return chooser + plots + _key(comparison, is_open=True)


def build(comparison, pictures):
    where = {key: html.escape(value) if isinstance(value, str) else value for key, value in comparison.environment.items()}
    mib = where["n_timed"] * 4 / 2**20
    header = (
        "<header><h1>What compressing gradients costs and saves</h1>"
        f"<p>Input {_code(comparison.environment['input'])}: {where['input_read_as']} Measured with ccomp {where['ccomp']} on {_machine(where)}, {where['date']}.</p>{_notice(comparison)}{_tiles(comparison)}</header>"
    )
    links = html.escape(", ".join(gbit_text(gbit) for _, gbit in comparison.links))
    parts = [
        _section(
            "What arrives", f"<p>A <b>ratio</b> of 8 sends an eighth of the input's bytes, {where['value_bytes']} per value. A <b>relative error</b> of 0.01 "
            "means that what arrives differs from the gradient by 1 % of its length; 1 is as far off as sending zeros. With "
            "<b>error feedback</b> each step adds what the last one left out, so the mean over steps comes closer to the "
            "gradient than one step: this is what training feels (a dash: "
            "the library refuses feedback for this compressor). The <b>allreduce error</b> is that of the sum over all "
            "ranks, against a sum in float64. All of the input as given.</p>",
            _filter(comparison) + _fidelity_table(comparison)),
        _section(
            "What it costs", _words_on_cost(comparison, mib), _filter(comparison) + _speed_table(comparison)),
        _section(
            "Error against time", "<p>Down and to the left is better: a faster allreduce, a smaller error. What lies in the "
            "shaded part is slower than sending the values as they are (the thick lines). Filled: one encode and decode; hollow: "
            "the mean of steps with error feedback.</p>", _time_plots(comparison, pictures)),
        _section(
            "Error against bytes", "<p>Down and to the left is better: fewer bytes, smaller error. A filled mark is one "
            "encode and decode of rank 0's gradient. A line joins it to the hollow mark, the same compressor with error "
            "feedback: what is left out is not lost, only late.</p>",
            _picture(pictures["error"], "Scatter plot of relative error against payload bytes, both logarithmic.", _key(comparison))),
        _section(
            "Time against link speed", f"<p>One allreduce of {mib:.0f} MiB per rank over {where['ranks']} ranks, predicted as "
            "the measured work of one rank (encode, decode and sum) plus the bytes it sends divided by the link's speed (marked: "
            f"{links}). On a slow link only bytes count and the lines fall steeply; on a fast one the codec's own time "
            "remains and the lines run flat. Where a line crosses a thick one, compression stops paying. "
            "Latency, and work that runs while bytes travel, are left out.</p>",
            _picture(pictures["speed"], "Predicted time of an allreduce against link speed for every compressor.", _key(comparison))),
        _section(
            "Break-even", "<p>The same crossings, one compressor per line: it is worth its time on every link slower than its "
            f"mark. {_dense_half_words(comparison)}</p>",
            _picture(pictures["break_even"], "Link speed up to which each compressor beats the dense allreduces.")),
        _section(
            "The gradient", _words_on(comparison.distributions[0]),
            _picture(pictures["distribution"], "Histogram of the gradient's values per rank, and quantiles of their sizes.")),
    ]
    footer = (
        f"<footer><p>{_yardsticks(comparison)}. Every time is a median of "
        f"{where['repetitions']} repetitions (allreduce: {where['allreduce_repetitions']}), each interleaved with the {'yardstick' if comparison.on_device else 'yardsticks'}. Dense float32 is counted without any codec "
        f"time. {_dense_half_words(comparison)}</p></footer>"
    )
    return document("ccomp: comparison of compressors", f"{header}{''.join(parts)}{footer}")
