"""Self-contained HTML pages: markup that escapes by itself, parts that reports share, pictures inside the page."""
