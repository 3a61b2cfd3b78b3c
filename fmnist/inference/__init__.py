"""A finished run as a function of images."""
