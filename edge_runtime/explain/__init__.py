"""Where in a picture an answer comes from: found, told and drawn."""
