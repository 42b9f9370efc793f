"""Damaged JSON: every value of a document replaced by nonsense, removed, or joined by a key that nothing knows."""

import copy
import json

NONSENSE = (
    *(None, True, -1, 0, 10**400, 1.5, float("nan"), float("inf"), -float("inf"), 1e308, "", "lower", "\ud800"),
    *([], {}, [[]], {"a": {"b": [1]}}, [0.2, 0.1], ["a", "a"], "x" * 300, "remove", "add"),
)


def damaged(document, *, every=1):
    """Texts of ``document`` with one value changed; of the nonsense for each place only every so manieth."""
    for number, place in enumerate(_places(document)):
        *above, key = place
        for value in NONSENSE[number % every :: every]:
            changed = copy.deepcopy(document)
            holder = changed
            for step in above:
                holder = holder[step]
            if value == "remove":
                del holder[key]
            elif value == "add" and isinstance(holder, dict):
                holder["nonsense"] = 1
            elif value == 10**400:  # Python reads as many digits, and no float holds them
                holder[key] = "DIGITS"
            else:
                holder[key] = value
            yield json.dumps(changed).replace('"DIGITS"', "1" + 400 * "0")


def _places(value, path=()):
    if path:
        yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(inner, (*path, key))
