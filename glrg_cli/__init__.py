"""The glrg command."""
