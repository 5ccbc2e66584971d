"""The systems of the papers on convolutional networks for CIFAR: how each is trained."""
