"""Two processes in one output: each ends with its work or with one line, and afterwards the output is whole."""

import re

import pytest

from tests.evaluate.made import codes_of, speech, write_ctm, write_units
from tests.tiny import ENCODER, contents, run_jobs

COMMANDS = {
    "encode": "encode bundle corpus --out out",
    "shards": "encode bundle corpus --out out --as shards",
    "npy": "encode bundle corpus --out out --as npy",
    "decode": "decode bundle encoded --out out",
    "convert": "convert bundle corpus/ana/0.wav out.wav",
    "manifest": "manifest corpus out.jsonl",
    "train": "train r.toml --out out",
    "units": "evaluate units units --alignment phones.ctm --out out",
    "compare": "compare one --out out",
    "all": "evaluate all bundle corpus/manifest.jsonl --out out",
    "discover": "discover corpus --out out --units 8 --steps 2,2,2",
}

BEFORE = {  # what these read
    "decode": "encode bundle corpus --out encoded",
    "compare": "evaluate units units --alignment phones.ctm --out one",
}


def try_pairs(place, names, times, corpus, bundle):
    """Runs each command twice at once, then once more; nobody dies, and that last run finds or makes a whole output."""
    _, _, phones = speech(files=3, tokens=8)
    jobs, places = [], []
    for name in names:
        for time in range(times):
            cwd = place / name / str(time)
            cwd.mkdir(parents=True)
            (cwd / "corpus").symlink_to(corpus)
            (cwd / "bundle").symlink_to(bundle)
            (cwd / "r.toml").write_text(ENCODER.format(recordings="corpus/manifest.jsonl"))
            write_units(cwd / "units", codes_of(phones))
            write_ctm(cwd / "phones.ctm", phones)
            job = {"do": "command", "cwd": str(cwd), "die": None}
            if name in BEFORE:
                jobs.append(job | {"command": BEFORE[name].split(), "said": "before"})
            pair = [job | {"command": COMMANDS[name].split(), "said": said} for said in ("one-said", "two-said")]
            jobs += [{"do": "beside", "jobs": pair, "die": None}, pair[0] | {"said": "after-said"}]
            places.append((name, cwd))
    run_jobs(place, jobs)
    for name, cwd in places:
        said = {each: (cwd / f"{each}.err").read_text() for each in ("one-said", "two-said", "after-said")}
        codes = {each: int((cwd / f"{each}.code").read_text()) for each in said}
        told = {each: re.findall("^protophone: .*", text, re.MULTILINE) for each, text in said.items()}
        assert "Traceback" not in "".join(said.values()), (name, said)
        assert set(codes.values()) <= {0, 1}, (name, codes, said)
        assert 0 in codes.values(), (name, said)
        assert all(len(told[each]) == codes[each] for each in said), (name, codes, said)
        if name not in {"convert", "manifest"}:  # which refuse what is there
            assert codes["after-said"] == 0, (name, said)
        assert not [file for file in contents(cwd) if "writing-" in file], name


def test_two_at_once_end_with_their_work_or_one_line(tmp_path, tiny_corpus, tiny_bundle):
    quick = [name for name in COMMANDS if name not in {"all", "discover"}]
    try_pairs(tmp_path, quick, 1, tiny_corpus, tiny_bundle)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_two_at_once_many_times(name, tmp_path, tiny_corpus, tiny_bundle):
    try_pairs(tmp_path, [name], 10, tiny_corpus, tiny_bundle)
