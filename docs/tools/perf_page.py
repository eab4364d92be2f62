#!/usr/bin/python3
"""Writes docs/results/perf.md, of what ccomp-perf --percentiles measured over MPI:

  docs/tools/perf_page.py [build/report/perf.json [docs/results/perf.md]]

What stands between <!-- notes:begin --> and <!-- notes:end --> of an older page is kept: it is written by hand.
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTES = re.compile(r"<!-- notes:begin -->\n(.*?)<!-- notes:end -->", re.S)


def size_text(size):
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB" if size >= 1024 else f"{size} B"


def table(rows, key, own):
    """One line per size, one column per competitor; bold where it is faster than the transport's own."""
    sizes = sorted({row["bytes"] for row in rows})
    names = list(dict.fromkeys(row["compressor"] for row in rows))
    found = {(row["bytes"], row["compressor"]): row for row in rows}
    lines = ["| size | " + " | ".join(f"`{name}`" if name != own else name for name in names) + " |", "|---:|" + "---:|" * len(names)]
    for size in sizes:
        best = found[size, own][key] if own in names else 0
        cells = [(f"**{value:.0f}**" if value < best else f"{value:.0f}") for value in (found[size, name][key] for name in names)]
        lines.append(f"| {size_text(size)} | " + " | ".join(cells) + " |")
    return lines


def properties(rows):
    lines = ["| compressor | strategy | ratio | relative error | wrong values |", "|---|---|---:|---:|---:|"]
    for row in (row for row in rows if row["bytes"] == max(row["bytes"] for row in rows)):
        ratio = f"{row['ratio']:.3g}" if "ratio" in row else "-"
        lines.append(f"| `{row['compressor']}` | {row['strategy'] or '-'} | {ratio} | {row['error']:.3g} | {row['wrong']} |")
    return lines


def page(run, notes):
    rows, own = run["rows"], "MPI"
    faster = sum(1 for row in rows if row["compressor"] != own
                 and row["p50_us"] < next(o["p50_us"] for o in rows if o["compressor"] == own and o["bytes"] == row["bytes"]))
    others = sum(1 for row in rows if row["compressor"] != own)
    lines = [
        "# Latency of small allreduces over MPI", "",
        f"Measured by `ccomp-perf` on {run['date'][:10]}: {run['ranks']} ranks on one machine, which talk through its shared memory. How it is",
        "measured: [ccomp-perf](../how_to/measure_with_ccomp_perf.md). All of this page is made of build/report/perf.json by",
        "`docs/tools/perf_page.py`, except the notes.", "",
        "| what | |", "|---|---|",
        f"| machine | {run['cpu']}, {run['cores']} cores for {run['ranks']} ranks"
        + (": more ranks than cores" if run["ranks"] > run["cores"] else "") + f"; {run['instruction_set']} |",
        f"| versions | ccomp {run['ccomp']}, {run['library']}, {run['compiler']} |",
        f"| calls | {run['calls']} of each, after {run['warm_up']}; {run['redop']} of {run['type']}, strategy {run['strategy']} |", "",
        "<!-- notes:begin -->", notes + "<!-- notes:end -->", "",
        f"Bold: faster than MPI's own `MPI_Allreduce` in the same run. By the median that holds for {faster} of {others} figures.", "",
        "## Median (p50), microseconds"] + table(rows, "p50_us", own) + [
        "", "## p99, microseconds"] + table(rows, "p99_us", own) + [
        "", "## Errors and ratios, at the largest size"] + properties(rows) + [""]
    return "\n".join(lines)


def main():
    source = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/report/perf.json")
    target = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / "docs/results/perf.md")
    old = NOTES.search(target.read_text()) if target.exists() else None
    target.write_text(page(json.loads(source.read_text()), old[1] if old else ""))


main()
