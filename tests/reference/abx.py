"""ABX by counting triplets one at a time: slow, loops only, shares nothing with the package."""

import math

import numpy as np


def frame_distance(x, y, kind):
    """Distance of two frames, sequences of numbers."""
    if kind == "identical":
        return 0.0 if list(x) == list(y) else 1.0
    if kind == "euclidean":
        return math.sqrt(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)))
    if kind == "angular":
        if not any(x) or not any(y):  # no direction
            return 0.0 if any(x) == any(y) else 1.0
        dot = sum(a * b for a, b in zip(x, y, strict=True))
        size = math.sqrt(sum(a * a for a in x)) * math.sqrt(sum(b * b for b in y))
        return math.acos(max(-1.0, min(1.0, dot / size))) / math.pi
    there = sum(a * math.log((a + 1e-6) / (b + 1e-6)) for a, b in zip(x, y, strict=True))
    back = sum(b * math.log((b + 1e-6) / (a + 1e-6)) for a, b in zip(x, y, strict=True))
    return (there + back) / 2


def dtw(x, y, kind):
    """Cost of the cheapest path from corner to corner over the number of cells on it."""
    cost, cells = {}, {}
    for i in range(len(x)):
        for j in range(len(y)):
            steps = [c for c in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if c in cost]
            # of equally cheap steps the diagonal, else the shorter path
            step = min(steps, key=lambda c: (cost[c], c != (i - 1, j - 1), cells[c]), default=None)
            cost[i, j] = frame_distance(x[i], y[j], kind) + cost.get(step, 0.0)
            cells[i, j] = 1 + cells.get(step, 0)
    last = len(x) - 1, len(y) - 1
    return cost[last] / cells[last]


def edit_distance(x, y):
    """Fewest insertions, deletions and replacements, over the length of the longer string."""
    known = {}

    def fewest(i, j):
        if i == 0 or j == 0:
            return i + j
        if (i, j) not in known:
            known[i, j] = min(fewest(i - 1, j) + 1, fewest(i, j - 1) + 1, fewest(i - 1, j - 1) + (x[i - 1] != y[j - 1]))
        return known[i, j]

    return fewest(len(x), len(y)) / max(len(x), len(y))


def token_distance(x, y, kind):
    """Distance of two tokens, sequences of frames."""
    return edit_distance(x, y) if kind == "levenshtein" else dtw(x, y, kind)


def token(features, item, rate):
    """Frames whose centres lie in the token, or else the one around its middle."""
    frames = features[item.file]
    inside = [t for t in range(len(frames)) if item.onset - 1e-9 <= (t + 0.5) / rate <= item.offset + 1e-9]
    if not inside:
        inside = [min(len(frames) - 1, int((item.onset + item.offset) / 2 * rate))]
    return [[float(value) for value in frames[t]] for t in inside]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def triplets(features, items, *, speaker, context, distance, frame_rate):
    """Answers of every triplet, 1 wrong and 0 right, with its items: pair -> speaker -> cell -> [(answer, x, a, b)]."""
    tokens = [token(features, item, frame_rate) for item in items]
    between = {}

    def apart(i, j):
        if (j, i) in between:
            return between[j, i]
        if (i, j) not in between:
            between[i, j] = token_distance(tokens[i], tokens[j], distance)
        return between[i, j]

    cells = {}
    for x, item_x in enumerate(items):
        for a, item_a in enumerate(items):
            if a == x or item_a.phone != item_x.phone:
                continue
            if (item_a.speaker == item_x.speaker) != (speaker == "within"):
                continue
            if context == "within" and item_a.context != item_x.context:
                continue
            for b, item_b in enumerate(items):
                if item_b.phone == item_x.phone or item_b.speaker != item_a.speaker:
                    continue
                if context == "within" and item_b.context != item_x.context:
                    continue
                to_a, to_b = apart(x, a), apart(x, b)
                wrong = 0.5 if abs(to_a - to_b) < 1e-6 else float(to_a > to_b)
                pair = item_x.phone, item_b.phone
                cell = item_x.context if context == "within" else None, item_x.speaker
                entry = cells.setdefault(pair, {}).setdefault(item_a.speaker, {}).setdefault(cell, [])
                entry.append((wrong, x, a, b))
    return cells


def abx(features, items, **settings):
    """Error over every triplet."""
    found = triplets(features, items, **settings)
    return mean(
        mean(mean(mean(one[0] for one in cell) for cell in group.values()) for group in speakers.values())
        for speakers in found.values()
    )


def influence(features, items, **settings):
    """How the error changes with the weight of each file, by moving each weight a little.

    A triplet counts by the product of three weights; what is expected of its phones does not depend on them. The
    expectation is ridge regression on phone A and phone B, as least squares with rows for the penalty.
    """
    found = triplets(features, items, **settings)
    cells = [
        (pair, cell, 1 / len(found) / len(speakers) / len(group))
        for pair, speakers in found.items()
        for group in speakers.values()
        for cell in group.values()
    ]
    phones = sorted({item.phone for item in items})
    share = np.array([share for _, _, share in cells])
    errors = np.array([mean(one[0] for one in cell) for _, cell, _ in cells])
    average = float(share @ errors)
    design = np.zeros((len(cells), 2 * len(phones)))
    for row, (pair, _, _) in enumerate(cells):
        design[row, phones.index(pair[0])] = 1
        design[row, len(phones) + phones.index(pair[1])] = 1
    penalty = np.eye(2 * len(phones)) / math.sqrt(len(found))
    rows = np.concatenate([np.sqrt(share)[:, None] * design, penalty])
    effects = np.linalg.lstsq(rows, np.append(np.sqrt(share) * (errors - average), np.zeros(len(penalty))))[0]
    expected = average + design @ effects

    def moved(weights):
        total = 0.0
        for (_, cell, part), level in zip(cells, expected, strict=True):
            for wrong, *three in cell:
                weight = math.prod(weights[items[one].file] for one in three)
                total += part / len(cell) * weight * (wrong - level)
        return total

    out = {}
    for file in sorted({item.file for item in items}):
        ends = [moved({item.file: 1 + (step if item.file == file else 0) for item in items}) for step in (1e-4, -1e-4)]
        out[file] = (ends[0] - ends[1]) / 2e-4
    return out
