"""The local HTTP service ``edge-serve``: the results of ``edge-predict`` for programs in any language, and a page.

It needs the extra ``serve``. Nothing outside this package imports it, except the command.
"""
