"""Video files in and out: frame plans, a careful reader, decoding in child processes, a writer."""
