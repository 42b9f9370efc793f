"""The report: one HTML file with its pictures, sounds, style and script inside, that opens offline."""

import shlex
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

import numpy as np

from protophone import files
from protophone.report.charts import line_chart
from protophone.report.contents import Curve, ReportData
from protophone.report.document import document
from protophone.report.inventory import inventory, phones
from protophone.report.listed import recordings
from protophone.report.listening import listening
from protophone.report.markup import amount, name, plain, plural, share
from protophone.report.sounds import SoundShelf

__all__ = ["render", "write_report"]

_SYSTEMS = {
    "kmeans": "k-means",
    "gmm": "Gaussian mixture",
    "dpgmm": "Dirichlet-process Gaussian mixture",
    "vqvae": "VQ-VAE",
}
_NAMES = 4  # speakers named at a glance


def write_report(path: str | Path, data: ReportData) -> None:
    """Writes the page of ``data`` to ``path``, whole or not at all; ``InputError`` where it cannot be written."""
    files.write_text(path, render(data))


def render(data: ReportData) -> str:
    """The page as HTML text: the same data makes the same text."""
    sounds = SoundShelf(data.sample_rate)
    sections = [("glance", "At a glance", _glance(data))]
    if data.pairs:
        parts = listening(data.pairs, sounds, link_units=data.usage is not None)
        sections.append(("listen", "Listen", parts))
    if data.usage is not None:
        sections.append(("units", "Units", inventory(data, sounds)))
    if data.listed:
        sections.append(("recordings", "Recordings", recordings(data)))
    if data.phone_matrix is not None:
        sections.append(("phones", "Units and phones", phones(data.phone_matrix)))
    if data.bit_rates:
        sections.append(("bits", "Bit rates", _bit_rates(data)))
    if data.abx:
        sections.append(("abx", "ABX", _abx(data)))
    if data.curves:
        sections.append(("losses", "Training", _losses(data)))
    sections.append(("failures", "Left out", _failures(data)))
    sections.append(("next", "Go on from here", _next(data)))
    kind = f"Sound units learned by {_SYSTEMS[data.system]}"
    return document(data.title, kind, sections, sounds)


def _glance(data: ReportData) -> str:
    corpus = data.corpus
    cards = [
        (
            amount(corpus.recordings),
            "recording" if corpus.recordings == 1 else "recordings",
            f"{_minutes(corpus.minutes)} long",
        ),
        (_minutes(corpus.speech_minutes), "of speech", f"{share(corpus.speech_minutes, corpus.minutes)} of the sound"),
        (amount(len(corpus.speakers)), "speaker" if len(corpus.speakers) == 1 else "speakers", _names(data)),
    ]
    if data.usage is not None:
        used = int((np.asarray(data.usage) > 0).sum())
        even = "" if data.perplexity is None else f"as even as {amount(data.perplexity)} (perplexity)"
        cards.append((f"{used}<small>/{data.num_units}</small>", "units in use", even))
    elif data.perplexity is not None:
        cards.append((amount(data.perplexity), "perplexity", "units, were all used equally often"))
    if data.mean_run_ms is not None:
        cards.append((f"{amount(data.mean_run_ms)}<small> ms</small>", "mean run of a unit", "on speech alone"))
    if data.bit_rates:
        first = data.bit_rates[0]
        cards.append(
            (
                f"{amount(first.bits_per_second)}<small> bit/s</small>",
                "bit rate",
                f"{plain(first.name)}, on speech alone",
            )
        )
    cards += [
        (f"{amount(error)}<small> %</small>", "ABX error", plain(key)) for key, error in list(data.abx.items())[:2]
    ]
    tiles = "".join(
        f"<li><strong>{value}</strong> <span>{what}</span>{f' <em>{extra}</em>' if extra else ''}</li>"
        for value, what, extra in cards
    )
    notes = "".join(f"<li>{plain(warning)}</li>" for warning in data.warnings)
    warned = f'<div class="note" role="note"><b>Mind</b><ul>{notes}</ul></div>' if notes else ""
    failed = ""
    if data.failures:
        count = plural(len(data.failures), "recording was", "recordings were")
        failed = f'<p class="note"><a href="#failures">{count} left out</a>; the reasons are at the end.</p>'
    return f'{warned}{failed}<ul class="cards">{tiles}</ul>{_annotations(data)}'


def _annotations(data: ReportData) -> str:
    """A paragraph on the folders of annotations."""
    if not data.listed:
        return ""
    return (
        '<p class="after">Speech and units of each recording are written down for Praat in the folder '
        '<a href="textgrid/">textgrid</a> and for ELAN in <a href="elan/">elan</a>, beside this page; '
        '<a href="#recordings">the list of recordings</a> leads to each file.</p>'
    )


