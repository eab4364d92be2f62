#!/usr/bin/python3
"""Looks at what bench/run was asked for before anything is built: one sentence and exit code 2 where it is wrong.

ccomp-compare checks the same and more; building it takes minutes that a typing error should not cost.
"""

import argparse
import ast
import math
import os
import pathlib
import re
import struct
import sys
import unicodedata

sys.dont_write_bytecode = True  # the sources may lie where nothing should be written

MOST_RANKS = 64
HEADERS = pathlib.Path(__file__).resolve().parents[2] / "include" / "ccomp"
WORD = r"[A-Za-z0-9_.+-]+"

NUMBER = r"-?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?"

# Settings whose range can be said without the library; that of others is left to it.
RANGES = {
    "ratio": ("above 0 and at most 1", lambda x: 0 < x <= 1),
    "capacity_ratio": ("above 0 and at most 1", lambda x: 0 < x <= 1),
    "block": ("a power of two from 1 to 4096", lambda x: x in {2.0**i for i in range(13)}),
    "blocks": ("a whole number, at least 1", lambda x: x >= 1 and x == int(x)),
    "clip": ("0 (none) or from 0.01 to 1e6", lambda x: x == 0 or 0.01 <= x <= 1e6),
    "rank": ("a whole number from 1 to 1024", lambda x: 1 <= x <= 1024 and x == int(x)),
}


class Wrong(Exception):
    """One sentence for the person at the keyboard."""


def printable(text):
    """Terminals obey control characters, and a name may hold anything."""
    return "".join("?" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text)


def whole(option, text, least, most):
    if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise Wrong(f"{option} '{text}' is not a whole number from {least} to {most}.")
    return int(text)


def check_link(text):
    found = re.fullmatch(r"([0-9]*\.?[0-9]*)([kmg]?)bit", text.lower())
    number = found[1] if found else ""
    if not re.search("[0-9]", number) or float(number) <= 0:
        raise Wrong(f"--link '{text}' is no speed; write it like 100mbit, 1gbit or 2.5gbit.")
    if not 1e3 <= float(number) * {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}[found[2]] <= 1e15:
        raise Wrong(f"--link '{text}' lies outside 1kbit to 1000000gbit.")


def known_stages():
    """Name -> (its settings in order, each with its type, whether it must be a chain's last), from where the library's
    stages list them."""
    stages = {}
    for folder in ("quantize", "transform", "sparsify", "low_rank"):
        for header in sorted((HEADERS / folder).glob("*.hpp")):
            text = header.read_text(encoding="utf-8")
            for name in re.findall(r'string_view name = "(\w+)";', text):
                keys = [key for key, stage in re.findall(r'field\{"(\w+)", &(\w+)::', text) if stage == name]
                types = {key: re.search(rf"^ +(?:std::)?(\w+) {key}(?: = |{{)", text, re.M) for key in keys}
                settings = {key: found[1] if found else "" for key, found in types.items()}
                if settings or name == "cast":
                    # Quantizers of vectors leave gains, which later stages may code.
                    stages[name] = (settings, folder == "quantize" and "carrier_size(" not in text)
    return stages


def arguments_of(name):
    """What may stand between < and >; empty where nothing may."""
    text = (HEADERS / "stage_list.hpp").read_text(encoding="utf-8")
    found = re.findall(rf"stage_row<{name}<(\w+)>>", text)
    for widths in re.findall(rf"stage_widths<{name}, ([0-9, ]+)>", text):
        found += widths.split(", ")
    for variants in re.findall(rf"stage_row<({name}<\d+, \d+>[^{{]*)>{{", text):
        found += [f"{dim}x{bits}" for dim, bits in re.findall(r"<(\d+), (\d+)>", variants)]
    return found


