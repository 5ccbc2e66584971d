"""What an evaluation of the bound is made of."""

import torch

from pyro_sparse.infer import Parts


def test_mean_over_particles() -> None:
    parts = [
        Parts(torch.tensor(-1.0), {"w": torch.tensor(2.0)}, {"w": True}, {"w": "local"}),
        Parts(torch.tensor(-3.0), {"w": torch.tensor(4.0)}, {"w": True}, {"w": "local"}),
    ]
    mean = Parts.mean(parts)
    assert mean.log_likelihood == -2.0
    assert mean.kl == {"w": 3.0}
    assert (mean.analytic, mean.noise) == ({"w": True}, {"w": "local"})
    assert Parts.mean(parts[:1]) is parts[0]
