"""What is left of a run's accuracy on shifted test images, and how well it recognises OOD images."""
