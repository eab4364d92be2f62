#!/usr/bin/env python3
"""pages.py --compile finds C++ blocks that do not compile as shown and blocks that end inside a brace, and only those.
Usage: test_pages.py COMPILER"""

import pathlib
import subprocess
import sys
import tempfile

tool = pathlib.Path(__file__).with_name("pages.py")
whole = "```cpp\n#include <vector>\nint first(std::vector<int> const& v) { return v[0]; }  // } is no brace here\n```\n"
cut = "<!-- code: examples/a.cpp [part] -->\n```cpp\nunknown(here);\n```\n"
not_cpp = "```text\nv = x {\n```\n```cmake\nadd_subdirectory(ccomp)\n```\n"


def check(page):
    """The sentences about a docs/ folder with this page."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "docs").mkdir()
        (root / "README.md").write_text("# a\n")
        (root / "docs" / "page.md").write_text(page)
        run = subprocess.run([sys.executable, tool, "--root", root, "--compile", f"{sys.argv[1]} -std=c++20"],
                             capture_output=True, text=True, check=False)
        assert run.returncode == (0 if "\n2 pages, 0 mistakes" in "\n" + run.stdout else 1), run
        return run.stdout


good = check(whole + cut + not_cpp)
assert "0 mistakes" in good, good
for planted, sentence in {
    "```cpp\nccomp::unknown x;\n```\n": "docs/page.md, line 6: the block does not compile as shown",
    "```cpp\nstd::vector<int> v;\n```\n": "docs/page.md, line 6: the block does not compile as shown",  # lacks its #include
    "```cpp\nint f() {\n```\n": "docs/page.md, line 6: the block opens 1 braces and closes 0",
    "<!-- code: examples/a.cpp [part] -->\n```cpp\nfor (;;) {\n```\n": "docs/page.md, line 7: the block opens 1 braces",
}.items():
    found = check(whole + planted)
    assert sentence in found and "1 mistakes" in found, (planted, found)
