"""Scores under a protocol: planned, validated, computed, resumed, tabulated."""
