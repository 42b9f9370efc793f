from dataclasses import dataclass
from protophone.config import config
@dataclass(frozen=True)
class Segment:
    start: int
    end: int
@config
class VadConfig:
    x: int = 0
def speech_segments(*a): raise RuntimeError
