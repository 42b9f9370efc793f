"""The recordings and speakers: minutes, speech, units, and the annotations of each."""

from protophone.report.contents import Listed, ReportData, Speaker
from protophone.report.markup import amount, name, plain, share

__all__ = ["recordings"]

_MOST = 2000  # recordings in the list; a row takes half a kilobyte


def recordings(data: ReportData) -> str:
    """The section of recordings: a table of speakers, and one of recordings with links to their annotations."""
    speakers = "".join(_speaker(speaker) for speaker in data.corpus.speakers)
    rows = "".join(_recording(listed) for listed in data.listed[:_MOST])
    few = f" The first {amount(_MOST)} of {amount(len(data.listed))} are here." if len(data.listed) > _MOST else ""
    return (
        f"{_table(['speaker', 'recordings', 'length', 'speech'], speakers)}"
        "<h3>Each recording</h3><p>Runs are of equal units, counted in speech alone; beside them, the number of "
        f"different units.{few} Press a heading to sort.</p>"
        f"{_table(['recording', 'speaker', 'length', 'speech', 'runs', 'units', 'annotations'], rows)}"
    )


def _table(heads: list[str], rows: str) -> str:
    cells = "".join(
        f'<th scope="col" aria-sort="none"><button type="button" class="sort">{head}</button></th>'
        if head != "annotations"
        else f'<th scope="col">{head}</th>'
        for head in heads
    )
    return (
        f'<div class="long" tabindex="0" role="region" aria-label="table: {", ".join(heads)}">'
        f'<table class="units"><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _speaker(speaker: Speaker) -> str:
    return (
        f'<tr><th scope="row" data-v="{plain(speaker.name)}">{name(speaker.name)}</th>'
        f'<td data-v="{speaker.recordings}">{amount(speaker.recordings)}</td>'
        f"{_time(60 * speaker.minutes)}{_time(60 * speaker.speech_minutes, 60 * speaker.minutes)}</tr>"
    )


def _recording(listed: Listed) -> str:
    links = " ".join(f'<a href="{plain(address)}">{plain(kind)}</a>' for kind, address in listed.links.items())
    speaker = listed.speaker or ""
    return (
        f'<tr><th scope="row" data-v="{plain(listed.id)}">{name(listed.id)}</th>'
        f'<td data-v="{plain(speaker)}">{name(speaker) if speaker else "&ndash;"}</td>'
        f"{_time(listed.seconds)}{_time(listed.speech_seconds, listed.seconds)}"
        f'<td data-v="{listed.runs}">{amount(listed.runs)}</td><td data-v="{listed.units}">{amount(listed.units)}</td>'
        f"<td>{links}</td></tr>"
    )


def _time(seconds: float, whole: float | None = None) -> str:
    """A cell with a length as minutes and seconds, and its share of a whole."""
    minutes, rest = divmod(round(seconds), 60)
    shown = f"{seconds:.1f}\u202fs" if seconds < 60 else f"{minutes}:{rest:02d}\u202fmin"
    of = "" if whole is None else f" <small>{share(seconds, whole)}</small>"
    return f'<td data-v="{seconds:.3f}">{shown}{of}</td>'
