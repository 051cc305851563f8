"""The recipes: their fields, how they are read, and those that come with the package."""
