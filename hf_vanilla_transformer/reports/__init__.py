"""Reports of a run: report.md with its pictures, curves, and the fonts to draw them with."""
