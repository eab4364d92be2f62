"""The report as one HTML file without anything outside of itself."""

import base64
import html
import math

from families import FAMILIES, family_of
from figures import gbit_text

STYLE = """
:root { --ink: #1b2733; --soft: #4a5a68; --line: #d9e0e6; --paper: #ffffff; --back: #f4f6f8; --accent: #0b5c8a; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 16px/1.55 system-ui, "Segoe UI", "DejaVu Sans", "Liberation Sans", Arial, sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 28px 24px 56px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 20px; margin: 0 0 4px; }
p { margin: 6px 0 10px; max-width: 92ch; }
header p { color: var(--soft); }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 20px 22px; margin: 20px 0; }
figure { margin: 12px 0 0; }
figure img { width: 100%; height: auto; display: block; }
ul { margin: 6px 0 6px; padding-left: 22px; max-width: 96ch; }
li { margin: 4px 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(215px, 1fr)); gap: 14px; margin: 18px 0 0; }
.tile { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; }
.tile b { display: block; font-size: 22px; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile code { overflow-wrap: anywhere; }
.tile span { color: var(--soft); font-size: 13.5px; line-height: 1.4; display: block; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; margin-top: 10px; }
th, td { padding: 5px 7px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); vertical-align: bottom; font-size: 12.5px; line-height: 1.3; }
thead th.group { text-align: right; color: var(--ink); border-bottom: none; padding-bottom: 0; }
thead tr:first-child:not(:last-child) th { border-bottom: none; }
th:first-child, td:first-child { text-align: left; }
td:first-child { font-family: ui-monospace, "DejaVu Sans Mono", "Liberation Mono", monospace; font-size: 12px;
  white-space: normal; max-width: 300px; }
tbody tr:hover { background: #eef3f7; }
tr.dense td { background: #f0f3f5; font-weight: 600; }
.swatch { display: inline-block; width: 9px; height: 9px; border-radius: 2px; margin-right: 7px; }
td b { color: var(--accent); }
code { font-family: ui-monospace, "DejaVu Sans Mono", "Liberation Mono", monospace; font-size: 0.92em;
  background: #eef1f4; border-radius: 4px; padding: 1px 4px; }
footer { color: var(--soft); font-size: 13.5px; }
"""


def three_digits(value):
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-4 or size >= 1e7:
        return f"{value:.1e}"
    digits = max(0, 2 - math.floor(math.log10(size)))
    return f"{value:,.{min(digits, 5)}f}"


def _limit(speed):
    if speed == 0:
        return "never"
    return "always" if math.isinf(speed) else three_digits(speed)


def _breakable(compressor):
    """A long text may wrap after a bar."""
    return html.escape(compressor).replace("|", "|<wbr>")


def _code(text):
    return f"<code>{_breakable(text)}</code>"


def _picture(svg, description):
    data = base64.b64encode(svg.encode()).decode()
    return f'<figure><img alt="{html.escape(description)}" src="data:image/svg+xml;base64,{data}"></figure>'


def _tiles(comparison):
    where = comparison.environment
    tiles = []
    for index in (0, len(comparison.links) - 1) if len(comparison.links) > 1 else (0,):
        name, gbit = comparison.links[index]
        dense = min(comparison.dense_float32.milliseconds(gbit), comparison.dense_bf16.milliseconds(gbit))
        fastest = min(comparison.results, key=lambda one: one.predicted_ms[index])
        gain = dense / fastest.predicted_ms[index] if fastest.predicted_ms[index] > 0 else math.inf
        if gain > 1:
            tiles.append((f"{three_digits(gain)} × faster",
                          f"than the best dense call at {html.escape(name)}: {_code(fastest.name)}"))
        else:
            tiles.append(("dense wins", f"at {html.escape(name)}: no compressor here is faster than the best dense call"))
    exact = [one for one in comparison.results if one.relative_error is not None and one.ratio >= 3.5]
    if exact:
        best = min(exact, key=lambda one: one.relative_error)
        tiles.append((f"{three_digits(100 * best.relative_error)} % error",
                      f"is the least among ratios of 3.5 and more: {_code(best.name)}, {three_digits(best.ratio)} : 1"))
    smallest = max(comparison.results, key=lambda one: one.ratio)
    tiles.append((f"{three_digits(smallest.ratio)} : 1", f"is the highest ratio: {_code(smallest.name)}"))
    first = comparison.distributions[0]
    if first.rms > 0:
        tiles.append((f"{three_digits(first.max_abs / first.rms)} × RMS",
                      f"is the largest of rank 0's {where['n']:,} values; kurtosis {three_digits(first.kurtosis)} (normal: 3)"))
    cells = "".join(f'<div class="tile"><b>{value}</b><span>{text}</span></div>' for value, text in tiles)
    return f'<div class="tiles">{cells}</div>'


