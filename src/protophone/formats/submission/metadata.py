"""The YAML files of submissions: entries of known names and kinds."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from protophone.errors import InputError
from protophone.files import read_text, write_text
from protophone.formats.submission.report import Inspection

__all__ = ["Entries", "check_entries", "read_metadata", "write_metadata"]

Entries = Mapping[str, type | tuple[type, ...]]  # what each entry must be; object where anything may be


def write_metadata(path: Path, entries: Mapping[str, Any]) -> None:
    """Writes ``entries`` as YAML; ``InputError`` for what is neither text, number, flag, list nor mapping."""
    yaml = _yaml()
    try:
        text = yaml.safe_dump(dict(entries), sort_keys=False, allow_unicode=True)
    except yaml.YAMLError as error:
        raise InputError(f"{path.name}: {' '.join(str(error).split())}; give text, numbers, true or false") from None
    write_text(path, text)


def read_metadata(
    look: Inspection, name: str, required: Entries, optional: Entries | None = None, *, strict: bool = True
) -> dict[str, Any]:
    """The entries of the YAML file ``name``, their faults noted; empty where it cannot be read.

    Where ``strict``, entries that are neither ``required`` nor ``optional`` are faults.
    """
    yaml = _yaml()
    path = look.read(name)
    try:
        found = yaml.safe_load(read_text(path))
    except FileNotFoundError:
        look.fault(name, "not there", f"write it, with {', '.join(required)}")
        return {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        look.fault(name, f"not YAML ({' '.join(str(error).split())})", "write one `name: value` a line")
        return {}
    if not isinstance(found, dict):
        look.fault(name, "holds no entries", f"write {', '.join(required)}, one `name: value` a line")
        return {}
    check_entries(look, name, found, required, optional or {}, strict=strict)
    return found


def check_entries(
    look: Inspection, name: str, found: Mapping[Any, Any], required: Entries, optional: Entries, *, strict: bool = True
) -> None:
    """Notes entries that are missing, unknown, empty, or of another kind than they must be."""
    known = {
        key: kind if isinstance(kind, tuple) else (kind,)
        for entries in (required, optional)
        for key, kind in entries.items()
    }
    for key in required:
        if key not in found:
            look.fault(name, f"no entry {key!r}", "add it")
    for key, value in found.items():
        if key not in known:
            if strict:
                look.fault(name, f"an entry {key!r}", f"take it out; the entries are {', '.join(known)}")
        elif value is None or value == "":
            if key in required:
                look.fault(name, f"the entry {key!r} is empty", "fill it in")
        elif not isinstance(value, known[key]) or (type(value) is bool and known[key] not in {(bool,), (object,)}):
            kinds = " or ".join(_NAMES[kind] for kind in known[key])
            look.fault(name, f"the entry {key!r} is {value!r}", f"make it {kinds}")


_NAMES: dict[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "entries of its own",
    object: "anything",
}


def _yaml() -> ModuleType:
    try:
        import yaml
    except ImportError as error:
        raise InputError(
            "PyYAML is not installed, and submissions have YAML in them; pip install 'protophone[submission]'"
        ) from error
    return yaml
