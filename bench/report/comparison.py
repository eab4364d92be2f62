"""The file that `ccomp-compare --json` or `ccomp-compare-cuda --json` writes, checked before anything is drawn from it."""

import math

from checked import Missing as _Missing
from checked import WrongInput, load_json
from checked import get as _get
from checked import number as _number
from checked import number_or_none as _number_or_none


def load(path):
    document = load_json(path)
    try:
        return Comparison(document)
    except _Missing as missing:
        raise WrongInput(f"'{path}' was not written by ccomp-compare --json: {missing}.") from None


def _break_even(holder, key, where):
    value = holder.get(key) if isinstance(holder, dict) else None
    if value == "always":
        return math.inf
    return 0.0 if value == "never" else _number(holder, key, where, positive=True)


class Dense:
    def __init__(self, entry):
        self.name = _get(entry, "name", "an entry of 'dense'", str)
        where = f"'{self.name}'"
        self.codec_ms = _number(entry, "codec_ms", where)
        self.bytes_sent = _number(entry, "bytes_sent", where)

    def milliseconds(self, gbit):
        return self.codec_ms + self.bytes_sent * 8 / (gbit * 1e9) * 1e3


class Result:
    def __init__(self, entry, links, on_device, half):
        self.name = _get(entry, "compressor", "an entry of 'results'", str)
        where = f"'{self.name}'"
        self.payload_bytes = _number(entry, "payload_bytes", where, positive=True)
        self.ratio = _number(entry, "ratio", where, positive=True)
        self.relative_error = _number_or_none(entry, "relative_error", where)
        self.cosine = _number_or_none(entry, "cosine", where)
        self.encode_gbps = _number(entry, "encode_gbps", where)
        self.decode_gbps = _number(entry, "decode_gbps", where)
        # How near speeds come to what memory allows: reading the values on a host, a copy on a GPU.
        if on_device:
            self.encode_of_yardstick = _number(entry, "encode_of_copy", where)
            self.decode_of_yardstick = _number(entry, "decode_of_copy", where)
            same = _get(entry, "same_as_host", where, dict)
            self.same_as_host = all(_get(same, key, where, bool) for key in ("payload", "values"))
            self.ranks_agree_on_device = _get(entry, "ranks_agree_on_device", where, bool)
        else:
            self.encode_of_yardstick = _number(entry, "encode_vs_read", where)
        allreduce = _get(entry, "allreduce", where, dict)
        self.strategy = _get(allreduce, "strategy", where, str)
        self.allreduce_ms = _number(allreduce, "ms", where)
        self.allreduce_bytes = _number(allreduce, "bytes_sent", where)
        self.allreduce_error = _number_or_none(allreduce, "relative_error", where)
        feedback = _get(entry, "feedback", where, dict)
        self.feedback_error = _number_or_none(feedback, "relative_error", where)
        timed = _get(entry, "timed", where, dict)
        self.codec_ms = _number(timed, "codec_ms", where)
        self.bytes_sent = _number(timed, "bytes_sent", where)
        predicted = _get(entry, "predicted_ms", where, dict)
        self.predicted_ms = [_number(predicted, name, where) for name, _ in links]
        limits = _get(entry, "break_even_gbit", where, dict)
        self.beats_float32_below = _break_even(limits, "dense float32", where)
        self.beats_half_below = _break_even(limits, half, where)

    milliseconds = Dense.milliseconds


class Distribution:
    def __init__(self, entry, rank):
        where = f"the distribution of rank {rank}"
        self.rms = _number(entry, "rms", where)
        self.max_abs = _number(entry, "max_abs", where)
        self.kurtosis = _number(entry, "kurtosis", where)
        self.counts = _get(entry, "counts", where, list)
        self.abs_quantiles = _get(entry, "abs_quantiles", where, list)
        counts_ok = len(self.counts) > 0 and all(isinstance(c, int) and c >= 0 for c in self.counts)
        pairs_ok = all(
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, (int, float)) for x in pair)
            for pair in self.abs_quantiles
        )
        if not counts_ok or not pairs_ok:
            raise _Missing(f"{where} has a damaged histogram")


