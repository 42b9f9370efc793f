"""Whose voice is it? Speaker embeddings of the sounds beside those of the originals, and of other recordings."""

from collections.abc import Mapping, Sequence

import numpy as np

from protophone import audio
from protophone.errors import AudioError, InputError
from protophone.evaluate.figure import Better, Found, LeftOut, estimated
from protophone.evaluate.pairs import Pair
from protophone.features.speaker import SpeakerEmbedder, load_embedder
from protophone.metrics.speaker import (
    centroids,
    cosines,
    equal_error_rate,
    pair_cosines,
    similarity,
    target_nearer,
)
from protophone.progress import Advance, Stage
from protophone.types import AudioBatch, Recording

__all__ = ["compare_voices", "persons_of"]

ENROL = 50  # recordings a speaker is known by


def compare_voices(
    pairs: Sequence[Pair],
    names: Sequence[str],
    embedder: str | None,
    everyone: Sequence[Recording],
    persons: Mapping[str, str],
    *,
    voice: str | None,
    seed: int,
    stage: Stage,
) -> Found:
    """Similarity of each sound to its original, the equal error rate, and how often the right speaker is nearer.

    Speakers are known by at most 50 of the recordings in ``everyone`` that are not scored, drawn by ``seed``. With
    ``voice``, all sounds shall sound like that speaker, and each is held against its own speaker and the target;
    without, against its own speaker and the nearest of the others who is another of the ``persons``. ``names`` are what
    intervals are over, one a pair.
    """
    judge = load_embedder(embedder)
    if voice is not None and voice not in {r.speaker for r in everyone}:
        named = ", ".join(sorted({r.speaker for r in everyone if r.speaker})[:5]) or "none"
        raise InputError(f"--voice {voice}: no recording of this speaker to know the voice by; speakers are: {named}")
    enrol = _enrolment(pairs, everyone, voice, seed)
    found = Found(settings={"speaker": {**judge.settings, "enrol": ENROL, "seed": seed, "voice": voice}})
    with stage("hearing voices", 2 * len(pairs) + sum(map(len, enrol.values()))) as advance:
        known = {who: _vectors(judge, own, found, advance) for who, own in enrol.items()}
        vectors, kept = _embed(judge, pairs, found, advance)
    rows = [names[index] for index in kept]
    originals, sounds = vectors
    protocol = judge.settings
    what = "the original" if voice is None else "the source's original"
    better: Better = "higher" if voice is None else "lower"
    alike = similarity(originals, sounds, rows)
    found.figures.append(estimated(f"speaker similarity to {what}", alike, "", better=better, protocol=protocol))
    who = [pairs[index].recording.speaker for index in kept]
    if None in who:
        reason = "no speaker is named in the manifest: no nearer rate, no EER"
        found.left_out.append(LeftOut("recordings", who.count(None), reason))
        return found
    enrolled = {who: vector for who, own in known.items() for vector in centroids(own, [who] * len(own)).values()}
    if missing := sorted(
        {str(name) for name in who if name not in enrolled} | ({voice} - set(enrolled) if voice else set())
    ):
        reason = f"no other recordings of {missing[0]} to know the speaker by (--enrol): no nearer rate, no EER"
        found.left_out.append(LeftOut("speakers", len(missing), reason, tuple(missing[:3])))
        return found
    speakers = [str(name) for name in who]
    stated = {**protocol, "enrol": ENROL, "seed": seed, "speakers": sorted(enrolled)}
    _nearer(found, sounds, speakers, enrolled, rows, persons, voice=voice, seed=seed, protocol=stated)
    if voice is not None:
        towards = similarity(sounds, np.tile(enrolled[voice], (len(sounds), 1)), rows)
        found.figures.append(estimated(f"speaker similarity to {voice}", towards, "", better="higher", protocol=stated))
        found.left_out.append(LeftOut("measures", 1, "all sounds are in one voice", ("speaker EER",)))
        return found
    try:
        rate = equal_error_rate(sounds, speakers, enrolled, rows, persons=persons, seed=seed)
    except InputError as error:
        found.left_out.append(LeftOut("measures", 1, str(error), ("speaker EER",)))
    else:
        note = f"{rate.people} people, {rate.targets} targets, {rate.impostors} impostors"
        found.figures.append(estimated("speaker EER", rate.rate, "share", better="lower", protocol=stated, note=note))
    return found


def _nearer(
    found: Found,
    sounds: np.ndarray,
    speakers: Sequence[str],
    enrolled: Mapping[str, np.ndarray],
    names: Sequence[str],
    persons: Mapping[str, str],
    *,
    voice: str | None,
    seed: int,
    protocol: dict,
) -> None:
    """How often a sound is nearer to the speaker it shall sound like than to the other."""
    if voice is None:
        title, kept = "own speaker nearer than any other", list(range(len(speakers)))
        others = _nearest_other(sounds, speakers, enrolled, persons)
        if others is None:
            reason = "there is no second person to hold the sounds against"
            found.left_out.append(LeftOut("measures", 1, reason, ("own speaker nearer",)))
            return
        own = cosines(sounds, np.stack([enrolled[name] for name in speakers]))
        share = target_nearer(others, own, names, seed=seed)
    else:
        title = f"target {voice} nearer than the source"
        person = {name: persons.get(name, name) for name in enrolled}
        kept = [index for index, name in enumerate(speakers) if person[name] != person[voice]]
        if len(kept) < len(speakers):
            reason = f"target nearer: the original is by {voice} already"
            found.left_out.append(LeftOut("recordings", len(speakers) - len(kept), reason))
        if not kept:
            return
        pairs = [(speakers[index], voice) for index in kept]
        source, target = pair_cosines(sounds[kept], pairs, enrolled, persons=persons)
        share = target_nearer(source, target, [names[index] for index in kept], seed=seed)
    note = "Wilson's interval, for all draws are alike" if share.wilson else ""
    found.figures.append(
        estimated(title, share.share, "share", better="higher", protocol=protocol, interval=share.interval, note=note)
    )


