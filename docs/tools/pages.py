#!/usr/bin/env python3
"""Checks README.md, CONTRIBUTING.md, SECURITY.md, docs/ and the READMEs of packaging/ and tests/: links lead somewhere, quoted code and
contracts equal their source, C++ blocks are whole and have a link to the file they are cut from, every stage has its page,
the tables of stages are up to date (stages.py). With --fix it brings quotations and tables up to date. With --compile it
compiles the C++ blocks that are not cut from a file: each is a translation unit that compiles as shown.

A quotation is a comment and the fenced block after it:
  <!-- code: examples/01_compress.cpp [compress] -->     the lines between // [compress] and // [/compress]
  <!-- code: examples/00_readme.cpp -->                  the whole file, without such marks
  <!-- contract: include/ccomp/sparsify/top_k.hpp top_k -->   the doc comment of struct top_k; `cast 2`: of the second
"""

import argparse
import pathlib
import re
import shlex
import subprocess
import sys

sys.dont_write_bytecode = True  # the sources may lie where nothing should be written
import stages

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUOTE = re.compile(r"<!-- (code|contract): (\S+)(?: ([^\n>]*?))? -->\n```\w*\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"(<!-- code: [^\n]* -->\n)?^```(\w*)\n(.*?)^```$", re.M | re.S)
CPP = {"cpp", "c", "cc", "cxx", "cuda", "cu"}
NO_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])*\'', re.S)
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
    links = {(page.parent / target.partition("#")[0]).resolve() for target in LINK.findall(text)}

    def replace(match):
        kind, path, argument, old = match.groups()
        try:
            new = code(path, argument) if kind == "code" else contract(path, argument)
        except (OSError, ValueError) as error:
            wrong.append(f"{page.relative_to(ROOT)}: {error}")
            return match[0]
        if kind == "code" and (ROOT / path) not in links:
            wrong.append(f"{page.relative_to(ROOT)}: shows code of {path} and has no link to it")
        if new != old and not fix:
            wrong.append(f"{page.relative_to(ROOT)}: differs from {path} {argument or ''}; docs/tools/pages.py --fix copies it")
        begin, end = match.start(4) - match.start(), match.end(4) - match.start()
        return match[0][:begin] + new + match[0][end:]

    quotes = len(re.findall(r"^<!-- (?:code|contract):", text, re.M))
    if quotes != len(QUOTE.findall(text)):
        wrong.append(f"{page.relative_to(ROOT)}: a quotation has no fenced block right after it")
    return QUOTE.sub(replace, text)


def check_blocks(page, text, root, compiler, wrong):
    """No C++ block ends inside a brace; those that are not cut from a file compile as shown."""
    for match in BLOCK.finditer(text):
        cut, language, body = match.groups()
        if language not in CPP:
            continue
        where = f"{page.relative_to(root)}, line {text[: match.start(3)].count(chr(10)) + 1}"
        bare = NO_CODE.sub("", body)
        if bare.count("{") != bare.count("}"):
            wrong.append(f"{where}: the block opens {bare.count('{')} braces and closes {bare.count('}')}")
        elif compiler and not cut:
            run = subprocess.run(
                [*compiler, "-fsyntax-only", "-x", "c++", "-"], input=body, capture_output=True, text=True, check=False)
            if run.returncode:
                wrong.append(f"{where}: the block does not compile as shown; complete it, or cut it from an example\n{run.stderr}")


def check_stages(program, wrong):
    """One page a stage; it shows the stage as text would, with its settings and their defaults."""
    lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    if not lines:
        wrong.append(f"{program} names no stage")
    pages, seen = set(), set()
    for name, argument, settings in (line.split("\t") for line in lines):
        kind = (name, re.sub(r"[^=,]*/[^,]*", "...", settings))  # lists of numbers are as long as the width says
        if kind in seen:  # widths of one stage
            continue
        seen.add(kind)
        page = ROOT / "docs/compressors" / f"{name}.md"
        pages.add(page)
        if not page.exists():
            wrong.append(f"the stage {name} has no page docs/compressors/{name}.md")
            continue
        shown = name + (f"<{argument}>" if argument else "") + (f"({settings})" if settings else "")
        if f"`{shown}`" not in page.read_text():
            wrong.append(f"{page.relative_to(ROOT)} does not show `{shown}`")
    unread = {name for name, _ in seen} ^ set(stages.rows())
    for name in unread - set(stages.joining()):
        wrong.append(f"{name}: stage_list.hpp has it, and stages.py does not read it, or the other way round")
    for page in (ROOT / "docs/compressors").glob("*.md"):
        if page not in pages and page.stem not in stages.joining():  # which this build may lack
            wrong.append(f"{page.relative_to(ROOT)} is of no known stage")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fix", action="store_true", help="copy what is quoted from its source, and write the tables of stages")
    parser.add_argument("--stages", metavar="PROGRAM", help="a program that prints name, argument, settings of each stage")
    parser.add_argument("--compile", metavar="COMMAND", type=shlex.split,
                        help="the compiler with its options: compile the C++ blocks that are not cut from a file, and do nothing else")
    parser.add_argument("--root", metavar="FOLDER", type=pathlib.Path, default=ROOT, help="for --compile: where the pages are")
    wanted = parser.parse_args()
    wrong, linked = [], set()
    root = wanted.root.resolve()
    single = (root / "CONTRIBUTING.md", root / "SECURITY.md", root / "packaging/README.md")
    others = [page for page in (*single, *sorted((root / "tests").rglob("README.md"))) if page.exists()]
    pages = [root / "README.md", *others, *sorted((root / "docs").rglob("*.md"))]
    if wanted.compile:
        for page in pages:
            check_blocks(page, page.read_text(), root, wanted.compile, wrong)
        return report(pages, wrong)
    for page in pages:
        text = page.read_text()
        fresh = stages.filled(page, check_quotes(page, text, wanted.fix, wrong), wanted.fix, wrong)
        if wanted.fix and fresh != text:
            page.write_text(fresh)
            print(f"fixed: {page.relative_to(ROOT)}")
        check_links(page, fresh, wrong, linked)
        check_blocks(page, fresh, root, None, wrong)
    for page in pages[1:]:
        if page not in linked:
            wrong.append(f"{page.relative_to(ROOT)}: no page links to it")
    stages.check_bytes(wrong)
    if wanted.stages:
        check_stages(wanted.stages, wrong)
    return report(pages, wrong)


def report(pages, wrong):
    for sentence in wrong:
        print(sentence)
    print(f"{len(pages)} pages, {len(wrong)} mistakes")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
