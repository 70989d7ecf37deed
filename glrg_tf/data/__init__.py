"""Caption data sets on disk, feature files, batches, importers."""
