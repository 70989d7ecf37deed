"""The captioner: feature pool, decoder step, decoding, presets."""
