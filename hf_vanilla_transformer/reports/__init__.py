"""What people look at after a run: pages, pictures, curves, and the fonts to draw them with."""
