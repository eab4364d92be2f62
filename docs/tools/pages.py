#!/usr/bin/env python3
"""Checks README.md and docs/: links lead somewhere, quoted code and contracts equal their source, every stage has its
page. With --fix it brings quoted code and contracts up to date.

A quotation is a comment and the fenced block after it:
  <!-- code: examples/01_compress.cpp [compress] -->     the lines between // [compress] and // [/compress]
  <!-- code: examples/00_readme.cpp -->                  the whole file, without such marks
  <!-- contract: include/ccomp/sparsify/top_k.hpp top_k -->   the doc comment of struct top_k; `cast 2`: of the second
"""

import argparse
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUOTE = re.compile(r"<!-- (code|contract): (\S+)(?: ([^\n>]*?))? -->\n```\w*\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.M | re.S)


def code(path, mark):
    lines = (ROOT / path).read_text().splitlines()
    if mark:
        name = mark.strip("[]")
        begin = [i for i, line in enumerate(lines) if line.strip() == f"// [{name}]"]
        end = [i for i, line in enumerate(lines) if line.strip() == f"// [/{name}]"]
        if len(begin) != 1 or len(end) != 1 or begin[0] > end[0]:
            raise ValueError(f"{path} has no part [{name}]")
        lines = lines[begin[0] + 1 : end[0]]
    lines = [line for line in lines if not re.fullmatch(r"\s*// \[/?\w+\]", line)]
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "".join(line[indent:] + "\n" for line in lines)


def contract(path, what):
    name, _, nth = what.partition(" ")
    lines = (ROOT / path).read_text().splitlines()
    heads = [i for i, line in enumerate(lines) if re.match(rf"(template <.*> )?(struct|class) {re.escape(name)}\b", line)]
    found = []
    for at in heads:
        while at > 0 and re.match(r"template <|requires", lines[at - 1]):
            at -= 1
        first = at
        while first > 0 and lines[first - 1].startswith("///"):
            first -= 1
        if any(re.match(r"/// [A-Z][\w, ]+: ", line) for line in lines[first:at]):
            found.append(lines[first:at])
    if len(found) < int(nth or 1):
        raise ValueError(f"{path} has no contract of {what}")
    return "".join(line[4:] + "\n" for line in found[int(nth or 1) - 1])


def anchors(text):
    """GitHub's names for the headings of a page."""
    heads = re.findall(r"^#+ (.*)$", FENCE.sub(lambda m: m[0] if m[0][0] != "`" or "\n" not in m[0] else "", text), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def check_links(page, text, wrong, linked):
    for target in LINK.findall(FENCE.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        linked.add(path)
        if not path.exists():
            wrong.append(f"{page.relative_to(ROOT)}: the link {target} leads nowhere")
        elif anchor and anchor not in anchors(path.read_text()):
            wrong.append(f"{page.relative_to(ROOT)}: {target}: there is no such heading")


def check_quotes(page, text, fix, wrong):
    def replace(match):
        kind, path, argument, old = match.groups()
        try:
            new = code(path, argument) if kind == "code" else contract(path, argument)
        except (OSError, ValueError) as error:
            wrong.append(f"{page.relative_to(ROOT)}: {error}")
            return match[0]
        if new != old and not fix:
            wrong.append(f"{page.relative_to(ROOT)}: differs from {path} {argument or ''}; docs/tools/pages.py --fix copies it")
        begin, end = match.start(4) - match.start(), match.end(4) - match.start()
        return match[0][:begin] + new + match[0][end:]

    quotes = len(re.findall(r"^<!-- (?:code|contract):", text, re.M))
    if quotes != len(QUOTE.findall(text)):
        wrong.append(f"{page.relative_to(ROOT)}: a quotation has no fenced block right after it")
    return QUOTE.sub(replace, text)


def check_stages(program, wrong):
    """One page a stage; it shows the stage as text would, with its settings and their defaults."""
    lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    if not lines:
        wrong.append(f"{program} names no stage")
    pages, seen = set(), set()
    for name, argument, settings in (line.split("\t") for line in lines):
        if (name, settings) in seen:  # widths of one stage
            continue
        seen.add((name, settings))
        page = ROOT / "docs/compressors" / f"{name}.md"
        pages.add(page)
        if not page.exists():
            wrong.append(f"the stage {name} has no page docs/compressors/{name}.md")
            continue
        shown = name + (f"<{argument}>" if argument else "") + (f"({settings})" if settings else "")
        if f"`{shown}`" not in page.read_text():
            wrong.append(f"{page.relative_to(ROOT)} does not show `{shown}`")
    for page in (ROOT / "docs/compressors").glob("*.md"):
        if page not in pages and page.stem != "power_sgd":  # which a build without Eigen lacks
            wrong.append(f"{page.relative_to(ROOT)} is of no known stage")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fix", action="store_true", help="copy what is quoted from its source")
    parser.add_argument("--stages", metavar="PROGRAM", help="a program that prints name, argument, settings of each stage")
    wanted = parser.parse_args()
    wrong, linked = [], set()
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        text = page.read_text()
        fresh = check_quotes(page, text, wanted.fix, wrong)
        if wanted.fix and fresh != text:
            page.write_text(fresh)
            print(f"fixed: {page.relative_to(ROOT)}")
        check_links(page, fresh, wrong, linked)
    for page in pages[1:]:
        if page not in linked:
            wrong.append(f"{page.relative_to(ROOT)}: no page links to it")
    if wanted.stages:
        check_stages(wanted.stages, wrong)
    for sentence in wrong:
        print(sentence)
    print(f"{len(pages)} pages, {len(wrong)} mistakes")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
