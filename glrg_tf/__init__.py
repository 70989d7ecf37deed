"""GL-RG in TensorFlow: from videos to a served captioner. Importing this package does not import TensorFlow."""
