#!/usr/bin/python3
"""Turns what `ccomp-compare --json` or `ccomp-compare-cuda --json` wrote into one self-contained HTML page."""

import argparse
import os
import sys

sys.dont_write_bytecode = True  # the sources may lie where nothing should be written

import comparison as comparisons  # noqa: E402
from check import printable  # noqa: E402


class Parser(argparse.ArgumentParser):
    def error(self, message):
        fail(f"{message}; --help lists the options.")


def fail(sentence):
    print(f"{os.path.basename(sys.argv[0])}: {printable(str(sentence))}", file=sys.stderr)
    sys.exit(2)


def main():
    parser = Parser(prog="report.py", description=__doc__)
    parser.add_argument("json", metavar="COMPARE.json", help="what ccomp-compare --json wrote")
    parser.add_argument("output", metavar="PAGE.html", nargs="?", default="compare.html", help="default: compare.html")
    wanted = parser.parse_args()
    if os.path.realpath(wanted.json) == os.path.realpath(wanted.output):
        fail(f"the page would overwrite its input '{wanted.json}'.")
    try:
        measured = comparisons.load(wanted.json)
    except comparisons.WrongInput as error:
        fail(error)
    try:
        import figures
    except ImportError as error:
        fail(f"{error.name or 'a module'} is missing; install matplotlib (Debian: python3-matplotlib).")
    import page

    text = page.build(measured, figures.draw_all(measured))
    write(wanted.output, text)


def write(name, text):
    """To a new file beside it that takes its place when whole; a device or a pipe has no place to take."""
    target = os.path.realpath(name)
    fresh = f"{target}.new-{os.getpid()}"
    if os.path.exists(name) and not os.path.isfile(name):
        fresh = target = name
    try:
        with open(fresh, "w", encoding="utf-8") as stream:
            stream.write(text)
        if fresh != target:
            os.replace(fresh, target)
    except BaseException as error:  # whoever interrupts, too, finds the old page or the new one
        if fresh != target and os.path.exists(fresh):
            os.unlink(fresh)
        if not isinstance(error, OSError):
            raise
        fail(f"the output '{name}' cannot be written ({error.strerror}).")


if __name__ == "__main__":
    main()
