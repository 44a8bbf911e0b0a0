"""Where in an image an answer comes from: found, told and drawn."""
