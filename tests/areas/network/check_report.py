#!/usr/bin/python3
"""check_report.py REPORT_FOLDER TOOL FOLDER: what is made of the results in FOLDER follows from them."""

import copy
import csv
import json
import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True
report, tool, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
sys.path.insert(0, report)

import network  # noqa: E402
import network_text  # noqa: E402
from checked import WrongInput  # noqa: E402

# The program's own figures.
measured = json.loads((folder / "1000-default.json").read_text())
assert measured["ranks"] == 3 and measured["n"] == 64 * 256, measured
assert [(one["library"], one["type"]) for one in measured["dense"]] == [("Open MPI", "float32"), ("Open MPI", "bf16"), ("ccomp", "float32")]
float32, half, own = measured["dense"]
assert 0 < float32["relative_error"] < 1e-6 and 0 < own["relative_error"] < 1e-6, measured["dense"]
assert 1e-4 < half["relative_error"] < 1e-2 and 0 < half["without_casts_ms"] <= half["most_ms"], half
eight, top = measured["results"]
assert eight["compressor"] == "uniform_quantize<8>" and not eight["feedback"] and 1e-3 < eight["relative_error"] < 0.2, eight
assert top["compressor"] == "top_k(0.1)|uniform_quantize<8>" and top["feedback"] and 0.01 < top["relative_error"] < 1, top
for one in measured["results"] + measured["dense"]:
    assert 0 < one["least_ms"] <= one["ms"] <= one["most_ms"] and one["repetitions"] == 3, one
for one in measured["results"]:
    assert one["ranks_agree"] and 0 < one["bytes_sent"] < measured["n"] * 4, one
assert [one["compressor"] for one in measured["refused"]] == ["feedback:ternary", "no_such_stage"], measured["refused"]

# What is derived from them.
gloo = {"library": "gloo", "type": "float32", "version": "2.0", "ms": 200.0, "least_ms": 190.0, "most_ms": 210.0, "repetitions": 3,
        "wire_bytes": 98304, "relative_error": 1e-7}
(folder / "1000-gloo.json").write_text(json.dumps({"dense": [gloo]}))
document = network.merge(folder)
assert document["rates"][0]["dense"][5]["algorithm"] == "PyTorch 2.0", document["rates"][0]["dense"]
ring = document["rates"][0]["dense"][3]
assert (ring["algorithm"], ring["type"]) == ("ring", "float32"), ring
document["rates"][0]["dense"][0]["ms"] = 400.0
ring["ms"] = 300.0  # the faster one of Open MPI's counts
document["rates"][0]["dense"][1]["ms"], document["rates"][0]["dense"][4]["ms"] = 90.0, 120.0
document["rates"][0]["results"][0].update(ms=60.0, bytes_sent=1_500_000)
document["rates"][0]["drift"] = 1.4
path = folder / "merged.json"


def loaded(changed):
    path.write_text(json.dumps(changed))
    return network.load(path)


whole = loaded(document)
rate = whole.rates[0]
first = rate.results[0]
assert rate.gain(first) == 5 and rate.gain_over_half(first) == 1.5, (rate.gain(first), rate.gain_over_half(first))
assert abs(rate.link_share(first) - 0.2) < 1e-9 and not rate.quiet
assert [(bar[0], bar[2], bar[3]) for bar in whole.bars()] == [("uniform_quantize<8>", 3.5, 5.0)], whole.bars()
text = network_text.tables(whole)
assert "uniform_quantize<8>" in text and "top_k(0.1)|uniform_quantize<8> + feedback" in text and "1.40 times as long" in text, text
assert "feedback:ternary was refused" in text
rows = list(csv.DictReader(network_text.spreadsheet(whole).splitlines()))
assert [row["kind"] for row in rows] == ["dense"] * 6 + ["compressed"] * 2 and float(rows[6]["gain"]) == 5 and float(rows[5]["gain"]) == 1.5, rows

# Damaged files are refused with one sentence.
for damage in (lambda d: d.pop("rates"), lambda d: d["rates"].clear(), lambda d: d["rates"][0]["dense"].clear(),
               lambda d: d["rates"][0]["results"][0].pop("ms"), lambda d: d["environment"].pop("kernel")):
    broken = copy.deepcopy(document)
    damage(broken)
    try:
        loaded(broken)
    except WrongInput:
        continue
    raise AssertionError("a damaged file was read")

try:
    import matplotlib  # noqa: F401
except ImportError:
    print("skipped: the page of ccomp-bench-network; get matplotlib with: apt-get install python3-matplotlib")
    sys.exit(0)
done = subprocess.run([sys.executable, pathlib.Path(report, "network_report.py"), folder, folder / "network"], capture_output=True, text=True)
assert done.returncode == 0 and "1 Gbit/s, 3 ranks" in done.stdout, done
page = (folder / "network.html").read_text()
assert page.count("<figure") == 4 and "ranks differ" not in page and "top_k" in page
assert (folder / "network.csv").read_text().count("\n") == 9
done = subprocess.run([sys.executable, pathlib.Path(report, "network_report.py"), folder / "nowhere", folder / "x"], capture_output=True, text=True)
assert done.returncode == 2 and done.stderr.count("\n") == 1, done

done = subprocess.run([sys.executable, tool, folder / "network.json", folder / "page.md"], capture_output=True, text=True)
assert done.returncode == 0, done
result = (folder / "page.md").read_text()
assert "| `uniform_quantize<8>` | 1 Gbit/s | 3.5 |" in result and "page-gain.png" in result, result
assert (folder / "page-gain.png").stat().st_size < 300_000