def _nearest_other(
    sounds: np.ndarray, speakers: Sequence[str], enrolled: Mapping[str, np.ndarray], persons: Mapping[str, str]
) -> np.ndarray | None:
    """Cosine of each sound to the nearest speaker who is another person; None where there is none."""
    person = {name: persons.get(name, name) for name in enrolled}
    if len(set(person.values())) < 2:
        return None
    towards = np.stack([cosines(sounds, np.tile(vector, (len(sounds), 1))) for vector in enrolled.values()], axis=1)
    another = np.array([[person[name] != person[own] for name in enrolled] for own in speakers])
    return np.where(another, towards, -np.inf).max(1)


def _embed(
    judge: SpeakerEmbedder, pairs: Sequence[Pair], found: Found, advance: Advance
) -> tuple[tuple[np.ndarray, np.ndarray], list[int]]:
    """Embeddings of originals and sounds, and which pairs they are of; pairs that cannot be embedded are left out."""
    originals, sounds, kept, failed = [], [], [], []
    for index, pair in enumerate(pairs):
        try:
            both = [audio.read(source, judge.sample_rate) for source in (pair.recording, pair.sound)]
            vectors = judge.embed(AudioBatch.from_arrays(both, judge.sample_rate)).cpu().numpy()
        except AudioError as error:
            failed.append((pair.id, str(error)))
        else:
            originals.append(vectors[0])
            sounds.append(vectors[1])
            kept.append(index)
        advance(2)
    if failed:
        reason = f"no speaker embedding: {failed[0][1]}"
        found.left_out.append(LeftOut("recordings", len(failed), reason, tuple(name for name, _ in failed[:3])))
    if not kept:
        raise InputError(f"none of {len(pairs)} pairs has a speaker embedding; the first: {failed[0][1]}")
    return (np.stack(originals), np.stack(sounds)), kept


def _vectors(judge: SpeakerEmbedder, own: Sequence[Recording], found: Found, advance: Advance) -> np.ndarray:
    """Embeddings ``[recording, dim]`` of those that a speaker is known by; what cannot be embedded is left out."""
    rows, failed = [], []
    for recording in own:
        try:
            batch = AudioBatch.from_arrays([audio.read(recording, judge.sample_rate)], judge.sample_rate)
            rows.append(judge.embed(batch)[0].cpu().numpy())
        except AudioError as error:
            failed.append((recording.id, str(error)))
        advance(1)
    if failed:
        reason = f"{own[0].speaker} is not known by them: {failed[0][1]}"
        found.left_out.append(LeftOut("recordings", len(failed), reason, tuple(name for name, _ in failed[:3])))
    return np.array(rows, np.float32).reshape(len(rows), judge.dim)


def _enrolment(
    pairs: Sequence[Pair], everyone: Sequence[Recording], voice: str | None, seed: int
) -> dict[str, list[Recording]]:
    """Recordings to know each speaker by: none that is scored, of the split ``train`` where there is one."""
    scored = {pair.recording.path for pair in pairs}
    others = sorted((r for r in everyone if r.speaker is not None and r.path not in scored), key=lambda r: r.id)
    train = [recording for recording in others if recording.split == "train"]
    wanted = {pair.recording.speaker for pair in pairs} | {voice}
    out = {}
    for speaker in sorted({str(r.speaker) for r in others} & {str(each) for each in wanted if each}):
        own = [recording for recording in train or others if recording.speaker == speaker]
        drawn = np.random.default_rng(seed).permutation(len(own))[:ENROL]
        if len(drawn):
            out[speaker] = [own[index] for index in drawn]
    return out


def persons_of(everyone: Sequence[Recording], one_person: Sequence[str] = ()) -> dict[str, str]:
    """Which speakers are one person: as the manifest's ``person`` says, and each of ``one_person``, "A,B,C".

    Raises ``InputError`` for a speaker whom no recording has.
    """
    named = ((r.speaker, dict(r.extra).get("person")) for r in everyone)
    persons = {speaker: str(person) for speaker, person in named if speaker is not None and person is not None}
    known = {recording.speaker for recording in everyone}
    for group in one_person:
        members = [member.strip() for member in group.split(",")]
        if strangers := [member for member in members if member not in known]:
            raise InputError(
                f"--one-person {group}: no recording of {strangers[0]}; speakers are named as manifests do"
            )
        persons |= dict.fromkeys(members, group)
    return persons