def _table(head, rows):
    return f'<div class="wide"><table><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'


def _row(one, cells):
    color = FAMILIES[family_of(one.name)][1]
    swatch = f'<span class="swatch" style="background:{color}"></span>'
    return f"<tr><td>{swatch}{_breakable(one.name)}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _fidelity_table(comparison):
    head = (
        "<tr><th>compressor</th><th>payload<br>bytes</th><th>ratio</th><th>relative<br>error</th><th>cosine</th>"
        f"<th>error, mean of<br>{comparison.environment['feedback_steps']} steps with feedback</th>"
        "<th>allreduce<br>error</th><th>allreduce<br>strategy</th><th>bytes sent<br>per rank</th></tr>"
    )
    rows = [
        _row(one, [f"{one.payload_bytes:,.0f}", three_digits(one.ratio), three_digits(one.relative_error),
                   "–" if one.cosine is None else f"{one.cosine:.4f}", three_digits(one.feedback_error),
                   three_digits(one.allreduce_error), html.escape(one.strategy), f"{one.allreduce_bytes:,.0f}"])
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
            "bytes that a pass must move (values on one side, payload on the other) a second, as a share of those that a copy of "
            "the values on the device reads and writes. <b>Same as on the host</b>: the GPU's payload, and what it decodes, are the "
            f"host's bits. <b>In memory</b>: all {comparison.environment['ranks']} ranks as threads of one process that share this "
            "GPU. <b>Predicted</b>: the time one rank works, alone on its GPU, plus the bytes it sends divided by the link's speed; "
            "bold: the fastest compressor at that speed. The last columns say up to which link speed a compressor is worth its "
            "time.</p>"
        )
    return (
        f"<p>Speeds count float32 bytes of the input, repeated to {mib:.0f} MiB per rank. <b>Encode / read</b> compares with merely "
        f"reading that array. <b>In memory</b>: all {comparison.environment['ranks']} ranks as threads of this one process. "
        "<b>Predicted</b>: the time one rank works, alone with its threads, plus the bytes it sends divided by the link's speed; "
        "bold: the fastest compressor at that speed. The last columns say up to which link speed a compressor is worth its time.</p>"
    )


def _yardsticks(comparison):
    if comparison.on_device:
        return (
            f"Yardstick in the same run: a copy on the device, {three_digits(comparison.copy_gbps)} GB/s (1 GB = 10<sup>9</sup> bytes, "
            "read and written)"
        )
    return (
        f"Yardsticks in the same run, with the same threads: reading {three_digits(comparison.read_gbps)} GB/s, copying "
        f"{three_digits(comparison.copy_gbps)} GB/s (1 GB = 10<sup>9</sup> bytes of the array)"
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
        f"<th>in memory<br>ms</th>{links}<th>dense<br>float32</th><th>dense<br>bf16</th></tr>"
    )
    rows = []
    for dense in (comparison.dense_float32, comparison.dense_bf16):
        times = "".join(f"<td>{three_digits(dense.milliseconds(gbit))}</td>" for _, gbit in comparison.links)
        rows.append(f'<tr class="dense"><td>{html.escape(dense.name)}</td>{"<td></td>" * (len(own) + 1)}{times}<td></td><td></td></tr>')
    best = [min(one.predicted_ms[i] for one in comparison.results) for i in range(count)]
    for one in comparison.results:
        times = [three_digits(ms) for ms in one.predicted_ms]
        times = [f"<b>{text}</b>" if ms == fastest else text for text, ms, fastest in zip(times, one.predicted_ms, best)]
        held = [f"{one.encode_of_yardstick:.2f}"]
        if comparison.on_device:
            held += [f"{one.decode_of_yardstick:.2f}", _right(one.same_as_host)]
        rows.append(_row(one, [three_digits(one.encode_gbps), three_digits(one.decode_gbps), *held,
                               three_digits(one.allreduce_ms) + _warning(comparison, one), *times, _limit(one.beats_float32_below),
                               _limit(one.beats_bf16_below)]))
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


