"""From the published files to batches and arrays: source, split, augmentation and loaders."""
