"""Features and units on disk: JSONL lines or shards with an index, memory-mapped arrays; never a pickle."""

from protophone.store.features import Features, read_features, write_features
from protophone.store.pitch import PitchRecord
from protophone.store.reader import read_units
from protophone.store.record import UnitRecord
from protophone.store.writer import UnitsWriter

__all__ = ["Features", "PitchRecord", "UnitRecord", "UnitsWriter", "read_features", "read_units", "write_features"]