def _minutes(minutes: float) -> str:
    if minutes >= 90:
        return f"{amount(minutes / 60)}<small> h</small>"
    return f"{amount(minutes)}<small> min</small>" if minutes >= 1 else f"{amount(60 * minutes)}<small> s</small>"


def _names(data: ReportData) -> str:
    """Names of the first speakers."""
    names = [speaker.name for speaker in data.corpus.speakers]
    others = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(map(name, names[:_NAMES])) + others


def _bit_rates(data: ReportData) -> str:
    rows = "".join(
        f'<tr><th scope="row">{plain(rate.name)}</th><td class="figure">{amount(rate.bits_per_second)}\u202fbit/s</td>'
        f"<td>{plain(rate.meaning)}</td></tr>"
        for rate in data.bit_rates
    )
    return (
        "<p>The same units cost more or fewer bits by how one counts: compare figures of one name only. These are of "
        "speech alone, without the pauses; <code class='inline'>report.json</code> has those of everything as well.</p>"
        '<div class="wide"><table><thead><tr><th scope="col">name</th><th scope="col">rate</th>'
        f'<th scope="col">what it counts</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _abx(data: ReportData) -> str:
    rows = "".join(
        f'<tr><th scope="row">{plain(key)}</th><td class="figure">{amount(error)}\u202f%</td>'
        f'<td><span class="meter half"><i style="width:{min(100.0, max(0.0, 2 * error)):.1f}%"></i></span></td></tr>'
        for key, error in data.abx.items()
    )
    return (
        "<p>Of two sounds A and B that differ, is a third, X, of the kind of A, nearer to A? The error is how often "
        "not: 50\u202f% is chance, where the bar is full; 0 is perfect.</p>"
        f'<div class="wide"><table><thead><tr><th scope="col">condition</th><th scope="col">error</th>'
        f'<th scope="col">against chance</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _losses(data: ReportData) -> str:
    ordered = sorted(data.curves, key=lambda curve: curve.name)
    figures = [list(curves) for _, curves in groupby(ordered, key=lambda curve: curve.name)]
    key = '<p class="key"><span class="train">train</span>'
    key += '<span class="held-out">held-out</span></p>' if any(c.split == "held-out" for c in ordered) else "</p>"
    return key + f'<div class="charts">{"".join(_loss(curves) for curves in figures)}</div>'


def _loss(curves: list[Curve]) -> str:
    return (
        f"<figure><figcaption><b>{plain(curves[0].name)}</b></figcaption>{line_chart(curves, across='steps')}</figure>"
    )


def _failures(data: ReportData) -> str:
    others = "".join(f"<p>{plain(line)}</p>" for line in data.passed)
    if not data.failures:
        return f"<p>Nothing: every recording could be used.</p>{others}"
    rows = "".join(
        f'<tr><th scope="row">{name(failure.file)}</th><td>{plain(failure.reason)}</td></tr>'
        for failure in data.failures
    )
    return (
        '<div class="wide"><table><thead><tr><th scope="col">recording</th><th scope="col">reason</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{others}"
    )


def _next(data: ReportData) -> str:
    folder = shlex.quote(data.folder) if data.folder else "FOLDER"
    voice = f" --voice {shlex.quote(data.voices[0])}" if data.voices else ""
    commands = [
        ("Write other recordings as these units", f"protophone encode {folder} recordings/ --out units/"),
        ("Speak units", f"protophone decode {folder} units/{voice} --out sounds/"),
        ("Say a recording in another voice", f"protophone convert {folder} in.wav out.wav{voice}"),
        ("What is in the bundle", f"protophone info {folder}"),
    ]
    steps = "".join(f"<dt>{what}</dt><dd><code>{plain(command)}</code></dd>" for what, command in commands)
    voices = ""
    if data.voices:
        names = ", ".join(name(voice) for voice in data.voices)
        voices = f"<p>Voices: {names}. They are real people&rsquo;s: ask before you let them speak.</p>"
    return (
        f"<dl>{steps}</dl>{voices}<h3>How to cite</h3><p>protophone {plain(version('protophone'))}, "
        f"{plain(_SYSTEMS[data.system])} units. The method follows Tjandra, Sisman, Zhang, Sakti, Li and Nakamura, "
        "“VQVAE unsupervised unit discovery and multi-scale Code2Spec inverter for ZeroSpeech Challenge 2019”, "
        "Interspeech 2019 (arXiv 1905.11449).</p>"
    )
