"""Unit figures by counting frames one at a time: slow, loops only, shares nothing with the package."""

import math


def entropy(counts):
    """Bits of a dictionary of counts."""
    total = sum(counts.values())
    return -sum(count / total * math.log2(count / total) for count in counts.values() if count)


def add(counts, key, much):
    counts[key] = counts.get(key, 0.0) + much


def charged(sequences, seconds, weights, symbols_of):
    """``N / D`` times the sum of entropies; ``symbols_of(sequence)`` lists tuples, one symbol of each histogram."""
    tables = {}
    total = lasting = 0.0
    for sequence, lasts, weight in zip(sequences, seconds, weights, strict=True):
        lasting += weight * lasts
        for symbols in symbols_of(list(sequence)):
            total += weight
            for which, symbol in enumerate(symbols):
                add(tables.setdefault(which, {}), symbol, weight)
    return total / lasting * sum(entropy(table) for table in tables.values())


def frames(sequence):
    return [(symbol,) for symbol in sequence]


def runs(sequence):
    """Symbol and duration of each run."""
    out = []
    for symbol in sequence:
        if out and out[-1][0] == symbol:
            out[-1][1] += 1
        else:
            out.append([symbol, 1])
    return [tuple(run) for run in out]


def phone_figures(codes, centres, segments, weights, ignore):
    """Phone purity, unit purity and PNMI of weighted recordings, and the frames of each label left out."""
    joint, units, phones, left_out = {}, {}, {}, {}
    for row, times, stretches, weight in zip(codes, centres, segments, weights, strict=True):
        for unit, time in zip(row, times, strict=True):
            label = ""
            for start, end, name in stretches:
                if start - 1e-6 <= time < end - 1e-6:
                    label = name
            if label == "" or label in ignore:
                add(left_out, label, 1)
                continue
            add(joint, (int(unit), label), weight)
            add(units, int(unit), weight)
            add(phones, label, weight)
    total = sum(joint.values())
    purest = sum(max(joint.get((unit, phone), 0) for phone in phones) for unit in units)
    likeliest = sum(max(joint.get((unit, phone), 0) for unit in units) for phone in phones)
    shared = 0.0
    for (unit, phone), count in joint.items():
        shared += count / total * math.log2(count * total / (units[unit] * phones[phone]))
    return purest / total, likeliest / total, shared / entropy(phones), left_out
