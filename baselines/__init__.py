"""Restorers: the references of every table, the published networks, and anybody else's model."""
