"""What every law must pass."""

__all__ = ["LAW_CHECKS", "check_law"]

from collections.abc import Callable

from pyro_sparse.testing import contract, densities, draws
from pyro_sparse.testing.cases import LawCase, applicable, require_double

LAW_CHECKS: dict[str, Callable[[LawCase], None]] = {
    check.__name__: check
    for check in (
        contract.shapes,
        contract.sample_shapes,
        contract.pickles,
        contract.precision,
        contract.device,
        contract.support,
        densities.density_integrates_to_one,
        densities.cdf_matches_density,
        densities.icdf_inverts_cdf,
        draws.samples_match_density,
        draws.samples_are_independent,
        densities.moments_match_density,
        densities.gradients,
        draws.samples_carry_gradients,
        contract.gate_contract,
    )
}
"""The checks by name, for `pytest.mark.parametrize`."""


def check_law(case: LawCase, name: str | None = None) -> None:
    """Runs one check by name, or all; those that the case skips do not run.

    Raises an `AssertionError` at the first defect found, and a `ValueError` for a case that
    cannot be checked: parameters that are not in double precision, unknown checks, a support
    that differs within the batch, atoms elsewhere than at 0 and 1. What the law itself raises
    is passed on, such as the `NotImplementedError` of a method that it lacks.

    Args:
        case: the law and its parameters.
        name: a key of `LAW_CHECKS`; all of them by default.

    Example:
        >>> import torch
        >>> from pyro_sparse.distributions import HardConcrete
        >>> check_law(LawCase(HardConcrete, {"logits": torch.tensor([-1.0, 2.0]).double()}))
    """
    require_double(case)
    for check in applicable(LAW_CHECKS, name, case.skip):
        check(case)
