"""The demo: a grammar that generates English and French sentences, and a translator that is trained on them."""
