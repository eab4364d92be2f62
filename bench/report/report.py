#!/usr/bin/python3
"""Turns what `ccomp-compare --json` or `ccomp-compare-cuda --json` wrote into one self-contained HTML page."""

import argparse
import sys

sys.dont_write_bytecode = True  # the sources may lie where nothing should be written

import comparison as comparisons  # noqa: E402


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        fail(f"{message}; --help lists the options.")


def fail(sentence):
    print(f"report.py: {sentence}", file=sys.stderr)
    sys.exit(2)


def main():
    parser = _Parser(prog="report.py", description=__doc__)
    parser.add_argument("json", metavar="COMPARE.json", help="what ccomp-compare --json wrote")
    parser.add_argument("output", metavar="PAGE.html", nargs="?", default="compare.html", help="default: compare.html")
    wanted = parser.parse_args()
    try:
        measured = comparisons.load(wanted.json)
    except comparisons.WrongInput as error:
        fail(error)
    try:
        import figures
    except ImportError as error:
        fail(f"{error.name or 'a module'} is missing; install matplotlib (Debian: python3-matplotlib).")
    import page

    pictures = {
        "error": figures.error_against_bytes(measured),
        "time": figures.time_against_speed(measured),
        "break_even": figures.break_even(measured),
        "distribution": figures.gradient_distribution(measured),
    }
    text = page.build(measured, pictures)
    try:
        with open(wanted.output, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        fail(f"the output '{wanted.output}' cannot be written ({error.strerror}).")


if __name__ == "__main__":
    main()