class Comparison:
    def __init__(self, document):
        where = "the file"
        yardsticks = _get(document, "yardsticks", where, dict)
        self.on_device = "device_copy_gbps" in yardsticks
        if self.on_device:
            self.copy_gbps = _number(yardsticks, "device_copy_gbps", "'yardsticks'")
        else:
            self.read_gbps = _number(yardsticks, "read_gbps", "'yardsticks'")
            self.copy_gbps = _number(yardsticks, "copy_gbps", "'yardsticks'")
        kind = "device_copy" if self.on_device else "read"
        self.least_gbps = _number(yardsticks, f"{kind}_gbps_least", "'yardsticks'")
        self.most_gbps = _number(yardsticks, f"{kind}_gbps_most", "'yardsticks'")
        self.spread = _number(yardsticks, f"{kind}_spread", "'yardsticks'")
        self.quiet = _get(yardsticks, "quiet", "'yardsticks'", bool)
        self.links = []
        for entry in _get(document, "links", where, list):
            name = _get(entry, "name", "an entry of 'links'", str)
            self.links.append((name, _number(entry, "gbit_per_second", f"link '{name}'", positive=True)))
        if not self.links:
            raise _Missing("it names no link")
        chosen = _get(document, "chosen_link", where, str)
        places = [i for i, (name, _) in enumerate(self.links) if name == chosen]
        if not places:
            raise _Missing("'chosen_link' is none of its links")
        self.chosen = places[0]
        dense = [Dense(entry) for entry in _get(document, "dense", where, list)]
        if [one.name for one in dense] not in (["dense float32", "dense bf16"], ["dense float32", "dense float16"]):
            raise _Missing("'dense' does not hold 'dense float32' and 'dense bf16' or 'dense float16'")
        self.dense_float32, self.dense_half = dense
        self.results = [Result(entry, self.links, self.on_device, self.dense_half.name)
                        for entry in _get(document, "results", where, list)]
        if not self.results:
            raise _Missing("it holds no results")
        distribution = _get(document, "distribution", where, dict)
        self.limit = _number(distribution, "limit", "'distribution'", positive=True)
        ranks = _get(distribution, "ranks", "'distribution'", list)
        self.distributions = [Distribution(entry, rank) for rank, entry in enumerate(ranks)]
        if not self.distributions:
            raise _Missing("'distribution' holds no rank")
        self.environment = _get(document, "environment", where, dict)
        for key in ("n", "n_timed", "ranks", "threads", "cores", "repetitions", "allreduce_repetitions", "feedback_steps", "file_rows", "value_bytes"):
            _number(self.environment, key, "'environment'", positive=True)
        words = ("cpu", "compiler", "date", "input", "input_read_as", "ccomp", "instruction_set")
        for key in words + (("gpu", "cuda_runtime", "cuda_driver") if self.on_device else ()):
            _get(self.environment, key, "'environment'", str)

    def best_dense(self, index):
        """The faster dense allreduce at a link."""
        gbit = self.links[index][1]
        return min((self.dense_float32, self.dense_half), key=lambda one: one.milliseconds(gbit))

    def fastest(self, index, most_error=math.inf):
        """The fastest compressor at a link whose error is known and not larger, and how many times as fast as the best
        dense allreduce it is; None where dense wins."""
        known = [one for one in self.results if one.relative_error is not None and one.relative_error <= most_error]
        if not known:
            return None
        best = min(known, key=lambda one: one.predicted_ms[index])
        dense = self.best_dense(index).milliseconds(self.links[index][1])
        ms = best.predicted_ms[index]
        return (best, dense / ms if ms > 0 else math.inf) if ms < dense else None
