"""Does a network keep its word: calibration, strange data, and errors it could have declined."""

__all__ = ["calibration_scores", "ood_detection", "reliability", "risk_coverage"]

import torch
from torch import Tensor

from pyro_sparse.inspect.extras import require


def calibration_scores(probs: Tensor, labels: Tensor, bins: int = 15) -> dict[str, float]:
    r"""Error, negative log-likelihood, Brier score and expected calibration error.

    .. math::
        \text{nll} = -\tfrac1N \sum_n \log p_{n y_n}, \qquad
        \text{brier} = \tfrac1N \sum_n \sum_c (p_{nc} - 1[y_n = c])^2, \qquad
        \text{ece} = \sum_b \tfrac{N_b}{N} |\text{accuracy}_b - \text{confidence}_b|

    All are smaller for better predictions; nll (in nats) and Brier are proper
    scores, ece is not: guessing the class frequencies has ece 0. A probability
    that underflowed to 0 counts as the smallest positive float32.

    References:
        On Calibration of Modern Neural Networks (Guo et al., 2017)
        https://arxiv.org/abs/1706.04599

    Args:
        probs: Predicted class probabilities, `(examples, classes)`.
        labels: True classes, `(examples,)`.
        bins: Equal bins of the confidence, for the ece.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.6, 0.4]])
        >>> scores = calibration_scores(probs, torch.tensor([0, 1]))
        >>> {name: round(score, 3) for name, score in scores.items()}
        {'error': 0.5, 'nll': 0.511, 'brier': 0.37, 'ece': 0.35}
    """
    probs, labels = _checked(probs, labels, bins)
    classification = require("torchmetrics.functional.classification")
    of_truth = probs.gather(-1, labels[:, None]).clamp_min(torch.finfo(torch.float32).tiny)
    truth = torch.nn.functional.one_hot(labels, probs.shape[-1])
    ece = classification.multiclass_calibration_error(
        probs, labels, num_classes=probs.shape[-1], n_bins=bins
    )

    return {
        "error": float((probs.argmax(-1) != labels).double().mean()),
        "nll": float(-of_truth.log().mean()),
        "brier": float((probs - truth).square().sum(-1).mean()),
        "ece": float(ece),
    }


def reliability(probs: Tensor, labels: Tensor, bins: int = 15) -> tuple[Tensor, Tensor, Tensor]:
    """Mean confidence, accuracy and share of the examples of each bin that has any.

    References:
        On Calibration of Modern Neural Networks (Guo et al., 2017),
        https://arxiv.org/abs/1706.04599

    Args:
        probs: Predicted class probabilities, `(examples, classes)`.
        labels: True classes, `(examples,)`.
        bins: Equal bins of the confidence.
    """
    probs, labels = _checked(probs, labels, bins)
    confidence, answer = probs.max(-1)
    which = (confidence * bins).long().clamp(0, bins - 1)
    counts = torch.bincount(which, minlength=bins)
    mean = torch.bincount(which, confidence, minlength=bins) / counts
    right = torch.bincount(which, (answer == labels).to(mean), minlength=bins) / counts
    some = counts > 0

    return mean[some], right[some], counts[some] / len(labels)


