"""The units one by one: how often each is used, how long it lasts, what it sounds like, which phone it goes with."""

from collections.abc import Sequence

import numpy as np

from protophone.report.charts import bar_chart
from protophone.report.contents import Example, PhoneMatrix, ReportData
from protophone.report.markup import amount, name, plain, plural, share
from protophone.report.pictures import heat_map
from protophone.report.sounds import SoundShelf
from protophone.report.strip import hue

__all__ = ["inventory", "phones"]

_MOST_EXAMPLES = 6  # of one unit
_SOUND_BUDGET = 2_500_000  # characters of data URIs that examples may take: fewer each where there are many units
_LONGEST_RUN = 20  # frames; longer runs are counted together
_LONGEST_EXAMPLE = 2.0  # seconds
_TEAL = (13, 128, 118)
_ROW, _MARGIN, _FOOT = 17, 46, 22  # pixels of the heat map


def inventory(data: ReportData, sounds: SoundShelf) -> str:
    """The section of units: two overviews and a table with press-to-hear examples; ``data.usage`` must be given."""
    usage = np.asarray(data.usage, np.int64)
    charts = [_usage_chart(usage)]
    if data.run_lengths:
        charts.append(_run_chart(data))
    what = (
        "<p>Units are not phonemes. Each is a short stretch of sound that keeps coming back: a phoneme may be several "
        "units, by speaker and neighboring sounds, and a unit may be part of several phonemes. The figures are of "
        "speech alone.</p>"
    )
    return f'{what}<div class="charts">{"".join(charts)}</div>{_table(data, usage, sounds)}'


def phones(matrix: PhoneMatrix) -> str:
    """The heat map of units against phones: how each unit's frames fall over the phones."""
    counts = np.asarray(matrix.counts, float)
    used = np.flatnonzero(counts.sum(1))
    if not len(used) or not len(matrix.phones):
        return "<p>No unit fell together with a phone.</p>"
    parts = counts[used] / counts[used].sum(1, keepdims=True)
    best = parts.argmax(1)
    order = np.lexsort((-parts.max(1), best))  # units of one phone side by side, the surest first
    parts, units = parts[order], used[order]
    seen = np.flatnonzero(counts.sum(0))  # phones nothing fell on have no row
    column = float(np.clip(1030 / len(units), 4, 26))
    width, height = column * len(units), _ROW * len(seen)
    rows = "".join(
        f'<text class="left" x="{_MARGIN - 6}" y="{index * _ROW + 13}">{plain(matrix.phones[int(phone)])}</text>'
        for index, phone in enumerate(seen)
    )
    every = max(1, round(26 / column))
    below = "".join(
        f'<text class="below" x="{_MARGIN + (index + 0.5) * column:.1f}" y="{height + 15}">{unit}</text>'
        for index, unit in enumerate(units)
        if index % every == 0
    )
    whole = float(counts.sum())
    purity = share(float(counts.max(1).sum()), whole)
    label = f"{len(units)} units against {len(seen)} phones; each unit's most frequent phone covers {purity} of frames"
    return (
        f"<p>A column is a unit, a row a phone; the stronger the colour, the more of its frames fall "
        f"on the phone. Were each unit named after its most frequent phone, {purity} of frames would be named rightly. "
        "The phones were used for this picture only, not for learning.</p>"
        '<div class="roll" tabindex="0" role="group" aria-label="heat map of units and phones">'
        f'<svg class="heat" width="{_MARGIN + width + 4:.0f}" height="{height + _FOOT}" role="img" '
        f'aria-label="{plain(label)}"><rect class="paper" x="{_MARGIN}" width="{width:.1f}" height="{height}"/>'
        f'<image class="cells" href="{heat_map(parts.T[seen], _TEAL)}" x="{_MARGIN}" width="{width:.1f}" '
        f'height="{height}" preserveAspectRatio="none"/>{rows}{below}</svg></div>'
    )


def _usage_chart(usage: np.ndarray) -> str:
    order = np.argsort(-usage, kind="stable")
    whole = max(1, int(usage.sum()))
    unused = int((usage == 0).sum())
    every = 1 if len(usage) <= 16 else len(usage) // 8
    chart = bar_chart(
        100 * usage[order] / whole,
        [str(rank + 1) if rank % every == 0 else "" for rank in range(len(usage))],
        [f"unit {unit}: {share(usage[unit], whole)}" for unit in order],
        label=f"Share of frames of each of {len(usage)} units, most used first: "
        f"from {share(usage.max(initial=0), whole)} to {share(usage.min(initial=0), whole)}",
        across="units by rank, most used first",
    )
    note = f" {unused} of {len(usage)} never are." if unused else ""
    return f"<figure><figcaption><b>How often units are used</b>, percent of frames.{note}</figcaption>{chart}</figure>"


