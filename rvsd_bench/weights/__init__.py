"""Pretrained files: where they lie, whether they are what they should be, where they come from."""
