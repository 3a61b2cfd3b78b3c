"""Many runs as one study: over seeds or folds, of a list of configurations, or in search of good settings."""
