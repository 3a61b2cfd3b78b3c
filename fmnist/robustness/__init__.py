"""Test images as they might come: corrupted, photographed, or of something else; made anew, never stored."""
