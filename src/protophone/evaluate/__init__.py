"""Figures that can be trusted: what is on disk brought to the metrics, and results with intervals and provenance."""
