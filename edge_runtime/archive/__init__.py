"""Archives that outgrow one machine: a plan of shards, engines that score them, and one table of all results.

A shard is one Parquet file. It is written by temporary file, flush and rename, and a finished one is never written
again. The files alone say what is finished: a return value of an engine is never counted.
"""
