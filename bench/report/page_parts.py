"""What the pages of this project are made of: HTML without anything outside of itself."""

import html
import math
import pathlib
import re

from families import FAMILIES

HERE = pathlib.Path(__file__).resolve().parent


def style():
    """The sheet, with each kind's colour on light and on dark paper."""
    shades = ["".join(f" --{key}: {entry[place]};" for key, entry in FAMILIES.items()) for place in (1, 2)]
    text = (HERE / "page.css").read_text(encoding="utf-8")
    return text.replace("/* kinds, light */", shades[0]).replace("/* kinds, dark */", shades[1])


def three_digits(value):
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-4 or size >= 1e7:
        return f"{value:.1e}"
    digits = max(0, 2 - math.floor(math.log10(size)))
    return f"{value:,.{min(digits, 5)}f}"


def breakable(compressor):
    """A long text may wrap between its words."""
    return re.sub(r"[|_(]", r"\g<0><wbr>", html.escape(compressor))


def code(text):
    return f"<code>{breakable(text)}</code>"


def table(head, rows):
    return f'<div class="wide"><table class="sorts"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'


def cell(shown, value=None):
    """What the script sorts by, where it is no text; what does not exist comes last."""
    key = "" if value is None or isinstance(value, float) and math.isnan(value) else f"{value:.9g}"
    return f'<td data-v="{key}">{shown}</td>'


def number(value):
    return cell(three_digits(value), value)


def section(title, text, body):
    return f"<section><h2>{title}</h2>{text}{body}</section>"


def picture(plots, description, key=""):
    """For a wide page and for a narrow one; the style sheet shows one of them."""
    label = html.escape(description)
    figures = [f'<figure class="{width}" role="img" aria-label="{label}">{text}</figure>'
               for width, text in zip(("broad", "narrow"), plots)]
    return figures[0] + figures[1] + key


def swatch(kind):
    return f'<span class="swatch" style="background: var(--{kind})"></span>'


def document(title, body):
    script = (HERE / "page.js").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style()}</style></head>"
        f"<body><main>{body}</main><script>{script}</script></body></html>\n"
    )
