"""Encoder-decoders of the years before the Transformer: recurrent (2014-2015), ByteNet (2016) and ConvS2S (2017).

They serve comparisons. The files `*_predecessor.py` import only each other, so that they travel with a saved model.
"""
