#!/usr/bin/python3
"""Writes docs/results/network.md and its pictures, of what bench/run --network measured:

  docs/tools/network_page.py [build/report/network.json [docs/results/network.md]]

What stands between <!-- notes:begin --> and <!-- notes:end --> of an older page is kept: it is written by hand.
"""

import argparse
import pathlib
import re
import sys

sys.dont_write_bytecode = True  # the sources may lie where nothing should be written
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench" / "report"))

import network as networks  # noqa: E402
from checked import WrongInput  # noqa: E402
from network import significant  # noqa: E402

NOTES = re.compile(r"(<!-- notes:begin -->\n)(.*?)(<!-- notes:end -->)", re.S)


def cell(label):
    name = label.removesuffix(" + feedback")
    return "`" + name.replace("|", "\\|") + "`" + label[len(name):]


def bars(network):
    lines = ["| compressor | at | at least | gain | with feedback |", "|---|---|---:|---:|---:|"]
    for name, rate, bar, *gains in network.bars():
        missed = not any(gain is not None and gain >= bar for gain in gains)
        shown = ["" if gain is None else significant(gain) for gain in gains]
        shown.append("missed" if missed else "")
        lines.append(f"| {cell(name)} | {rate.name} | {bar:g} |" + "".join(f" {one} |" if one else " |" for one in shown))
    lines[0] += " |"
    lines[1] += "---|"
    return lines


def dense(network):
    lines = ["| dense allreduce | " + " | ".join(f"{rate.name}, ms | MiB on the link" for rate in network.rates) + " |",
             "|---|" + "---:|---:|" * len(network.rates)]
    for one in network.rates[0].dense:
        row = [next((each for each in rate.dense if each.label == one.label), None) for rate in network.rates]
        cells = ["- | -" if each is None else f"{significant(each.ms, 4)} | {significant(each.wire_bytes / 2**20)}" for each in row]
        lines.append(f"| {one.label} | {' | '.join(cells)} |")
    return lines


def compressed(network):
    heads = " | ".join(f"{rate.name}, ms | gain | vs bf16" for rate in network.rates)
    lines = [f"| compressor | strategy | MiB sent | relative error | {heads} |",
             "|---|---|---:|---:|" + "---:|---:|---:|" * len(network.rates)]
    for label in network.labels():
        row = [(rate, rate.of(label)) for rate in network.rates]
        one = next(each for _, each in row if each is not None)
        cells = ["- | - | -" if each is None else
                 f"{significant(each.ms)} | {significant(rate.gain(each))} | {significant(rate.gain_over_half(each))}" for rate, each in row]
        own = f"{cell(label)} | {one.strategy} | {significant(one.bytes_sent / 2**20)} | {significant(one.relative_error, 2)}"
        lines.append(f"| {own} | {' | '.join(cells)} |")
    return lines


def remarks(network):
    lines = []
    for rate in network.rates:
        if not rate.quiet:
            lines.append(f"- {rate.name}: the first dense allreduce took {rate.drift:.2f} times as long at the end of the run. The machine was "
                         "not quiet.")
        differing = [cell(one.label) for one in rate.results if not one.ranks_agree]
        if differing:
            lines.append(f"- {rate.name}: **ranks differ**: {', '.join(differing)}.")
        if rate.left_out:
            lines.append(f"- {rate.name}: left out for lack of time: {', '.join(cell(label) for label in rate.left_out)}.")
    for name, why in dict(pair for rate in network.rates for pair in rate.refused).items():
        lines.append(f"- {cell(name)} was refused: {why}.")
    return lines


def page(network, stem, notes):
    where = network.environment
    links = ", ".join(f"{significant(rate.link_mbit)} Mbit/s at {rate.name}" for rate in network.rates)
    lines = [
        "# Allreduces over a limited network", "",
        f"Measured by `bench/run --network` on {where['date'][:10]}: {where['ranks']} ranks, {network.mib:g} MiB of float32 per rank, in network",
        "namespaces of one machine whose links are limited in both directions. How it is measured: [performance](../performance.md#networks).",
        "All of this page is made of build/report/network.json by `docs/tools/network_page.py`, except the notes.", "",
        "| what | |", "|---|---|",
        f"| machine | {where['cpu']}, {where['cores']} cores for all ranks and for the network; {where['threads']} thread per rank, "
        f"{where['instruction_set']} |",
        f"| kernel, iproute2 | Linux {where['kernel']}, {where['iproute2']}; TCP with {where['congestion_control']} |",
        f"| versions | ccomp {where['ccomp']}, {where['mpi']}, {where['compiler']} |",
        f"| what a link gives | {links}, when every rank sends to the next one |", "",
        "<!-- notes:begin -->", notes + "<!-- notes:end -->", "",
        "## Bars", "Gain: how many times as fast as the fastest dense float32 allreduce of Open MPI (the algorithm that it chooses, or its ring).", "",
        *bars(network), "", f"![Gain of every compressor at every rate]({stem}-gain.png)", "",
        "## Dense", "Medians, in ms. Both casts count for bf16.", "", *dense(network), "",
        "## Compressors", "Relative error: of the first call's mean, against float64. Bytes are those that rank 0 sends. `vs bf16`: gain over the fastest",
        "bf16 allreduce of Open MPI.", "",
        *compressed(network), ""]
    lines += [*remarks(network), ""] if remarks(network) else []
    for rate in network.rates:
        lines += [f"![Relative error against time at {rate.name}]({stem}-error-{rate.mbit:g}.png)", ""]
    return "\n".join(lines)


def draw(network, folder, stem):
    from drawing import Size, plt
    from network_figures import error_against_time, gains

    plt.rcParams["savefig.facecolor"] = "white"
    pictures = {f"{stem}-gain.png": gains(network, Size(False))}
    for rate in network.rates:
        pictures[f"{stem}-error-{rate.mbit:g}.png"] = error_against_time(rate, Size(False))
    for name, figure in pictures.items():
        figure.savefig(folder / name, dpi=90, metadata={"Software": None})
        plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", nargs="?", type=pathlib.Path, default=ROOT / "build" / "report" / "network.json")
    parser.add_argument("page", nargs="?", type=pathlib.Path, default=ROOT / "docs" / "results" / "network.md")
    wanted = parser.parse_args()
    try:
        network = networks.load(wanted.json)
    except WrongInput as error:
        sys.exit(f"network_page.py: {error}")
    kept = NOTES.search(wanted.page.read_text(encoding="utf-8")) if wanted.page.is_file() else None
    wanted.page.write_text(page(network, wanted.page.stem, kept[2] if kept else ""), encoding="utf-8")
    draw(network, wanted.page.parent, wanted.page.stem)


if __name__ == "__main__":
    main()
