"""CIDEr-D in the graph, consensus scores, coco-caption scores."""
