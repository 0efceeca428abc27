"""Dense products sampled where a tensor stores (SDDMM).

``match`` finds them, ``template`` is the loop nest. ``pack`` brings the dense factors into strips, ``entries`` lists
what a task computes, ``tile`` chooses which dot products run side by side, and ``dot`` computes these. ``listed`` does
it for results whose run-time pattern is a list. Of few terms ``rows`` makes whole rows instead, and takes what is
stored; ``few`` says for which formats.
"""
