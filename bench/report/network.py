"""What ccomp-bench-network measured at each rate, in one document: made of its files, or read again and checked."""

import json
import math
import pathlib

from checked import Missing, WrongInput, get, load_json, number, number_or_none
from families import family_of

# (compressor, Mbit/s, how many times as fast as the fastest dense allreduce of Open MPI it should be)
BARS = [
    ("cast<bfloat16>", 1000, 1.9),
    ("uniform_quantize<8>", 1000, 3.5),
    ("uniform_quantize<4>", 1000, 6.3),
    ("sign_quantize", 1000, 16),
    ("top_k(0.01)|uniform_quantize<8>", 1000, 22),
    ("power_sgd(4)", 100, 70),
]
MOST_DRIFT = 0.25  # as in the comparison: above this the machine was not quiet


def rate_text(mbit):
    return f"{mbit / 1000:g} Gbit/s" if mbit >= 1000 else f"{mbit:g} Mbit/s"


def merge(folder):
    """The files of one run, <Mbit/s>-default.json, -ring.json and, where PyTorch was, -gloo.json, and what facts.json tells of the machine."""
    folder = pathlib.Path(folder)
    facts = load_json(folder / "facts.json")
    rates = []
    for path in sorted(folder.glob("*-default.json"), key=lambda one: int(one.name.split("-")[0])):
        mbit = int(path.name.split("-")[0])
        chosen = load_json(path)
        ring = load_json(folder / f"{mbit}-ring.json")
        dense = []
        for algorithm, document in (("chosen by Open MPI", chosen), ("ring", ring)):
            for one in document["dense"]:
                dense.append({"algorithm": "direct" if one["library"] == "ccomp" else algorithm, **one})
        gloo = folder / f"{mbit}-gloo.json"
        if gloo.exists():
            dense += [{"algorithm": f"PyTorch {one['version']}", **one} for one in load_json(gloo)["dense"]]
        facts |= {key: chosen[key] for key in ("ccomp", "date", "cpu", "cores", "compiler", "instruction_set", "mpi", "ranks", "threads", "n")}
        rates.append({"mbit": mbit, "link_mbit": chosen["link_mbit"], "drift": chosen["drift"], "dense": dense,
                      "results": chosen["results"], "refused": chosen["refused"], "left_out": chosen["left_out"]})
    if not rates:
        raise WrongInput(f"'{folder}' holds no measurement of ccomp-bench-network.")
    return {"environment": facts, "rates": rates}


def load(path):
    document = load_json(path)
    try:
        return Network(document)
    except Missing as missing:
        raise WrongInput(f"'{path}' was not written by bench/run --network: {missing}.") from None


class _Timed:
    def __init__(self, entry, where):
        self.ms = number(entry, "ms", where, positive=True)
        self.least_ms = number(entry, "least_ms", where, positive=True)
        self.most_ms = number(entry, "most_ms", where, positive=True)
        self.repetitions = int(number(entry, "repetitions", where, positive=True))
        self.wire_bytes = number(entry, "wire_bytes", where)
        self.relative_error = number_or_none(entry, "relative_error", where)


class Dense(_Timed):
    def __init__(self, entry):
        self.library = get(entry, "library", "an entry of 'dense'", str)
        self.type = get(entry, "type", "an entry of 'dense'", str)
        self.algorithm = get(entry, "algorithm", "an entry of 'dense'", str)
        self.label = f"{self.library}, {self.type}, {self.algorithm}"
        self.without_casts_ms = number(entry, "without_casts_ms", self.label) if "without_casts_ms" in entry else None
        super().__init__(entry, f"'{self.label}'")


class Result(_Timed):
    def __init__(self, entry):
        self.name = get(entry, "compressor", "an entry of 'results'", str)
        where = f"'{self.name}'"
        self.feedback = get(entry, "feedback", where, bool)
        self.label = self.name + (" + feedback" if self.feedback else "")
        self.strategy = get(entry, "strategy", where, str)
        self.bytes_sent = number(entry, "bytes_sent", where)
        self.ranks_agree = get(entry, "ranks_agree", where, bool)
        self.family = family_of(self.name)
        super().__init__(entry, where)


class Rate:
    def __init__(self, entry):
        self.mbit = number(entry, "mbit", "an entry of 'rates'", positive=True)
        self.name = rate_text(self.mbit)
        self.link_mbit = number(entry, "link_mbit", self.name)
        self.drift = number(entry, "drift", self.name, positive=True)
        self.dense = [Dense(one) for one in get(entry, "dense", self.name, list)]
        self.results = [Result(one) for one in get(entry, "results", self.name, list)]
        self.refused = [(get(one, "compressor", "'refused'", str), get(one, "why", "'refused'", str))
                        for one in get(entry, "refused", self.name, list)]
        self.left_out = [str(one) for one in get(entry, "left_out", self.name, list)]
        for kind in ("float32", "bf16"):
            if not any(one.type == kind and one.library == "Open MPI" for one in self.dense):
                raise Missing(f"{self.name} has no dense {kind} of Open MPI")

    def fastest(self, kind):
        """Of Open MPI's, whichever algorithm: by the median."""
        return min((one for one in self.dense if one.type == kind and one.library == "Open MPI"), key=lambda one: one.ms)

    def gain(self, one):
        return self.fastest("float32").ms / one.ms

    def gain_over_half(self, one):
        return self.fastest("bf16").ms / one.ms

    def link_share(self, one):
        """The time that the bytes need at the nominal rate, of the time that the call took: 1 is the most that a link allows."""
        return one.bytes_sent * 8 / (self.mbit * 1e3) / one.ms

    def of(self, label):
        return next((one for one in self.results if one.label == label), None)

    @property
    def quiet(self):
        return abs(self.drift - 1) <= MOST_DRIFT


class Network:
    def __init__(self, document):
        self.environment = get(document, "environment", "the file", dict)
        for key in ("ccomp", "date", "cpu", "compiler", "instruction_set", "mpi", "kernel", "iproute2", "congestion_control"):
            get(self.environment, key, "'environment'", str)
        for key in ("cores", "ranks", "threads", "n"):
            number(self.environment, key, "'environment'", positive=True)
        get(self.environment, "quick", "'environment'", bool)
        self.mib = self.environment["n"] * 4 / 2**20
        self.rates = [Rate(one) for one in get(document, "rates", "the file", list)]
        if not self.rates:
            raise Missing("it holds no rate")

    def labels(self):
        """Of all results, in the order in which they were measured."""
        return list(dict.fromkeys(one.label for rate in self.rates for one in rate.results))

    def middle(self):
        """The rate for which there are the most bars, or the first."""
        return next((rate for rate in self.rates if rate.mbit == 1000), self.rates[0])

    def bars(self):
        """(compressor, rate, bar, gain, gain with feedback) of what was measured; None for what was not."""
        found = []
        for name, mbit, bar in BARS:
            for rate in self.rates:
                if rate.mbit == mbit:
                    gains = [rate.gain(one) if one else None for one in (rate.of(name), rate.of(name + " + feedback"))]
                    if any(gain is not None for gain in gains):
                        found.append((name, rate, bar, *gains))
        return found


def significant(value, digits=3):
    """Never more digits than a figure is worth."""
    if value is None or not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text else text


def dump(document):
    return json.dumps(document, indent=1) + "\n"
