"""Paired datasets: planned, generated, published, verified and previewed."""
