"""From files to pixels: find the images in a folder, check and decode files, and crop regions."""
