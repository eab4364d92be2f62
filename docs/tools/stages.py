"""The tables of stages in README.md and docs/, made from the rows of include/ccomp/stage_list.hpp and from the stages' own
pages, docs/compressors/<stage>.md. pages.py checks them, and with --fix writes them, between

  <!-- stages: compressors --> and <!-- stages: end -->   name, bits per value, the first sentence of its page
  <!-- stages: kinds -->                                  the names of each family
  <!-- stages: codes -->, <!-- stages: side bytes -->     what payloads hold: the tables under "Bytes" of all pages
"""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIST = ROOT / "include/ccomp/stage_list.hpp"
ROW = re.compile(r'(?:stage_row<|stage_widths<|joining_row\{\.name = ")(\w+).*?\.kind = family::(\w+)')
MARKED = re.compile(r"(<!-- stages: ([a-z ]+) -->\n).*?(<!-- stages: end -->)", re.S)

KINDS = {
    "cast": "casts",
    "quantizer": "quantizers",
    "sign": "signs",
    "transform": "transforms",
    "sparsifier": "sparsifiers",
    "low_rank": "low rank (a header each)",
}
# Table -> the head of its columns, here and on the pages.
BYTES = {
    "codes": "| stage | parameters of a block | code |",
    "side bytes": "| stage | side bytes | carrier |",
}


def rows():
    """Stage -> family, in the order of the list."""
    found = dict(ROW.findall(LIST.read_text(encoding="utf-8")))
    unknown = set(found.values()) - set(KINDS)
    if not found or unknown:
        raise ValueError(f"{LIST.relative_to(ROOT)} has no rows, or of unknown families: {', '.join(unknown)}")
    return found


def joining():
    """The stages that need another library."""
    return re.findall(r'joining_row\{\.name = "(\w+)"', LIST.read_text(encoding="utf-8"))


def page_of(stage):
    path = ROOT / "docs/compressors" / f"{stage}.md"
    if not path.exists():
        raise ValueError(f"the stage {stage} has no page {path.relative_to(ROOT)}")
    return path.read_text(encoding="utf-8")


def part(stage, pattern, what):
    found = re.search(pattern, page_of(stage), re.M | re.S)
    if not found:
        raise ValueError(f"docs/compressors/{stage}.md lacks {what}")
    return " ".join(found[1].split())


def first_sentence(stage):
    return part(stage, r"\A# \w+\n\n(.*?)\.(?=\s)", "a sentence under its name")


def bits(stage):
    return part(stage, r"^Bits per value \(float32: 32\): (.*?)\.$", "a line 'Bits per value (float32: 32): ....'")


def compressors(stages):
    lines = ["| stage | bits per value (float32: 32) | what it does |", "|---|---|---|"]
    return lines + [f"| [{s}](docs/compressors/{s}.md) | {bits(s)} | {first_sentence(s)} |" for s in stages]


def kinds(stages):
    lines = ["| kind | stages |", "|---|---|"]
    for family, title in KINDS.items():
        links = [f"[{s}](compressors/{s}.md)" for s in stages if stages[s] == family]
        lines.append(f"| {title} | {', '.join(links)} |")
    return lines


def payloads(stages, table):
    """The tables of one kind on the stages' pages, joined."""
    lines = [BYTES[table], "|---|---|---|"]
    for stage in stages:
        found = re.search(re.escape(BYTES[table]) + r"\n\|[-|]+\|\n((?:\|.*\n)+)", page_of(stage))
        lines += found[1].splitlines() if found else []
    return lines


def check_bytes(wrong):
    """What sends bytes of its own says which."""
    for stage, family in rows().items():
        if family != "transform" and not any(head in page_of(stage) for head in BYTES.values()):
            wrong.append(f"docs/compressors/{stage}.md has none of the tables {', '.join(BYTES.values())}")


def filled(page, text, fix, wrong):
    """The text of a page with its tables up to date."""
    try:
        stages = rows()
        tables = {
            "compressors": lambda: compressors(stages),
            "kinds": lambda: kinds(stages),
            **{name: lambda name=name: payloads(stages, name) for name in BYTES},
        }

        def replace(match):
            if match[2] not in tables:
                raise ValueError(f"{page.relative_to(ROOT)}: there is no table 'stages: {match[2]}'")
            fresh = match[1] + "".join(line + "\n" for line in tables[match[2]]()) + match[3]
            if fresh != match[0] and not fix:
                wrong.append(f"{page.relative_to(ROOT)}: the table of stages ({match[2]}) is stale; "
                             "docs/tools/pages.py --fix writes it")
            return fresh

        if text.count("<!-- stages: ") != 2 * len(MARKED.findall(text)):
            wrong.append(f"{page.relative_to(ROOT)}: a mark 'stages: ...' has no 'stages: end'")
        return MARKED.sub(replace, text)
    except ValueError as error:
        wrong.append(str(error))
        return text
