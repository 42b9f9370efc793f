"""Scores of discovered terms straight from their definitions: sets of fragments, pairs and tokens, loops only.

Times are whole milliseconds here, so that nothing is rounded.
"""

from itertools import combinations


def edits(one, other):
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1]


def held(phones, onset, offset):
    """The phones ``(start, end, symbol)`` of which a stretch holds 30 ms or half."""
    return tuple(
        (start, end, symbol)
        for start, end, symbol in phones
        if (shared := min(end, offset) - max(start, onset)) > 0 and (shared >= 30 or 2 * shared >= end - start)
    )


def apart(one, other):
    return one[0] != other[0] or one[2] <= other[1] or other[2] <= one[1]


def f_score(hits, found, gold):
    return hits / found, hits / gold, 2 * hits / (found + gold)


def term_scores(classes, phones, words):
    """Every figure by name; fragments are ``(file, onset, offset)``, segments ``(start, end, symbol)``, all in ms."""
    spans = {f: held(phones[f[0]], f[1], f[2]) for members in classes.values() for f in members}
    text = {f: tuple(symbol for *_, symbol in span) for f, span in spans.items()}
    groups = [[f for f in members if spans[f]] for members in classes.values()]
    fragments = {f for members in groups for f in members}
    out = {}

    distances = []
    for members in groups:
        for one, other in combinations(members, 2):
            a, b = (tuple(s for s in text[f] if s != "SIL") for f in (one, other))
            distances.append(edits(a, b) / max(len(a), len(b)) if a or b else 1.0)
    out["ned"] = sum(distances) / len(distances) if distances else None

    spoken = {(f, *p) for f, line in phones.items() for p in line if p[2] not in {"SIL", "SPN"}}
    out["coverage"] = len(spoken & {(f[0], *p) for f in fragments for p in spans[f]}) / len(spoken)

    def tokens(pairs):
        return {(f[0], spans[f]) for pair in pairs for f in pair}

    there = {frozenset(pair) for members in groups for pair in combinations(members, 2)}
    gold = {frozenset(p) for p in combinations(fragments, 2) if text[p[0]] == text[p[1]] and apart(*p)}
    counts = len(tokens(there & gold)), len(tokens(there)), len(tokens(gold))
    out["grouping"] = f_score(*counts) if counts[1] and counts[2] else None

    all_words = {(f, *w) for f, line in words.items() for w in line if w[2] != "SIL"}
    token_hits, type_hits = set(), set()
    for f in fragments:
        near = sorted(w for w in all_words if w[0] == f[0] and w[1] < f[2] and f[1] < w[2])
        if not near:
            continue
        word = max(near, key=lambda w: (min(w[2], f[2]) - max(w[1], f[1])) / (w[2] - w[1]))
        said = tuple(s for start, end, s in phones[f[0]] if start < word[2] and word[1] < end)
        if said == text[f]:
            token_hits.add(word)
            type_hits.add(said)
    out["token"] = f_score(len(token_hits), len(fragments), len(all_words))
    out["type"] = f_score(len(type_hits), len({text[f] for f in fragments}), len({w[3] for w in all_words}))

    begins, ends = {(f[0], spans[f][0][0]) for f in fragments}, {(f[0], spans[f][-1][1]) for f in fragments}
    gold_begins, gold_ends = {w[:2] for w in all_words}, {(w[0], w[2]) for w in all_words}
    hits = (begins & gold_begins) | (ends & gold_ends)
    out["boundary"] = f_score(len(hits), len(begins | ends), len(gold_begins | gold_ends))
    return out
