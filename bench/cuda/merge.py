#!/usr/bin/env python3
"""merge.py OUT.json PART.json...: what several runs of Google Benchmark wrote, as one file. A part that cannot be read,
as of a run that was ended, is named and left out."""

import json
import sys


def main():
    out, *parts = sys.argv[1:]
    whole = None
    for part in parts:
        try:
            with open(part) as file:
                found = json.load(file)
            benchmarks = found["benchmarks"]
        except (OSError, ValueError, KeyError) as error:
            print(f"merge.py: {part} is left out: {error}")
            continue
        if whole is None:
            whole = found
        else:
            whole["benchmarks"] += benchmarks
    if whole is None:
        sys.exit("merge.py: nothing was measured")
    with open(out, "w") as file:
        json.dump(whole, file, indent=1)


main()
