"""The page of bench/run --network: one HTML file."""

import html

from drawing import Size, svg
from families import FAMILIES
from network import significant
from network_figures import error_against_time, gains
from page_parts import breakable, cell, code, document, number, picture, section, swatch, table, three_digits


def _key(results):
    names = "".join(f'<li style="color: var(--{one.family})">{breakable(one.label)}</li>' for one in results)
    return f'<details class="narrow"><summary>What the numbers stand for</summary><ol class="key">{names}</ol></details>'


def _filter(network):
    present = [key for key in FAMILIES if any(one.family == key for rate in network.rates for one in rate.results)]
    chips = "".join(f'<label><input type="checkbox" checked value="{key}">{swatch(key)}{FAMILIES[key][0]}</label>' for key in present)
    return f'<fieldset class="filter" hidden><legend>Show</legend>{chips}</fieldset>'


def _tiles(network):
    cells = ""
    for rate in network.rates:
        known = [one for one in rate.results if one.relative_error is not None]
        told = set()
        for bound in (1.0, 0.05):
            best = max((one for one in known if one.relative_error <= bound), key=rate.gain, default=None)
            if best is not None and rate.gain(best) > 1 and best.label not in told:
                told.add(best.label)
                cells += (f'<div class="tile"><b>{significant(rate.gain(best))} × faster</b><em>{significant(100 * best.relative_error, 2)} % error</em>'
                          f"<span>at {rate.name}, the fastest of at most {100 * bound:g} % error: {code(best.label)}</span></div>")
    return f'<div class="tiles">{cells}</div>'


def _warning(one):
    return "" if one.ranks_agree else " <b>ranks differ</b>"


def _rate_table(rate):
    head = ("<tr><th>compressor</th><th>strategy</th><th>MiB sent<br>per rank</th><th>MiB on<br>the link</th><th>ms</th><th>least<br>ms</th>"
            "<th>gain over<br>dense float32</th><th>gain<br>over bf16</th><th>share of<br>the link</th><th>relative<br>error</th></tr>")
    blank = '<td data-v=""></td>'
    rows = [f'<tr class="dense"><td>{html.escape(one.label)}</td><td>dense</td>{blank}'
            f"{number(one.wire_bytes / 2**20)}{number(one.ms)}{number(one.least_ms)}{number(rate.gain(one))}{number(rate.gain_over_half(one))}"
            f"{blank}{number(one.relative_error)}</tr>" for one in rate.dense]
    for one in rate.results:
        gain = rate.gain(one)
        shown = f"<b>{three_digits(gain)}</b>" if gain > 1 else three_digits(gain)
        rows.append(f'<tr data-kind="{one.family}"><td>{swatch(one.family)}{breakable(one.label)}</td><td>{html.escape(one.strategy)}{_warning(one)}</td>'
                    f"{number(one.bytes_sent / 2**20)}{number(one.wire_bytes / 2**20)}{number(one.ms)}{number(one.least_ms)}{cell(shown, gain)}"
                    f"{number(rate.gain_over_half(one))}{number(rate.link_share(one))}{number(one.relative_error)}</tr>")
    return table(head, rows)


def _remarks(rate):
    text = "".join(f"<p>{code(name)} was refused: {html.escape(why)}.</p>" for name, why in rate.refused)
    if rate.left_out:
        text += f"<p>Left out for lack of time: {html.escape(', '.join(rate.left_out))}.</p>"
    if not rate.quiet:
        text += (f'<p class="notice">The machine was not quiet: the first dense allreduce took {rate.drift:.2f} times as long at the end of the '
                 "run as at its beginning.</p>")
    return text


def build(network):
    where = {key: html.escape(str(value)) for key, value in network.environment.items()}
    sizes = (Size(False), Size(True))
    cores = f"{where['cores']} cores for {where['ranks']} ranks"
    header = (
        "<header><h1>Allreduces over a limited network</h1>"
        f"<p>{where['ranks']} ranks over {where['mpi']}, {network.mib:g} MiB of float32 per rank, in network namespaces with links limited in both "
        f"directions. ccomp {where['ccomp']} on {where['cpu']} ({cores}, {where['threads']} thread per rank, {where['instruction_set']}, "
        f"{where['compiler']}), Linux {where['kernel']}, TCP with {where['congestion_control']}, {where['date']}.</p>{_tiles(network)}</header>")
    parts = [section(
        "Gain", "<p>How many times as fast as the fastest dense float32 allreduce of Open MPI (the algorithm that it chooses, or its ring) the mean "
        "over the ranks is with each compressor. Sorted by the filled marks. Left of the thick line a compressor is slower than dense. Dotted: "
        "the fastest bf16 allreduce of Open MPI, with both casts.</p>",
        picture([svg(gains(network, size), f"gains-{size.suffix}") for size in sizes], "Gain of every compressor at every rate."))]
    for i, rate in enumerate(network.rates):
        plots = [svg(error_against_time(rate, size), f"time{i}-{size.suffix}") for size in sizes]
        parts.append(section(
            f"At {rate.name}",
            f"<p>Ranks that all send to their neighbour at the same time got {significant(rate.link_mbit)} Mbit/s. <b>MiB sent</b>: what the "
            "library reports; <b>on the link</b>: what the link counted, with headers. <b>Share of the link</b>: the time that these bytes need at the "
            "nominal rate, as a share of the time that the call took; what remains is computing, waiting and the protocol. <b>Error</b>: of the "
            "first call's mean, against float64. In the plot, down and to the left is better.</p>" + _remarks(rate),
            picture(plots, f"Relative error against time at {rate.name}, both logarithmic.", _key(rate.results)) + _filter(network) + _rate_table(rate)))
    footer = ("<footer><p>Each time is the slowest rank's, as a median of 3 to 9 repetitions after a warm-up; the error feedback's work counts. "
              "The tensors are Gaussian with outliers, drawn independently for each rank, so what ranks of a training have in common is "
              "missing: errors of sparsifiers and of low rank are larger than in a training. All ranks share the cores of one machine, which "
              "also carries the packets.</p></footer>")
    return document("ccomp: allreduces over a limited network", f"{header}{''.join(parts)}{footer}")
