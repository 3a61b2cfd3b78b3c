"""From idx files to batches: source, split, augmentation, the numpy adapter and pictures of one's own."""
