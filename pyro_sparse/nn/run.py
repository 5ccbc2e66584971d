r"""One run of a network, in which every site is drawn once."""

__all__ = ["Run"]

from types import TracebackType

from torch import Tensor

from pyro_sparse.local.draw import in_backward
from pyro_sparse.prior import Prior


class Run:
    r"""One run of a network, in which every site is drawn once however often it is read.

    Example:
        >>> run = Run()
        >>> with run:
        ...     run.active
        True
    """

    def __init__(self) -> None:
        self.depth = 0
        self.values: dict[str, Tensor] = {}

    @property
    def active(self) -> bool:
        return self.depth > 0

    def draw(self, prior: Prior) -> Tensor:
        r"""The value of a site in this run."""

        if not self.active:
            raise AttributeError(
                f"'{prior.site}' is a random variable, and has a value only while the network "
                "runs. Its posterior is in the guide: guide.laws()."
            )
        if prior.site not in self.values:
            _check_forward(prior.site)
            self.values[prior.site] = prior.draw()
        return self.values[prior.site]

    def __enter__(self) -> "Run":
        self.depth += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.depth -= 1
        if self.depth == 0:
            self.values.clear()


def _check_forward(site: str) -> None:
    if in_backward():
        raise RuntimeError(
            f"'{site}' was drawn in a run of the network that is over, and would be drawn again "
            "from its prior: activation checkpointing inside a network made by bayesianize runs "
            "parts of it a second time, in the backward pass, which cannot be told which draw "
            "they belong to. Take the checkpointing out of the network."
        )
