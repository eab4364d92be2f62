#!/usr/bin/env python3
"""bench/compile/time.py [--compiler g++] [--rounds 5] [--include FOLDER] [--write PAGE...]: how long the programs of this
folder take to compile with -O2. Each round compiles each of them once, in turns; a figure is the least user time of its
rounds divided by the least of plain.cpp. --include names other headers, such as those of an older commit. --write puts
the table into pages, between <!-- table:begin compile --> and <!-- table:end -->."""

import argparse
import datetime
import pathlib
import re
import resource
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROGRAMS = {"plain": "`<vector>`, `<span>`, `<thread>`, `<string>`", "empty": "`<ccomp/ccomp.hpp>`, nothing used",
            "allreduce": "one allreduce of a typed chain, with error feedback", "any_compressor": "a chain from text"}
LINKED = [program for program in PROGRAMS if program != "plain"]  # these also as programs that link ccomp::compiled


def compile_once(command):
    """User seconds of the compiler, and the megabytes of the largest so far."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before, after.ru_maxrss / 1000


def table(compiler, least, megabytes):
    def row(what, key):
        return f"| {what} | {least[key] / least['plain']:.1f} | {least[key]:.2f} | {megabytes[key]:.0f} |"

    version = subprocess.run([compiler, "-dumpfullversion", "-dumpversion"], capture_output=True, text=True).stdout.split()[0]
    name = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    rows = ["| program | user time, of the first | seconds | memory, MB |", "|---|---:|---:|---:|"]
    rows += [row(what, program) for program, what in PROGRAMS.items()]
    rows += [row(f"with `ccomp::compiled`: {PROGRAMS[program]}", program + " linked") for program in LINKED if program + " linked" in least]
    return "\n".join([*rows, "", f"{datetime.date.today()}, {name[1] if name else 'unknown CPU'}, {compiler} {version} -O2."])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--include", type=pathlib.Path, default=ROOT / "include")
    parser.add_argument("--write", type=pathlib.Path, nargs="+", default=[])
    wanted = parser.parse_args()
    least, megabytes = {}, {}
    runs = [(program + " linked", program, ["-DCCOMP_COMPILED"]) for program in LINKED if (wanted.include / "ccomp/compiled.cpp").exists()]
    runs = [("plain", "plain", []), *runs, *((program, program, []) for program in LINKED)]  # they ascend in size
    for _ in range(max(1, wanted.rounds)):
        for key, program, flags in runs:
            seconds, size = compile_once([wanted.compiler, "-std=c++20", "-O2", *flags, f"-I{wanted.include}", "-pthread", "-c",
                                          str(HERE / f"{program}.cpp"), "-o", "/dev/null"])
            least[key] = min(seconds, least.get(key, seconds))
            megabytes.setdefault(key, size)
    text = table(wanted.compiler, least, megabytes)
    print(text)
    for page in wanted.write:
        old = page.read_text()
        new, found = re.subn(r"(<!-- table:begin compile -->\n).*?(<!-- table:end -->)", lambda m: m[1] + text + "\n" + m[2], old, flags=re.S)
        if not found:
            sys.exit(f"{page} has no place for the table")
        page.write_text(new)


if __name__ == "__main__":
    main()
