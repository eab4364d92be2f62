#!/usr/bin/env python3
"""PyTorch's dense float32 allreduce over gloo, timed as ccomp-bench-network times its own (timing.hpp). mpirun starts the ranks.

  gloo.py --probe        exit code 0 where this Python has PyTorch with gloo
  gloo.py ADDRESS KIB SECONDS FILE.json
                         rank 0 waits at ADDRESS for the others, in whose namespaces the network device is called 'link'
"""

import datetime
import json
import os
import statistics
import sys
import time

import numpy
import torch
from torch import distributed

PORT = 29500
LEAST, MOST = 3, 9  # repetitions


def gradient(rank, n):
    return torch.from_numpy(numpy.random.default_rng(rank).standard_normal(n, dtype=numpy.float32) * numpy.float32(1e-3))


def sent_bytes():
    with open("/sys/class/net/link/statistics/tx_bytes", encoding="ascii") as counter:
        return int(counter.read())


def combined(value, how):
    """Of a number of each rank, by gloo itself."""
    one = torch.tensor([value], dtype=torch.float64)
    distributed.all_reduce(one, op=how)
    return float(one[0])


def time_calls(rank, ranks, n, seconds):
    """(seconds of each repetition, bytes on the link, relative error)"""
    mine = gradient(rank, n)
    times = []
    spent = 0.0
    for repetition in range(MOST + 1):
        values = mine.clone()
        distributed.barrier()
        sent = sent_bytes()
        start = time.perf_counter()
        distributed.all_reduce(values)
        took = time.perf_counter() - start
        slowest = combined(took, distributed.ReduceOp.MAX)
        wire_bytes = combined(sent_bytes() - sent, distributed.ReduceOp.SUM) / ranks
        if repetition == 0:  # the warm-up, as long as it is short
            exact = sum(gradient(each, n).double() for each in range(ranks))
            error = float((values.double() - exact).norm() / exact.norm())
            if slowest <= seconds:
                continue
        times.append(slowest)
        spent += slowest
        if len(times) >= LEAST and spent + slowest > seconds:
            break
    return times, wire_bytes, error


def main():
    if not distributed.is_available() or not getattr(distributed, "is_gloo_available", lambda: True)():
        sys.exit("gloo.py: this PyTorch has no gloo.")
    if sys.argv[1:] == ["--probe"]:
        return
    address, kib, seconds, path = sys.argv[1:]
    rank, ranks = int(os.environ["OMPI_COMM_WORLD_RANK"]), int(os.environ["OMPI_COMM_WORLD_SIZE"])
    os.environ["GLOO_SOCKET_IFNAME"] = "link"
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"tcp://{address}:{PORT}", rank=rank, world_size=ranks,
                                   timeout=datetime.timedelta(minutes=2))
    times, wire_bytes, error = time_calls(rank, ranks, int(kib) * 256, float(seconds))
    if rank == 0:
        milliseconds = [1e3 * one for one in times]
        entry = {"ms": statistics.median(milliseconds), "least_ms": min(milliseconds), "most_ms": max(milliseconds), "repetitions": len(times),
                 "wire_bytes": wire_bytes, "library": "gloo", "type": "float32", "version": torch.__version__, "relative_error": error}
        print(f"  gloo float32: {entry['ms']:.1f} ms", flush=True)
        with open(path, "w", encoding="utf-8") as stream:
            json.dump({"dense": [entry]}, stream)
    distributed.barrier()


if __name__ == "__main__":
    main()
