"""The speed bars, and how each follows from the benchmark suites: the host's from `ccomp-bench`, which runs what they need with
--benchmark_filter="$(python3 docs/tools/targets.py)", those of GPUs from `ccomp-bench-cuda`. table.py writes the tables."""

import math
import re

END = "/min_time:"


def encode(name, kind="gaussian", size="16Mi", what="encode"):
    return lambda threads: f"{what}/{name}/{kind}/{size}/threads:{threads}"


def randomized_svd(threads):
    return f"encode/randomized_svd(4)/gradient/4096x4096/threads:{threads}"


def power_sgd(threads):
    return f"feedback/power_sgd(4)/gradient/4096x4096/threads:{threads}"


def top_k(ratio, kind):
    return encode(f"top_k({ratio})", kind, what="select")


# what, at least, of what, benchmark, its counter
BARS = [
    ("`cast<bfloat16>` encode", 0.70, "read", encode("cast<bfloat16>"), "of_read"),
    ("`cast<bfloat16>` decode", 0.70, "read", encode("cast<bfloat16>", what="decode"), "of_read"),
    ("`cast<float16>` encode", 0.70, "read", encode("cast<float16>"), "of_read"),
    ("`cast<float16>` decode", 0.70, "read", encode("cast<float16>", what="decode"), "of_read"),
    ("`uniform_quantize<8>` encode", 0.65, "read", encode("uniform_quantize<8>"), "of_read"),
    ("`uniform_quantize<8>` decode-accumulate", 0.60, "read", encode("uniform_quantize<8>", what="accumulate"), "of_read"),
    ("`uniform_quantize<4>` encode", 0.60, "read", encode("uniform_quantize<4>"), "of_read"),
    ("`uniform_quantize<8>(round=stochastic)` encode", 0.42, "read", encode("uniform_quantize<8>(round=stochastic)"), "of_read"),
    ("the same with AVX2 alone", 0.20, "read", encode("uniform_quantize<8>(round=stochastic)", what="encode_avx2"), "of_read"),
    ("`sign_quantize` encode", 0.50, "read", encode("sign_quantize"), "of_read"),
    ("`hadamard_rotate\\|uniform_quantize<4>` encode", 0.30, "read", encode("hadamard_rotate|uniform_quantize<4>"), "of_read"),
    *((f"`top_k({ratio})` encode, {kind}", 0.25, "read", top_k(ratio, kind), "of_read")
      for ratio in ("0.01", "0.001") for kind in ("gaussian", "heavy", "gradient")),
    *((f"the same, {kind}, `top_k({ratio})`", 5, "`std::nth_element`", top_k(ratio, kind), "against_nth_element")
      for ratio in ("0.01", "0.001") for kind in ("gaussian", "heavy", "gradient")),
    ("`vector_quantize<4x8>` encode", 0.03, "read", encode("vector_quantize<4x8>"), "of_read"),
    ("the same with AVX2 alone", 0.015, "read", encode("vector_quantize<4x8>", what="encode_avx2"), "of_read"),
    ("`e8_lattice` encode", 0.08, "read", encode("e8_lattice"), "of_read"),
    ("`block_top_k` encode", 0.30, "read", encode("block_top_k"), "of_read"),
    ("`approximate_top_k(0.01)` encode", 0.85, "read", encode("approximate_top_k(0.01)"), "of_read"),
    ("`block_threshold` encode", None, "read", encode("block_threshold"), "of_read"),
    ("`randomized_svd(4)` encode, 4096 x 4096", 0.67, "the products that it needs", randomized_svd, "of_products"),
    ("`uniform_quantize<8>` encode with feedback", 2.6, "four passes", encode("uniform_quantize<8>", "gradient", what="feedback"), "against_four_passes"),
    ("`power_sgd(4)` with feedback, 4096 x 4096", 2, "Eigen's products and a feedback pass", power_sgd, "against_eigen"),
]
SIZES = ["1Ki", "256Ki", "16Mi"]


def names():
    for _, _, _, of, _ in BARS:
        yield from (of(1), of(2))
    for size in SIZES:
        yield encode("uniform_quantize<8>", size=size)(1)


def table(suite):
    """Markdown from what ccomp-bench wrote with --benchmark_format=json."""
    found = {b["name"].split(END)[0]: b for b in suite["benchmarks"]}
    lines = ["| pass, 64 MiB | of | at least | 1 thread | 2 threads |", "|---|---|---:|---:|---:|"]
    for what, bar, of, name, counter in BARS:
        cells = [found[name(threads)][counter] for threads in (1, 2)]
        shown = (f"{c:.2f}" if c >= 0.1 else f"{c:.3f}" for c in cells)
        judged = (f"{text}{' (missed)' if bar and c < bar else ''}" for text, c in zip(shown, cells))
        lines.append(f"| {what} | {of} | {f'{bar:g}' if bar else 'reported'} | " + " | ".join(judged) + " |")
    one, two = (found[encode("uniform_quantize<8>")(t)]["GB/s"] for t in (1, 2))
    lines.append(f"| `uniform_quantize<8>` encode, two threads | one thread | 1.5 | | {two / one:.2f}{'' if two >= 1.5 * one else ' (missed)'} |")
    lines += ["", "| `uniform_quantize<8>` encode, one thread, values | microseconds | ns per value |", "|---|---:|---:|"]
    for size in SIZES:
        time, n = found[encode("uniform_quantize<8>", size=size)(1)]["real_time"], int(size[:-2]) << {"Ki": 10, "Mi": 20}[size[-2:]]
        lines.append(f"| {size} | {time:.{max(0, 2 - int(math.log10(max(time, 1))))}f} | {1000 * time / n:.3f} |")
    return "\n".join(lines) + "\n"


