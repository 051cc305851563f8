"""The demo: a grammar that writes English and French, and a translator that learns them in three minutes."""
