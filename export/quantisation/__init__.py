"""int8 that decides as float32 does: how a network is rewritten for it, and in which ways it is quantised."""
