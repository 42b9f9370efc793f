"""Zero Resource 2017 scores of discovered terms: stretches of speech that a system says are alike, in classes.

Definitions are those of Ludusan et al. (2014, Bridging the gap between speech technology and natural language
processing: an evaluation toolbox for term discovery systems) as Dunbar et al. (2017, The Zero Resource Speech
Challenge 2017) use them and as the challenge's tool counts: over the whole corpus, not the part of it that was found.

* **NED**: edit distance of two fragments' phones over the longer one's length, mean over all pairs of each class.
* **Coverage**: share of the corpus' phones that lie in a fragment.
* **Grouping**: of the tokens in classes, how many stand with another of their kind; of those that have one, how many.
* **Token**: fragments that are a word, neither more nor less; **type**: transcriptions that are a word's;
  **boundary**: edges of fragments that are edges of words. These need words; phones' edges would all be hits.

A fragment's transcription is each phone of which it holds 30 ms or half. Traps: pairs that overlap are each other's
copies and count in NED as in the challenge, so their number is reported; a class file in milliseconds, or of other
recordings, must not score as a bad system.
"""

from protophone.metrics.terms.edit import ned
from protophone.metrics.terms.result import Score, TermScores, TypeScore
from protophone.metrics.terms.scores import term_scores

__all__ = ["Score", "TermScores", "TypeScore", "ned", "term_scores"]