def ood_detection(inside: Tensor, outside: Tensor) -> dict[str, float]:
    r"""How well an uncertainty tells a second data set from the first: AUROC and FPR95.

    AUROC is the probability that a random outside example is the more uncertain
    one (ties count half); FPR95 is the share of the outside that is let in when
    95% of the inside is.

    References:
        A Baseline for Detecting Misclassified and Out-of-Distribution Examples in
        Neural Networks (Hendrycks and Gimpel, 2017) https://arxiv.org/abs/1610.02136

    Args:
        inside: Uncertainty of each example of the data trained on, `(examples,)`, for
            example the entropy of its prediction.
        outside: The same for the other data, `(others,)`.

    Example:
        >>> scores = ood_detection(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.25, 0.9]))
        >>> {name: round(score, 3) for name, score in scores.items()}
        {'auroc': 0.833, 'fpr95': 0.5}
    """
    for name, scores in (("inside", inside), ("outside", outside)):
        if scores.dim() != 1 or scores.numel() == 0 or not bool(scores.isfinite().all()):
            bad = int((~scores.isfinite()).sum())
            raise ValueError(
                f"{name} must be a non-empty vector of finite numbers, but its shape is "
                f"{tuple(scores.shape)} and {bad} of its numbers are not finite"
            )

    classification = require("torchmetrics.functional.classification")
    scores = torch.cat([inside, outside]).double()
    # Ranks in [0, 1]: torchmetrics squashes other scores and would merge large ones.
    rank = scores.unique(return_inverse=True)[1].double()
    known = 1 - rank / rank.max().clamp_min(1)
    is_inside = torch.arange(len(known), device=known.device) < len(inside)

    auroc = classification.binary_auroc(known, is_inside.long())
    false, true, _ = classification.binary_roc(known, is_inside.long())
    first = int((true >= 0.95).nonzero()[0])

    return {"auroc": float(auroc), "fpr95": float(false[first])}


def risk_coverage(
    probs: Tensor, labels: Tensor, uncertainty: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    r"""Error among the most certain examples (risk) against their share (coverage).

    A user who may decline to answer reads off the error at the coverage wanted;
    `risk.mean()` is the area under the curve.

    References:
        Selective Classification for Deep Neural Networks (Geifman and El-Yaniv, 2017)
        https://arxiv.org/abs/1705.08500

    Args:
        probs: Predicted class probabilities, `(examples, classes)`.
        labels: True classes, `(examples,)`.
        uncertainty: What to sort by, `(examples,)`; by default 1 - the largest probability.

    Returns:
        Coverage and risk, each `(examples,)`.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.6, 0.4]])
        >>> risk_coverage(probs, torch.tensor([0, 1]))
        (tensor([0.5000, 1.0000]), tensor([0.0000, 0.5000]))
    """
    probs, labels = _checked(probs, labels)
    confidence, answer = probs.max(-1)
    doubt = -confidence if uncertainty is None else uncertainty
    missing = int(doubt.isnan().sum())

    if doubt.shape != labels.shape or missing:
        raise ValueError(
            f"uncertainty must be one number an example, {tuple(labels.shape)}, but its shape is "
            f"{tuple(doubt.shape)} and {missing} of its numbers are nan"
        )

    order = doubt.argsort(stable=True)
    wrong = (answer != labels)[order].float()
    count = torch.arange(1, len(wrong) + 1, device=wrong.device)

    return count / len(wrong), wrong.cumsum(0) / count


def _checked(probs: Tensor, labels: Tensor, bins: int = 1) -> tuple[Tensor, Tensor]:
    """Double-precision probabilities and integer labels, or what is wrong with them."""
    if not (isinstance(probs, Tensor) and isinstance(labels, Tensor)):
        raise TypeError(
            "probs and labels must be tensors, but they are "
            f"{type(probs).__name__} and {type(labels).__name__}; convert with torch.as_tensor"
        )

    if bins < 1:
        raise ValueError(f"bins must be at least 1, but it is {bins}")

    if probs.dim() != 2 or labels.shape != probs.shape[:1] or len(probs) == 0:
        raise ValueError(
            "probs must be (examples, classes) and labels (examples,), but their shapes are "
            f"{tuple(probs.shape)} and {tuple(labels.shape)}"
        )

    total = probs.double().sum(-1)

    if not bool(((total - 1).abs() < 1e-3).all() and (probs >= 0).all()):
        raise ValueError(
            "probs must be non-negative and sum to 1 over the last dimension, but sums span "
            f"[{float(total.min()):g}, {float(total.max()):g}]; apply softmax to logits first"
        )

    if bool((labels < 0).any() or (labels >= probs.shape[1]).any()):
        raise ValueError(
            f"labels must lie in [0, {probs.shape[1] - 1}], but they span "
            f"[{int(labels.min())}, {int(labels.max())}]"
        )

    return probs.double(), labels.long()
