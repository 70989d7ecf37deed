"""The sample world: short rendered clips with captions and the truth about them, all a function of one seed.

`script.py` decides what happens in a clip, `render.py` draws it (`shapes.py`, `things.py`, `scenes.py`, `effects.py`,
`motions.py`), `annotators.py` lets people describe it, `make.py` writes the folder, `truth.py` reads it. docs/world.md
tells how its information is split among the three ranges of frames.
"""
