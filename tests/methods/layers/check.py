#!/usr/bin/env python3
"""Holds every #include in include/ against the table of layers in docs/architecture.md."""

import fnmatch
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parents[3]
headers = root / "include" / "ccomp"


class Layer:
    def __init__(self, cells):
        self.name = cells[0]
        self.patterns = re.findall(r"`([^`]+)`", cells[1])
        self.below = {".hpp": self.names(cells[2]), ".cuh": self.names(cells[2]) | self.names(cells[3])}

    @staticmethod
    def names(cell):
        return {name.strip() for name in cell.split(",") if name.strip()}

    def holds(self, path):
        return any(fnmatch.fnmatchcase(path, p) and p.count("/") == path.count("/") for p in self.patterns)


def read_layers(page):
    """The rows of the table that stands under the heading "Layers"."""
    text = page.split("\n## Layers\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [Layer([cell.strip() for cell in row.strip("|").split("|")]) for row in rows]


def includes(path):
    """Each included header of ccomp, and whether it is included for device code only."""
    device = 0
    for line in path.read_text().splitlines():
        if re.match(r"#\s*if.*(CCOMP_DEVICE_CODE|__CUDACC__)", line):
            device += 1
        elif device and re.match(r"#\s*endif", line):
            device -= 1
        elif found := re.match(r"#\s*include\s*[<\"]ccomp/([^>\"]+)[>\"]", line):
            yield found[1], device > 0


def main():
    layers = read_layers((root / "docs" / "architecture.md").read_text())
    faults, order = [], {layer.name: i for i, layer in enumerate(layers)}
    for layer in layers:
        for name in layer.below[".cuh"]:
            if order.get(name, len(layers)) >= order[layer.name]:
                faults.append(f"the table: {layer.name} may include {name}, which does not stand above it in the table")
    files = sorted(p for p in headers.rglob("*") if p.suffix in (".hpp", ".cuh"))
    of = {}
    for path in files:
        relative = path.relative_to(headers).as_posix()
        mine = [layer for layer in layers if layer.holds(relative)]
        if len(mine) != 1:
            faults.append(f"{relative}: in {len(mine)} layers: {[layer.name for layer in mine]}")
        else:
            of[relative] = mine[0]
    for path in files:
        relative = path.relative_to(headers).as_posix()
        layer = of.get(relative)
        if not layer:
            continue
        for target, for_device in includes(path):
            if target not in of:
                faults.append(f"{relative}: includes ccomp/{target}, which there is not")
            elif path.suffix == ".hpp" and target.endswith(".cuh") and not for_device:
                faults.append(f"{relative}: includes {target} where no compiler for GPUs may be")
            elif of[target] is not layer and of[target].name not in layer.below[".cuh" if for_device else path.suffix]:
                faults.append(f"{relative} ({layer.name}) includes {target} ({of[target].name})")
    for layer in layers:
        if layer not in of.values():
            faults.append(f"the table: {layer.name} holds no header")
    for fault in faults:
        print(fault)
    print(f"{len(of)} headers in {len(layers)} layers, {len(faults)} faults")
    return 1 if faults or len(of) < 50 else 0


if __name__ == "__main__":
    sys.exit(main())
