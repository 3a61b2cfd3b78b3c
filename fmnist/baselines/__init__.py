"""Classical baselines: scikit-learn's classifiers on pixels, HOG or a network's embeddings."""
