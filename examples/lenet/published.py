"""What the papers report on MNIST: facts of theirs, typed as data, each with its source.

Errors are those the papers print; where the code is open they are known to be the best of all
epochs, chosen on the test set. Weights follow from the architecture, the surviving inputs of each
dense layer and maps of each convolution, biases left out; for single weights they follow from the
printed compression.
"""

__all__ = ["DENSE", "MARKS", "PUBLISHED", "Mark", "Published"]

from dataclasses import dataclass

MLP, LENET5 = "lenet_300_100", "lenet_5_caffe"

DENSE = {MLP: 266_200, LENET5: 430_500}

L0_PAPER = "Louizos, Welling, Kingma (2018), table 1, https://arxiv.org/abs/1712.01312"
VD_PAPER = "Molchanov, Ashukha, Vetrov (2017), https://arxiv.org/abs/1701.05369"
RIGL_PAPER = "Evci et al. (2020), table 2, https://arxiv.org/abs/1911.11134"
SBP_PAPER = "Neklyudov et al. (2017), https://arxiv.org/abs/1705.07283"
ARM_PAPER = "Li, Ji (2019), https://arxiv.org/abs/1904.04432; architecture not checked again"
FLOPS_PAPER = "Tang et al. (2018), https://arxiv.org/abs/1811.03060"
CONSTRAINED = "Gallego-Posada et al. (2022), https://arxiv.org/abs/2208.04425"


@dataclass(frozen=True)
class Published:
    """One published result.

    Attributes:
        net: The network.
        method: The method of ours it is compared with, or what else it is.
        title: What the paper calls it.
        error: Test error in percent.
        source: Where it is printed.
        architecture: Surviving units; empty where single weights go.
        compression: Dense weights over remaining ones, where there is no architecture.
        units: Whether whole units go although no architecture is printed.
    """

    net: str
    method: str
    title: str
    error: float
    source: str
    architecture: str = ""
    compression: float = 1.0
    units: bool = False

    @property
    def structured(self) -> bool:
        """Whether whole units go, or single weights."""
        return self.units or bool(self.architecture)

    @property
    def weights(self) -> float:
        """Weights that are left."""
        if not self.architecture:
            return DENSE[self.net] / self.compression
        if self.net == MLP:
            a, b, c = map(int, self.architecture.split("-"))
            return a * b + b * c + 10 * c
        a, b, c, d = map(int, self.architecture.split("-"))
        return 25 * a + 25 * a * b + c * d + 10 * d


@dataclass(frozen=True)
class Mark:
    """The best published point of its kind: an error, and weights reached at it."""

    net: str
    structured: bool
    error: float
    weights: float
    source: str


PUBLISHED = (
    Published(MLP, "vd", "Sparse VD", 1.92, VD_PAPER, compression=68),
    Published(MLP, "vd_units", "Sparse VD, units", 1.8, L0_PAPER, "512-114-72"),
    Published(MLP, "gnj", "BC-GNJ", 1.8, L0_PAPER, "278-98-13"),
    Published(MLP, "ghs", "BC-GHS", 1.8, L0_PAPER, "311-86-14"),
    Published(MLP, "l0", "L0, 0.1/N", 1.4, L0_PAPER, "219-214-100"),
    Published(MLP, "l0_sep", "L0, separate lambdas", 1.8, L0_PAPER, "266-88-33"),
    Published(MLP, "l0_arm", "L0-ARM, 0.1/N", 1.8, ARM_PAPER, "143-153-78"),
    Published(MLP, "vib", "VIB", 1.6, RIGL_PAPER, "97-71-33"),
    Published(MLP, "sbp", "SBP (of a 500-300 network)", 1.6, RIGL_PAPER, "245-160-55"),
    Published(MLP, "budget", "Constrained L0", 1.77, CONSTRAINED, compression=3.8, units=True),
    Published(
        MLP, "budget", "Constrained L0, by layer", 2.19, CONSTRAINED, compression=13.2, units=True
    ),
    Published(LENET5, "vd", "Sparse VD", 0.75, VD_PAPER, compression=280),
    Published(LENET5, "vd_units", "Sparse VD, units", 1.0, L0_PAPER, "14-19-242-131"),
    Published(LENET5, "group_lasso", "group lasso", 1.0, L0_PAPER, "3-12-192-500"),
    Published(LENET5, "gd", "generalised dropout", 1.1, FLOPS_PAPER, "7-13-208-16"),
    Published(LENET5, "sbp", "SBP", 0.9, SBP_PAPER, "3-18-284-283"),
    Published(LENET5, "gnj", "BC-GNJ", 1.0, L0_PAPER, "8-13-88-13"),
    Published(LENET5, "ghs", "BC-GHS", 1.0, L0_PAPER, "5-10-76-16"),
    Published(LENET5, "l0", "L0, 0.1/N", 0.9, L0_PAPER, "20-25-45-462"),
    Published(LENET5, "l0_sep", "L0, separate lambdas", 1.0, L0_PAPER, "9-18-65-25"),
    Published(LENET5, "l0_arm", "L0-ARM, separate lambdas", 1.0, ARM_PAPER, "6-10-39-11"),
    Published(LENET5, "budget", "Constrained L0", 1.01, CONSTRAINED, compression=12.9, units=True),
    Published(
        LENET5,
        "budget",
        "Constrained L0, by layer",
        0.906,
        CONSTRAINED,
        compression=42.6,
        units=True,
    ),
)

MARKS = (
    Mark(MLP, True, 1.6, 9_560, "VIB, 97-71-33"),
    Mark(MLP, False, 1.92, DENSE[MLP] / 68, "Sparse VD, 68x"),
    Mark(LENET5, True, 1.0, 2_189, "L0-ARM, 6-10-39-11"),
    Mark(LENET5, False, 0.75, DENSE[LENET5] / 280, "Sparse VD, 280x"),
)
