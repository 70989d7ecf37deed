"""Files in and out: atomic writes, validated HDF5, foreign formats through an allow-list."""
