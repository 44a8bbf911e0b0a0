"""What the operating system and the processor do: files, faults, descriptors, locks, names on a terminal."""
