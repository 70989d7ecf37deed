"""Captions of long video, level by level (Video ReCap, arXiv 2402.13250): clips, segments of minutes, one summary.

`hierarchy.py` cuts time into windows; the model reads features and the texts of the level below; the recursion runs a
captioner over a video of any length in constant memory.
"""
