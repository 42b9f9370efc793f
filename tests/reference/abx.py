"""ABX by counting triplets one at a time: slow, loops only, shares nothing with the package."""

import math


def frame_distance(x, y, kind):
    """Distance of two frames, sequences of numbers."""
    if kind == "identical":
        return 0.0 if list(x) == list(y) else 1.0
    if kind == "euclidean":
        return math.sqrt(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)))
    if kind == "angular":
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


def abx(features, items, *, speaker, context, distance, frame_rate):
    """Error over every triplet."""
    tokens = [token(features, item, frame_rate) for item in items]
    between = {}

    def apart(i, j):
        if (j, i) in between:
            return between[j, i]
        if (i, j) not in between:
            between[i, j] = dtw(tokens[i], tokens[j], distance)
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
                entry.append(wrong)
    return mean(
        mean(mean(mean(cell) for cell in group.values()) for group in speakers.values()) for speakers in cells.values()
    )
