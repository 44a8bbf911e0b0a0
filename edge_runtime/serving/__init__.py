"""The HTTP service ``edge-serve``: the command line's answers for other programs, and a page (extra ``serve``)."""
