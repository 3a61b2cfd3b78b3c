"""Evaluate one run, compare many: figures from saved predictions, and the pages that show them."""
