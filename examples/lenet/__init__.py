"""The systems of the papers on the two LeNets: how each is trained and measured."""
