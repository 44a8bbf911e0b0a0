"""One file format a module: writing it from a Keras model, and changing and measuring what lies inside."""
