"""Clips in and out: pictures, folders of frames, video files."""
