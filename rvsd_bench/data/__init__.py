"""Datasets on disk: their layouts, their pairs, and whether they are sound."""
