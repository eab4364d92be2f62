"""The tables on the terminal, and the file for spreadsheets."""

import csv
import io

from network import significant

NAME = 30  # columns; a longer name has a line to itself
HEAD = ("strategy", "MiB sent", "ms", "gain", "vs bf16", "error")
WIDTHS = (9, 9, 8, 7, 8, 8)


def _line(name, cells):
    text = "".join(cell.rjust(width) for cell, width in zip(cells, WIDTHS))
    return f"{name.ljust(NAME)}{text}" if len(name) <= NAME else f"{name}\n{' ' * NAME}{text}"


def tables(network):
    lines = []
    for rate in network.rates:
        lines += [f"{rate.name}, {network.environment['ranks']} ranks, {network.mib:g} MiB of float32 per rank", _line("", HEAD),
                  "-" * (NAME + sum(WIDTHS))]
        for one in rate.dense:
            lines.append(_line(f"{one.library} {one.type}, {one.algorithm.split()[0]}",
                               ("dense", significant(one.wire_bytes / 2**20), f"{one.ms:.1f}", significant(rate.gain(one)),
                                significant(rate.gain_over_half(one)), significant(one.relative_error, 2))))
        for one in rate.results:
            lines.append(_line(one.label, (one.strategy, significant(one.bytes_sent / 2**20), f"{one.ms:.1f}", significant(rate.gain(one)),
                                           significant(rate.gain_over_half(one)), significant(one.relative_error, 2))))
        lines += [f"{name} was refused: {why}." for name, why in rate.refused]
        if rate.left_out:
            lines.append(f"Left out for lack of time: {', '.join(rate.left_out)}.")
        if not rate.quiet:
            lines.append(f"The first dense allreduce took {rate.drift:.2f} times as long at the end: the machine was not quiet.")
        lines.append("")
    lines.append("gain: over the fastest dense float32 of Open MPI; vs bf16: over the fastest bf16 of Open MPI. Times are medians of the\n"
                 "slowest rank's. error: of the first call's mean, against float64.")
    return "\n".join(lines)


def spreadsheet(network):
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(["mbit", "kind", "name", "feedback", "strategy", "bytes_sent", "wire_bytes", "ms", "least_ms", "most_ms", "repetitions",
                   "gain", "gain_over_bf16", "link_share", "relative_error", "ranks_agree"])
    for rate in network.rates:
        for one in rate.dense + rate.results:
            dense = one in rate.dense
            own = ["dense", one.label, "", one.algorithm, ""] if dense else [
                "compressed", one.name, "yes" if one.feedback else "no", one.strategy, f"{one.bytes_sent:.0f}"]
            error = "" if one.relative_error is None else f"{one.relative_error:.6g}"
            rows.writerow([f"{rate.mbit:g}", *own, f"{one.wire_bytes:.0f}", f"{one.ms:.6g}", f"{one.least_ms:.6g}", f"{one.most_ms:.6g}",
                           one.repetitions, f"{rate.gain(one):.6g}", f"{rate.gain_over_half(one):.6g}",
                           "" if dense else f"{rate.link_share(one):.6g}", error, "" if dense else "yes" if one.ranks_agree else "no"])
    return stream.getvalue()
