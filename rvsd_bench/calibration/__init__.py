"""Fit a snowfall to real falling snow."""
