"""Foreign checkpoints read as plain values: numbers, texts, lists, dicts and tensors, and nothing of the file is run.

A checkpoint of fairseq, scikit-learn or a vocoder is a pickle: a program that builds objects by calling what it names.
Here its instructions are followed by a small machine that knows no function but its own few for tensors and arrays;
any other class becomes an inert stand-in that only remembers what the file said of it.

* ``read_torch(path)``: what ``torch.save`` wrote, in its zip or its older format.
* ``read_kmeans(path)``: the centroids of a k-means that scikit-learn fitted and joblib or pickle wrote.
"""

from protophone.checkpoints.clusters import read_kmeans
from protophone.checkpoints.torchfile import read_torch

__all__ = ["read_kmeans", "read_torch"]
