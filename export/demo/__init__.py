"""The page of `glrg serve`: one HTML file, one style sheet, two scripts, nothing from elsewhere."""
