"""Recipes: their fields, the reading of recipe files and overrides, and the recipes of the package."""