def names_of(enumeration):
    """The words that a setting of this type takes; empty where it is no enumeration."""
    for header in sorted(HEADERS.rglob("*.hpp")):
        found = re.search(rf"setting_names\({enumeration}\) \{{.*?\{{(.*?)\}}", header.read_text(encoding="utf-8"), re.S)
        if found:
            return re.findall(r'"(\w+)"', found[1])
    return []


def check_setting(refuse, stage, key, kind, value):
    if kind == "bool":
        want, good = "true or false", value in ("true", "false")
    elif kind in ("float", "double"):
        good = re.fullmatch(NUMBER, value, re.I) is not None and math.isfinite(float(value))
        want = "a finite number"
    elif kind in ("uint32_t", "uint64_t", "size_t", "int"):
        want, good = "a whole number", re.fullmatch("[0-9]+", value) is not None
    elif kind == "vector_codebook":
        want, good = "a codebook file that can be read, or none", value == "none" or pathlib.Path(value).is_file()
    elif "/" in value:
        want, good = "numbers", all(re.fullmatch(NUMBER, each, re.I) for each in value.split("/"))
    else:
        names = names_of(kind)
        want, good = f"one of {', '.join(names)}", not names or value in names
    if good and key in RANGES and re.fullmatch(NUMBER, value, re.I):
        want, good = RANGES[key][0], RANGES[key][1](float(value))
    if not good:
        refuse(f"{stage}: {key} must be {want}, got {value}")


def check_compressor(text):
    def refuse(why):
        raise Wrong(f"the compressor '{text}' cannot be used: {why}.")

    if not text.strip():
        raise Wrong("--compressor needs a text, such as 'top_k(0.01)|uniform_quantize<8>'.")
    stages = known_stages()
    last = None
    for part in text.split("|"):
        parts = re.fullmatch(rf"\s*({WORD})\s*(?:<\s*({WORD})\s*>\s*)?(?:\(([^()]*)\)\s*)?", part)
        if not parts:
            refuse(f"'{part.strip()}' is no stage; one is written name<bits>(value, key=value)")
        name, argument, settings = parts[1], parts[2], parts[3] or ""
        if name not in stages:
            refuse(f"there is no stage '{name}' (known: {', '.join(sorted(stages))})")
        if last:
            refuse(f"{last} gives codes, after which no stage can come")
        keys, is_last = stages[name]
        last = name if is_last else None
        arguments = arguments_of(name)
        if argument and argument not in arguments:
            known = f" (known: {', '.join(arguments)})" if arguments else ""
            refuse(f"there is no {name}<{argument}>{known}")
        if name == "cast" and not (argument or arguments[0]).startswith("fp8"):
            keys = {}  # its blocks are those of 8-bit types
        given = []
        for setting in settings.split(",") if settings.strip() else []:
            word = re.fullmatch(rf"\s*(?:({WORD})\s*=\s*)?([^\s,=()|]+)\s*", setting)
            if not word:
                refuse(f"'{setting.strip()}' is no setting; one is written value or key=value")
            if word[1] and word[1] not in keys:
                refuse(f"{name} has no setting '{word[1]}' (known: {', '.join(keys) or 'none'})")
            place = sum(1 for by_name, _ in given if not by_name)
            if not word[1] and place >= len(keys):
                refuse(f"{name} has {len(keys)} settings, not more")
            key = word[1] or list(keys)[place]
            if key in (other for _, other in given):
                refuse(f"{name}'s {key} is given twice")
            given.append((bool(word[1]), key))
            check_setting(refuse, name, key, keys[key], word[2])


