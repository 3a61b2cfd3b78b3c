"""Explain which pixels a model's answer depends on, and measure whether the explanations can be believed."""
