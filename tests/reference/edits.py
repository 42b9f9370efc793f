"""Edit distances and rates by plain loops, as their definitions read."""


def distance(reference, heard):
    """The least number of substitutions, deletions and insertions that make one sequence of symbols the other."""
    row = list(range(len(heard) + 1))
    for i, symbol in enumerate(reference, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (symbol != other))
    return row[-1]


def corpus_rate(references, heard):
    """Errors of all sequences over the length of all references."""
    errors = length = 0
    for reference, answer in zip(references, heard, strict=True):
        errors += distance(reference, answer)
        length += len(reference)
    return errors / length


def macro_rate(references, heard):
    """The mean over sequences of each one's own rate."""
    rates = []
    for reference, answer in zip(references, heard, strict=True):
        rates.append(distance(reference, answer) / len(reference))
    return sum(rates) / len(rates)