def read_header(stream, refuse):
    magic = stream.read(8)
    if len(magic) < 8 or magic[:6] != b"\x93NUMPY":
        refuse("it is no NumPy file")
    if magic[6] not in (1, 2, 3) or magic[7] != 0:
        refuse("its NumPy format version is not 1.0, 2.0 or 3.0")
    width = 2 if magic[6] == 1 else 4
    size = stream.read(width)
    if len(size) < width:
        refuse("it ends within its header")
    length = struct.unpack("<H" if width == 2 else "<I", size)[0]
    if length > 65536:
        refuse(f"its header claims {length} bytes")
    text = stream.read(length)
    if len(text) < length:
        refuse("it ends within its header")
    try:
        header = ast.literal_eval(text.decode("latin-1").strip())
        descr, order, shape = header["descr"], header["fortran_order"], header["shape"]
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        refuse("its header is damaged")
    if isinstance(shape, int):
        shape = (shape,)
    if not isinstance(shape, tuple) or not all(isinstance(x, int) and x >= 0 for x in shape):
        refuse("its header's 'shape' is no tuple of numbers")
    return descr, order, shape


def check_values(path, offset, kind, shape, ranks):
    """As far as NumPy is here: what no error can be measured on."""
    try:
        import numpy
    except ImportError:
        return
    values = numpy.memmap(path, dtype=kind, mode="r", offset=offset)
    rows = 1
    if len(shape) == 2 and (ranks or shape[0] <= MOST_RANKS):
        rows = min(shape[0], ranks or MOST_RANKS)
        values = values.reshape(shape)[:rows]
    values = values.reshape(rows, -1)
    for row in range(rows):
        for begin in range(0, values.shape[1], 1 << 22):
            bad = ~numpy.isfinite(values[row, begin : begin + (1 << 22)])
            if bad.any():
                raise Wrong(f"the input holds a value that is not finite (row {row}, index {begin + int(bad.argmax())}), "
                            "so no error can be measured on it.")
    if not values[0].any():
        raise Wrong("the input's first row is all zero, so no relative error can be measured on it.")


def check_input(path, ranks):
    def refuse(why):
        raise Wrong(f"the input '{path}' cannot be used: {why}.")

    if not path:
        raise Wrong("--input needs the name of a file.")
    if "\0" in path or not os.path.exists(path):
        raise Wrong(f"the input '{path}' does not exist.")
    if not os.path.isfile(path):
        raise Wrong(f"the input '{path}' is not a file.")
    try:
        with open(path, "rb") as stream:
            descr, order, shape = read_header(stream, refuse)
            offset = stream.tell()
            left = os.fstat(stream.fileno()).st_size - offset
    except OSError:
        raise Wrong(f"the input '{path}' cannot be opened for reading.") from None
    if descr not in ("<f4", "<f2"):
        what = f"of type '{descr[:16]}'" if isinstance(descr, str) else "records"
        refuse(f"its values are {what}, but only little-endian float32 ('<f4') and float16 ('<f2') are read")
    if order is not False:
        refuse("it is stored in Fortran order, but only C order is read; numpy.ascontiguousarray turns it")
    count, size = math.prod(shape), int(descr[2])
    if count == 0:
        refuse("it holds no values")
    if left != count * size:
        refuse(f"its header announces {count} values of {size} bytes, but {left} bytes follow")
    check_values(path, offset, descr, shape, ranks)


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Wrong(f"{message}; --help lists the options.")


def main():
    parser = _Parser(prog="bench/run", allow_abbrev=False, add_help=False)
    parser.add_argument("--input")
    parser.add_argument("--ranks")
    parser.add_argument("--link")
    parser.add_argument("--compressor", action="append", default=[])
    parser.add_argument("--feedback", action="store_true", help="a compressor may stand behind 'feedback:'")
    try:
        wanted = parser.parse_args()
        ranks = None if wanted.ranks is None else whole("--ranks", wanted.ranks, 1, MOST_RANKS)
        for text in [] if wanted.link is None else wanted.link.split(","):
            check_link(text)
        for text in wanted.compressor:
            check_compressor(text.removeprefix("feedback:") if wanted.feedback else text)
        if wanted.input is not None:
            check_input(wanted.input, ranks)
    except Wrong as sentence:
        print(f"bench/run: {printable(str(sentence))}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
