"""The page of `glrg serve`: one HTML file, one style sheet, one script, nothing from elsewhere."""
