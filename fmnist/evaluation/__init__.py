"""Evaluate one run and compare many: metrics of saved predictions, and the pages that show them."""
