"""Training of the network that cuts garments out of pictures, on rendered scenes."""
