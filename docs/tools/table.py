#!/usr/bin/env python3
"""Writes what `ccomp-compare --json` measured into Markdown pages, between

  <!-- table:begin -->        and <!-- table:end -->: ratio, error and speed of each compressor
  <!-- table:begin full -->   and <!-- table:end -->: everything, with bytes sent and break-even speeds

and, with --suite, what `ccomp-bench --benchmark_format=json` measured between

  <!-- table:begin targets --> and <!-- table:end -->: the speed bars of targets.py

What `ccomp-bench-cuda --benchmark_format=json` measured, given instead, goes between

  <!-- table:begin cuda --> and <!-- table:end -->: the speed bars of GPUs
"""

import argparse
import json
import pathlib
import re
import sys

import targets

MARKS = re.compile(r"(<!-- table:begin(?: (\w+))? -->\n).*?(<!-- table:end -->)", re.S)


def number(value, digits=3):
    """Significant digits, never more than they are worth."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if value == 0:
        return "0"
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text else text


def feedback(result):
    return number(result["feedback"]["relative_error"], 2) if result["feedback"]["relative_error"] is not None else "refused"


def half_of(result):
    """The other dense allreduce: bf16, or of a float16 file float16."""
    return next((name.split()[-1], speed) for name, speed in result["break_even_gbit"].items() if name != "dense float32")


SUMMARY = [
    ("compressor", lambda r: "`" + r["compressor"].replace("|", "\\|") + "`"),
    ("ratio", lambda r: number(r["ratio"])),
    ("relative error", lambda r: number(r["relative_error"], 2)),
    ("with feedback", feedback),
    ("encode, of read", lambda r: number(r["encode_vs_read"], 2)),
]
FULL = [
    SUMMARY[0],
    ("payload, bytes", lambda r: str(r["payload_bytes"])),
    *SUMMARY[1:4],
    ("encode, GB/s", lambda r: number(r["encode_gbps"])),
    ("of read", lambda r: number(r["encode_vs_read"], 2)),
    ("decode, GB/s", lambda r: number(r["decode_gbps"])),
    ("allreduce", lambda r: r["allreduce"]["strategy"]),
    ("sent, bytes", lambda r: str(r["allreduce"]["bytes_sent"])),
    ("its relative error", lambda r: number(r["allreduce"]["relative_error"], 2)),
    ("faster than float32 below, Gbit/s", lambda r: number(r["break_even_gbit"]["dense float32"], 2)),
    ("than {half}", lambda r: number(half_of(r)[1], 2)),
]
KINDS = {"summary": SUMMARY, "full": FULL}


def noise(yard):
    if "read_spread" not in yard:
        return ""
    return f"; spread of the read {100 * yard['read_spread']:.0f} %" + ("" if yard["quiet"] else ": the machine was not quiet")


def table(measured, kind):
    columns, where, yard = KINDS[kind], measured["environment"], measured["yardsticks"]
    lines = [
        "| " + " | ".join(name for name, _ in columns).format(half=half_of(measured["results"][0])[0]) + " |",
        "|---" + "|---:" * (len(columns) - 1) + "|",
        *("| " + " | ".join(of(result) for _, of in columns) + " |" for result in measured["results"]),
        "",
        f"ccomp {where['ccomp']}, {where['date'][:10]}, {where['cpu']}, {where['compiler']}, {where['instruction_set']}, "
        f"{where['threads']} threads; read {number(yard['read_gbps'])} GB/s, copy {number(yard['copy_gbps'])} GB/s{noise(yard)}.",
        f"Errors: {where['input']}, {where['n']} values per rank, {where['ranks']} ranks; with feedback: of the mean of "
        f"{where['feedback_steps']} steps. Speeds: {where['n_timed'] * 4 / 2**20:g} MiB per rank.",
    ]
    return "\n".join(lines) + "\n"


def fail(sentence):
    print(f"table.py: {sentence}", file=sys.stderr)
    sys.exit(2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", metavar="COMPARE.json|CUDA.json")
    parser.add_argument("--suite", metavar="SUITE.json", help="output of the benchmark suite")
    parser.add_argument("pages", metavar="PAGE.md", nargs="+")
    wanted = parser.parse_args()
    try:
        measured = json.loads(pathlib.Path(wanted.json).read_text())
        if "benchmarks" in measured:
            fresh = {"cuda": targets.cuda_table(measured)}
        else:
            fresh = {kind: table(measured, kind) for kind in KINDS}
    except (OSError, ValueError, KeyError) as error:
        fail(f"'{wanted.json}' is not what ccomp-compare --json or ccomp-bench-cuda writes ({error}).")
    try:
        if wanted.suite:
            fresh["targets"] = targets.table(json.loads(pathlib.Path(wanted.suite).read_text()))
    except (OSError, ValueError, KeyError) as error:
        fail(f"'{wanted.suite}' is not what ccomp-bench writes as JSON, or lacks a benchmark ({error}).")
    for name in wanted.pages:
        page = pathlib.Path(name)
        text = page.read_text()
        kinds = [kind or "summary" for _, kind, _ in MARKS.findall(text)]
        if not kinds or set(kinds) - set(KINDS) - {"targets", "cuda", "compile"}:
            fail(f"'{name}' has no marks table:begin and table:end, or of an unknown kind.")
        page.write_text(MARKS.sub(lambda m: m[1] + fresh[m[2] or "summary"] + m[3] if (m[2] or "summary") in fresh else m[0], text))


if __name__ == "__main__":
    main()