def _run_chart(data: ReportData) -> str:
    total = sum(data.run_lengths.values())
    frame_ms = None if data.hop is None else 1000 * data.hop / data.sample_rate
    longest = min(_LONGEST_RUN, max(data.run_lengths))
    heights, labels, titles = [], [], []
    for frames in range(1, longest + 1):
        last = frames == longest and max(data.run_lengths) > longest
        count = sum(
            number for length, number in data.run_lengths.items() if length == frames or (last and length > frames)
        )
        words = plural(frames, "frame") + (" or more" if last else "")
        time = "" if frame_ms is None else f", {amount(frames * frame_ms)} ms"
        heights.append(100 * count / total if total else 0.0)
        every = longest <= 10 or frames % 4 == 0 or frames == 1
        labels.append((str(frames) + ("+" if last else "")) if every else "")
        titles.append(f"{words}{time}: {share(count, total)} of runs")
    across = "length of run in frames" + ("" if frame_ms is None else f" of {amount(frame_ms)} ms")
    label = "Share of runs by length: " + "; ".join(titles[:5])
    mean = "" if data.mean_run_ms is None else f" {amount(data.mean_run_ms)} ms in the mean."
    chart = bar_chart(heights, labels, titles, label=label, across=across)
    return f"<figure><figcaption><b>How long runs last</b>, percent of runs.{mean}</figcaption>{chart}</figure>"


def _table(data: ReportData, usage: np.ndarray, sounds: SoundShelf) -> str:
    shelved = _shelve(data, usage, sounds)
    given = sum(len(examples) for examples in data.examples.values())
    kept = sum(len(numbers) for numbers in shelved.values())
    heads = ["unit", "share of frames"]
    heads += ["mean run"] if data.unit_run_ms is not None else []
    heads += ["mostly phone"] if data.phone_matrix is not None else []
    cells = [
        f'<th scope="col" aria-sort="{"descending" if head == "share of frames" else "none"}">'
        f'<button type="button" class="sort">{head}</button></th>'
        for head in heads
    ]
    if data.examples:
        cells.insert(1, '<th scope="col">listen</th>')
    order = np.argsort(-usage, kind="stable")
    most = max(1, int(usage.max(initial=0)))
    rows = "".join(_row(data, int(unit), usage, most, shelved) for unit in order)
    few = f" {amount(kept)} of {amount(given)} examples are here, so that the page stays small." if kept < given else ""
    hint = (
        f"Press a number to hear that example, <i>all</i> for one after the other, Esc for silence.{few} "
        if kept
        else ""
    )
    return (
        f"<p>{hint}Press a heading to sort.</p>"
        '<div class="long" tabindex="0" role="region" aria-label="table of units">'
        f'<table class="units"><thead><tr>{"".join(cells)}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _row(data: ReportData, unit: int, usage: np.ndarray, most: int, shelved: dict[int, list[int]]) -> str:
    count, whole = int(usage[unit]), int(usage.sum())
    meter = f'<span class="meter"><i style="width:{100 * count / most:.1f}%"></i></span>'
    cells = [
        f'<th scope="row" data-v="{unit}"><span class="chip" style="--h:{hue(unit)}">{unit}</span></th>',
        f'<td data-v="{count}" title="{plural(count, "frame")}">{meter} {share(count, whole)}</td>',
    ]
    if data.examples:
        cells.insert(1, f'<td class="hear">{_buttons(unit, data.examples.get(unit, ()), shelved.get(unit, []))}</td>')
    if data.unit_run_ms is not None:
        run = float(data.unit_run_ms[unit])
        known = np.isfinite(run) and count > 0
        cells.append(f'<td data-v="{run if known else -1:.2f}">{amount(run) + " ms" if known else "&ndash;"}</td>')
    if data.phone_matrix is not None:
        cells.append(_phone_cell(data.phone_matrix, unit))
    return f'<tr id="unit-{unit}"{"" if count else " class=unused"}>{"".join(cells)}</tr>'


def _phone_cell(matrix: PhoneMatrix, unit: int) -> str:
    counts = np.asarray(matrix.counts)[unit]
    if not counts.sum():
        return '<td data-v="">&ndash;</td>'
    phone = matrix.phones[int(counts.argmax())]
    return f'<td data-v="{plain(phone)}"><b>{name(phone)}</b> {share(counts.max(), counts.sum())}</td>'


def _buttons(unit: int, examples: Sequence[Example], numbers: list[int]) -> str:
    parts = []
    for index, number in enumerate(numbers):
        example = examples[index]
        where = f"{plain(example.recording)} at {example.seconds:.2f}\u202fs"
        parts.append(
            f'<button class="play tiny" type="button" data-sound="{number}" aria-pressed="false" title="{where}" '
            f'aria-label="unit {unit}, example {index + 1} of {len(numbers)}: {where}">{index + 1}</button>'
        )
    if len(numbers) > 1:
        parts.append(
            f'<button class="play tiny" type="button" data-sound="{" ".join(map(str, numbers))}" aria-pressed="false" '
            f'aria-label="unit {unit}, all {len(numbers)} examples">all</button>'
        )
    return "".join(parts)


def _shelve(data: ReportData, usage: np.ndarray, sounds: SoundShelf) -> dict[int, list[int]]:
    """Numbers of each unit's examples on the shelf: every unit's first, then every second, while there is room.

    Units that are used more come first, so that it is the rare ones that go short.
    """
    start = sounds.size
    most = round(_LONGEST_EXAMPLE * sounds.sample_rate)
    numbers: dict[int, list[int]] = {unit: [] for unit in data.examples}
    often = sorted(data.examples.items(), key=lambda item: -usage[item[0]])
    for turn in range(_MOST_EXAMPLES):
        for unit, examples in often:
            if turn < len(examples) and sounds.size - start < _SOUND_BUDGET:
                numbers[unit].append(sounds.add(examples[turn].samples[:most], fade=True))
    return numbers
