"""Caption-guided saliency: where and when each word of a sentence looked, and which concepts drove it."""
