#!/usr/bin/python3
"""check_page.py REPORT_FOLDER COMPARE.json PAGE.html: what the page says follows from what was measured."""

import copy
import json
import pathlib
import re
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])

import comparison  # noqa: E402
import page  # noqa: E402

measured = json.loads(pathlib.Path(sys.argv[2]).read_text())
links = [link["name"] for link in measured["links"]]
chosen = links.index(measured["chosen_link"])
wire = {name: 1e9 * 8 / (link["gbit_per_second"] * 1e9) * 1e3 for name, link in zip(links, measured["links"])}


def built(change):
    """The page without its plots, of a changed file."""
    document = copy.deepcopy(measured)
    change(document)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "changed.json")
        path.write_text(json.dumps(document))
        loaded = comparison.load(path)
    plots = {name: ("", "") for name in ("error", "speed", "break_even", "distribution", f"time{loaded.chosen}")}
    return page.build(loaded, plots)


def tiles(text):
    return re.findall(r'<div class="tile"><b>(.*?)</b><em>(.*?)</em>', text)


def bold(text):
    return re.findall(r"<td[^>]*><b>", text.split("<tbody>", 1)[1])


def slow(document):
    for dense in document["dense"]:
        dense.update(codec_ms=0, bytes_sent=1e9)
    for result in document["results"]:
        result["predicted_ms"] = {name: 2 * wire[name] for name in links}


def fast(document):
    slow(document)
    first = document["results"][0]
    first["relative_error"] = 0.82
    first["predicted_ms"] = {name: wire[name] / 4 for name in links}


# Where dense wins there is no headline and nothing is bold.
text = built(slow)
assert not any("faster" in value for value, _ in tiles(text)), tiles(text)
assert not bold(text), bold(text)
assert f"At {', '.join(links)} dense wins" in text

# Where a compressor wins, its error stands beside it, and it alone is bold, once for each link.
text = built(fast)
assert tiles(text)[0][0] == "4.00 × faster" and tiles(text)[0][1].startswith("82.0 % error"), tiles(text)
assert len(bold(text)) == len(links), bold(text)
assert "dense wins" not in text

# The machine.
noisy = built(lambda document: document["yardsticks"].update(read_spread=0.74, device_copy_spread=0.74, quiet=False))
assert "The machine was not quiet" in noisy and ": 74 % (" in noisy
calm = built(lambda document: document["yardsticks"].update(read_spread=0.2, device_copy_spread=0.2, quiet=True))
assert "not quiet" not in calm and ": 20 % (" in calm
half = built(lambda document: (document["dense"][1].update(name="dense float16"), document["environment"].update(value_bytes=2),
                               [r["break_even_gbit"].update({"dense float16": 1.0}) for r in document["results"]]))
assert "dense<br>float16" in half and "bf16" not in half.split("<tbody>", 2)[2].split("</table>")[0]

# The page with its plots.
text = pathlib.Path(sys.argv[3]).read_text()
ids = re.findall(r'\bid="([^"]*)"', text)
assert len(ids) == len(set(ids)), "two plots share an id"
assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', text)) <= set(ids), "a plot refers to an id that is not there"
sheet = text.split("</style>")[0]
for variable in set(re.findall(r"var\(--(\w+)\)", text)):
    assert len(re.findall(rf"--{variable}:", sheet)) == 2, f"--{variable} has no colour for light and for dark"
for result in measured["results"]:
    assert text.count(f'data-kind="{page.family_of(result["compressor"])}"') >= 2
print("the page: good")
