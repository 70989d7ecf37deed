"""Visual GloVe: unsupervised semantics of clips (Estevam et al., arXiv 2112.08455).

Clip features are clustered into a codebook of visual words (codebook.py), words that stand near each other in time are
counted (cooccurrence.py), GloVe turns the counts into vectors (glove.py, training/glove.py), and a clip's embedding is
its word's vector (embedding.py).
"""
