"""Many runs as one study: over seeds, of a list of configurations, or in search of good settings."""
