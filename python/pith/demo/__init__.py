"""The demo: a sentence encoder whose pruned feed-forward blocks run through pith (``pith demo``)."""
