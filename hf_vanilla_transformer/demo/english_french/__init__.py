"""The parts of the English-French grammar: lexicon, numbers, spelling, noun phrases, clauses, sentences."""
