"""A slide cut into tiles: their answers, the map of their scores, the decision on the whole."""