def _section(title, text, body):
    return f"<section><h2>{title}</h2>{text}{body}</section>"


def build(comparison, pictures):
    where = {key: html.escape(value) if isinstance(value, str) else value for key, value in comparison.environment.items()}
    mib = where["n_timed"] * 4 / 2**20
    derived = ""
    if where["file_rows"] < where["ranks"]:
        derived = f" Only {where['file_rows']} of the ranks' gradients come from the file; the others are derived from them."
    header = (
        "<header><h1>What compressing gradients costs and saves</h1>"
        f"<p>Input {_code(comparison.environment['input'])}: {where['n']:,} float values on each of {where['ranks']} ranks."
        f"{derived} Measured with ccomp {where['ccomp']} on {_machine(where)}, {where['date']}.</p>{_tiles(comparison)}</header>"
    )
    links = html.escape(", ".join(gbit_text(gbit) for _, gbit in comparison.links))
    parts = [
        _section(
            "What arrives", "<p>A <b>ratio</b> of 8 sends an eighth of the float32 bytes. A <b>relative error</b> of 0.01 "
            "means that what arrives differs from the gradient by 1 % of its length; 1 is as far off as sending zeros. With "
            "<b>error feedback</b> each step adds what the last one left out, so the mean over steps comes closer to the "
            "gradient than one step: this is what training feels (a dash: "
            "the library refuses feedback for this compressor). The <b>allreduce error</b> is that of the sum over all "
            "ranks, against a sum in float64. All of the input as given.</p>", _fidelity_table(comparison)),
        _section(
            "What it costs", _words_on_cost(comparison, mib), _speed_table(comparison)),
        _section(
            "Error against bytes", "<p>Down and to the left is better: fewer bytes, smaller error. A filled mark is one "
            "encode and decode of rank 0's gradient. A line joins it to the hollow mark, the same compressor with error "
            "feedback: what is left out is not lost, only late.</p>",
            _picture(pictures["error"], "Scatter plot of relative error against payload bytes, both logarithmic.")),
        _section(
            "Time against link speed", f"<p>One allreduce of {mib:.0f} MiB per rank over {where['ranks']} ranks, predicted as "
            "the measured work of one rank (encode, decode and sum) plus the bytes it sends divided by the link's speed (marked: "
            f"{links}). On a slow link only bytes count and the lines fall steeply; on a fast one the codec's own time "
            "remains and the lines run flat. Where a line crosses a black one, compression stops paying. "
            "Latency, and work that runs while bytes travel, are left out.</p>",
            _picture(pictures["time"], "Predicted time of an allreduce against link speed for every compressor.")),
        _section(
            "Break-even", "<p>The same crossings, one compressor per line: it is worth its time on every link slower than its "
            "mark. Dense bf16 halves the bytes for the price of two casts.</p>",
            _picture(pictures["break_even"], "Link speed up to which each compressor beats dense float32 and dense bf16.")),
        _section(
            "The gradient", _words_on(comparison.distributions[0]),
            _picture(pictures["distribution"], "Histogram of the gradient's values per rank, and quantiles of their sizes.")),
    ]
    footer = (
        f"<footer><p>{_yardsticks(comparison)}. Every time is a median of "
        f"{where['repetitions']} repetitions (allreduce: {where['allreduce_repetitions']}), each interleaved with the {'yardstick' if comparison.on_device else 'yardsticks'}. Dense float32 is counted without any codec "
        "time, dense bf16 with the measured casts.</p></footer>"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>ccomp: comparison of compressors</title><style>{STYLE}</style></head>"
        f"<body><main>{header}{''.join(parts)}{footer}</main></body></html>\n"
    )
