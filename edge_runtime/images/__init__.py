"""From files to pixels: which files of a folder are images, what a file may hold, what is cut out of it."""
