"""Run strangers' models apart: no network, no files, no secrets, bounded memory and time."""
