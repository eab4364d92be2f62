"""JSON files that programs of this project wrote, checked before anything is made of them."""

import json
import math


class WrongInput(Exception):
    """One sentence for the person at the keyboard."""


class Missing(Exception):
    """What a document lacks, as a clause."""


def load_json(path):
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except OSError as error:
        raise WrongInput(f"'{path}' cannot be read ({error.strerror}).") from None
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise WrongInput(f"'{path}' is not JSON.") from None


def get(holder, key, where, kind):
    if not isinstance(holder, dict) or key not in holder:
        raise Missing(f"{where} has no '{key}'")
    value = holder[key]
    if not isinstance(value, kind) or isinstance(value, bool) and kind is not bool:
        raise Missing(f"'{key}' of {where} has the wrong type")
    return value


def number(holder, key, where, positive=False):
    value = float(get(holder, key, where, (int, float)))
    if not math.isfinite(value) or value < 0 or positive and value == 0:
        raise Missing(f"'{key}' of {where} is out of range")
    return value


def number_or_none(holder, key, where):
    """Null stands for a number that does not exist, such as an error relative to nothing."""
    if isinstance(holder, dict) and key in holder and holder[key] is None:
        return None
    value = float(get(holder, key, where, (int, float)))
    return value if math.isfinite(value) else None
