"""The VGG-like network of the papers on sparse posteriors, for images of 32x32 pixels."""

__all__ = ["vgg"]

from collections import OrderedDict

from torch import nn

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def vgg(classes: int = 10, width: float = 1.0, dropout: bool = True) -> nn.Sequential:
    """Thirteen convolutions with batch norm and a dense layer of 512 units: 14,977,728 weights.

    The order is convolution, batch norm, ReLU; dropout of .3 or .4 between convolutions and .5
    around the dense layer.

    References:
        92.45% on CIFAR-10 in Torch (Zagoruyko, 2015), https://torch.ch/blog/2015/07/30/cifar.html

        Very Deep Convolutional Networks for Large-Scale Image Recognition (Simonyan, Zisserman,
        2014), https://arxiv.org/abs/1409.1556

    Args:
        classes: outputs.
        width: factor of all widths.
        dropout: whether there is dropout; priors that sparsify replace it.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs, number = 3, 0

    for stage, widths in enumerate(STAGES, 1):
        for place, full in enumerate(widths, 1):
            number, outputs = number + 1, round(full * width)
            layers[f"conv{number}"] = nn.Conv2d(inputs, outputs, 3, padding=1)
            layers[f"bn{number}"] = nn.BatchNorm2d(outputs)
            layers[f"relu{number}"] = nn.ReLU()
            inputs = outputs

            if dropout and place < len(widths):
                layers[f"drop{number}"] = nn.Dropout(0.3 if stage == 1 else 0.4)
        layers[f"pool{stage}"] = nn.MaxPool2d(2)

    half = nn.Dropout(0.5 if dropout else 0.0)
    layers |= OrderedDict(
        flatten=nn.Flatten(),
        drop14=half,
        fc1=nn.Linear(inputs, inputs),
        bn14=nn.BatchNorm1d(inputs),
        relu14=nn.ReLU(),
        drop15=half,
        fc2=nn.Linear(inputs, classes),
    )
    return nn.Sequential(layers)