# what, at least, benchmark of ccomp-bench-cuda; the bar is a part of the bytes a second of a copy on the device
CUDA_BARS = [
    ("`uniform_quantize<8>` encode", 0.85, "encode/uniform_quantize<8>/262144KiB"),
    ("`uniform_quantize<8>` decode", 0.85, "decode/uniform_quantize<8>/262144KiB"),
    ("`uniform_quantize<8>` decode-accumulate", 0.85, "accumulate/uniform_quantize<8>/262144KiB"),
    ("`uniform_quantize<4>` encode", 0.85, "encode/uniform_quantize<4>/262144KiB"),
    ("`cast<bfloat16>` encode", 0.85, "encode/cast<bfloat16>/262144KiB"),
    ("`cast<bfloat16>` decode", 0.85, "decode/cast<bfloat16>/262144KiB"),
    ("`uniform_quantize<8>(round=stochastic)` encode", 0.75, "encode/uniform_quantize<8>(round=stochastic)/262144KiB"),
    ("`uniform_quantize<8>` encode with feedback", 0.80, "feedback/uniform_quantize<8>/262144KiB"),
    ("8 payloads reduced and encoded again, 8 bits", 0.80, "reduce/uniform_quantize<8>/262144KiB"),
    ("the same, 4 bits", 0.60, "reduce/uniform_quantize<4>/262144KiB"),
    ("the same, 1 bit (`sign_quantize`)", None, "reduce/sign_quantize/262144KiB"),
    ("`hadamard_rotate\\|uniform_quantize<4>` encode", 0.75, "encode/hadamard_rotate|uniform_quantize<4>/262144KiB"),
    ("`top_k(0.01)` encode, of two reads", 0.60, "encode/top_k/262144KiB"),
    ("CUB's radix sort of all magnitudes, of two reads", None, "sort/cub/262144KiB"),
    ("`threshold(0.003)` encode", 0.75, "encode/threshold(value=0.003)/262144KiB"),
]
CUDA_SIZES = [8, 64, 512]
CUDA_LARGER = [16 << 10, 64 << 10, 1024 << 10]


def cuda_table(suite):
    """Markdown from what ccomp-bench-cuda wrote with --benchmark_format=json."""
    found = {re.split("/(?:min_time:|manual_time)", b["name"])[0]: b for b in suite["benchmarks"]}
    where = suite["context"]
    lines = ["| pass, 256 MiB | of a copy, at least | measured | GB/s |", "|---|---:|---:|---:|"]
    for what, bar, name in CUDA_BARS:
        got = found.get(name, {"error_occurred": True, "error_message": "not in this run"})
        if got.get("error_occurred"):
            lines.append(f"| {what} | {bar or 'reported'} | did not run: {got['error_message']} | |")
            continue
        missed = " (missed)" if bar and got["of_copy"] < bar else ""
        lines.append(f"| {what} | {bar or 'reported'} | {got['of_copy']:.2f}{missed} | {got['GB/s']:.0f} |")
    lines += ["", "| `uniform_quantize<8>` encode, KiB | microseconds |", "|---|---:|"]
    for size in CUDA_SIZES:
        got = found.get(f"encode/uniform_quantize<8>/{size}KiB", {})
        lines.append(f"| {size} | {got['real_time']:.1f} |" if "of_copy" in got else f"| {size} | did not run |")
    sized = [(name, b) for name, b in found.items() if "of_copy" in b and name.endswith("KiB") and int(name.split("/")[-1][:-3]) in CUDA_LARGER]
    if sized:
        lines += ["", "| other sizes, MiB | of a copy of 256 MiB | GB/s |", "|---|---:|---:|"]
    for name, b in sized:
        pass_name, compressor, size = name.split("/")
        lines.append(f"| `{compressor}` {pass_name}, {int(size[:-3]) // 1024} | {b['of_copy']:.2f} | {b['GB/s']:.0f} |")
    small = [(name.split("/")[-1], b) for name, b in found.items() if name.startswith("allreduce/uniform_quantize<8>/one_rank/")]
    if small:  # a build without NCCL lacks them
        lines += ["", "| allreduce over NCCL, one rank | `uniform_quantize<8>`, microseconds | `ncclAllReduce`, microseconds |", "|---|---:|---:|"]
        for size, b in small:
            ran = f"{b['us']:.1f} | {b['NCCL_us']:.1f}" if not b.get("error_occurred") else f"did not run: {b['error_message']} | "
            lines.append(f"| {size} | {ran} |")
    copies = [b["copy_GB/s"] for b in suite["benchmarks"] if "copy_GB/s" in b] or [0]
    lines += ["", f"{where['date'][:10]}, {where['gpu']}, CUDA runtime {where['cuda_runtime']}, driver {where['cuda_driver']}; copy of 256 MiB, "
              f"read and written: {min(copies):.0f} to {max(copies):.0f} GB/s. GB/s of a pass: all bytes that it must read and write."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print("^(" + "|".join(sorted({re.escape(name) for name in names()})) + ")/")
