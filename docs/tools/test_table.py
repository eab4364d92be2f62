#!/usr/bin/env python3
"""table.py writes measured numbers between its marks, touches nothing else, and refuses what it cannot read."""

import json
import pathlib
import subprocess
import sys
import tempfile

result = {"compressor": "top_k(0.01)|uniform_quantize<8>", "payload_bytes": 4321, "ratio": 185.26, "relative_error": 0.8765,
          "cosine": 0.5, "encode_gbps": 12.34, "decode_gbps": 5.678, "encode_vs_read": 0.256,
          "allreduce": {"strategy": "two_shot", "ms": 1.0, "bytes_sent": 1234567, "relative_error": 0.0},
          "feedback": {"steps": 32, "relative_error": None},
          "break_even_gbit": {"dense float32": "always", "dense bf16": 7.89}}
measured = {"yardsticks": {"read_gbps": 40.0, "copy_gbps": 20.0}, "results": [result],
            "environment": {"ccomp": "0.1.0", "date": "2026-01-02T03:04:05Z", "cpu": "a CPU", "compiler": "g++", "threads": 2,
                            "instruction_set": "avx2", "input": "a.npy", "n": 1000, "ranks": 4, "feedback_steps": 32,
                            "n_timed": 2**24}}
tool = pathlib.Path(__file__).with_name("table.py")

with tempfile.TemporaryDirectory() as folder:
    source, page = pathlib.Path(folder, "compare.json"), pathlib.Path(folder, "page.md")
    source.write_text(json.dumps(measured))
    page.write_text("before\n<!-- table:begin -->\nold\n<!-- table:end -->\nbetween\n"
                    "<!-- table:begin full -->\n<!-- table:end -->\nafter\n")
    for _ in range(2):  # the second run finds the tables of the first
        subprocess.run([sys.executable, tool, source, page], check=True)
    text = page.read_text()
    short, full = text.split("between\n")
    assert "| faster than float32 below, Gbit/s | than bf16 |\n" in full and "; spread" not in text, full
    row = "| `top_k(0.01)\\|uniform_quantize<8>` |"
    assert f"{row} 185 | 0.88 | refused | 0.26 |\n" in short, short
    assert f"{row} 4321 | 185 | 0.88 | refused | 12.3 | 0.26 | 5.68 | two_shot | 1234567 | 0 | always | 7.9 |\n" in full, full
    assert "old" not in text and short.startswith("before\n") and full.endswith("<!-- table:end -->\nafter\n"), text
    assert text.count("64 MiB") == 2, text

    measured["yardsticks"] |= {"read_spread": 0.263, "quiet": False}
    result["break_even_gbit"] = {"dense float32": "always", "dense float16": 7.89}
    source.write_text(json.dumps(measured))
    subprocess.run([sys.executable, tool, source, page], check=True)
    text = page.read_text()
    assert "copy 20 GB/s; spread of the read 26 %: the machine was not quiet.\n" in text and "| than float16 |" in text, text

    sys.path.insert(0, str(tool.parent))
    import targets
    of_copy = {name: 0.5 for _, _, name in targets.CUDA_BARS} | {f"encode/uniform_quantize<8>/{k}KiB": 0.1 for k in targets.CUDA_SIZES}
    of_copy["encode/cast<bfloat16>/262144KiB"] = 0.9
    runs = [{"name": f"{name}/min_time:0.200/manual_time", "real_time": 12.34, "GB/s": 1000.0, "copy_GB/s": 2000.0, "of_copy": part}
            for name, part in of_copy.items()]
    next(r for r in runs if r["name"].startswith("encode/top_k")).update(error_occurred=True, error_message="why")
    source.write_text(json.dumps({"benchmarks": runs, "context": {"date": "2026-01-02T03:04:05", "gpu": "a GPU",
                                                                  "cuda_runtime": "13000", "cuda_driver": "13010"}}))
    page.write_text("<!-- table:begin cuda -->\n<!-- table:end -->\n")
    subprocess.run([sys.executable, tool, source, page], check=True)
    text = page.read_text()
    assert "| `cast<bfloat16>` encode | 0.85 | 0.90 | 1000 |\n" in text, text
    assert "| `uniform_quantize<8>` encode | 0.85 | 0.50 (missed) | 1000 |\n" in text, text
    assert "| 0.6 | did not run: why | |\n" in text and "| 64 | 12.3 |\n" in text and "a GPU, CUDA runtime 13000" in text, text

    # Two runs as one; a run that was ended, and benchmarks that are not there; another size.
    parts = [pathlib.Path(folder, name) for name in ("a.json", "b.json", "ended.json")]
    context = json.loads(source.read_text())["context"]
    parts[0].write_text(json.dumps({"benchmarks": runs[:3] + [runs[0] | {"name": "encode/uniform_quantize<8>/1048576KiB/manual_time"}], "context": context}))
    parts[1].write_text(json.dumps({"benchmarks": [{"name": "allreduce/uniform_quantize<8>/one_rank/8KiB/manual_time", "us": 5.0, "NCCL_us": 4.0}],
                                    "context": context}))
    parts[2].write_text('{"context": {')
    merge = tool.parents[2] / "bench" / "cuda" / "merge.py"
    told = subprocess.run([sys.executable, merge, source, *parts], check=True, capture_output=True, text=True).stdout
    assert "ended.json is left out" in told and told.count("\n") == 1, told
    subprocess.run([sys.executable, tool, source, page], check=True)
    text = page.read_text()
    assert "| 8KiB | 5.0 | 4.0 |\n" in text and "did not run: not in this run" in text and "| 64 | did not run |\n" in text, text
    assert "| `uniform_quantize<8>` encode, 1024 | 0.50 | 1000 |\n" in text, text
    assert subprocess.run([sys.executable, merge, source, parts[2]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 1

    page.write_text("no marks\n")
    assert subprocess.run([sys.executable, tool, source, page], stderr=subprocess.DEVNULL).returncode == 2
    source.write_text("{}")
    assert subprocess.run([sys.executable, tool, source, page], stderr=subprocess.DEVNULL).returncode == 2
print("table.py: good")
