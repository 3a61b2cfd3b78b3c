"""Classical baselines: scikit-learn's classifiers on pixels, HOG or an embedding; blends of runs."""
