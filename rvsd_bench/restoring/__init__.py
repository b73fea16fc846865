"""Models over clips of any length and size."""
