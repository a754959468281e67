"""A network of dense layers, softmax cross-entropy on top: what weight files hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streameval.errors import ModelError
from streameval.layers.activations import check_activation as check_activation
from streameval.layers.dense import Dense
from streameval.models.network import Network, check_layers, set_fields

# What weight files hold one after another: the name that the package shows.
Layer = Dense


@dataclass(frozen=True, eq=False, repr=False)
class Mlp(Network):
    """A network: dense layers one after another, softmax cross-entropy on top of the last one's outputs.

    layers           at least one `Layer`; each one's inputs are the outputs of the one before; the last one's
                     activation is "identity": its outputs are the logits
    allow_nonfinite  accept weights that are NaN or infinite
    path             where it was loaded from, or None
    notes            what a reader of the file had to decide, one sentence each, for people

    Raises:
        ModelError: no layer, shapes that do not chain, a last activation other than "identity",
            a weight that is NaN or infinite.
    """

    layers: tuple[Layer, ...]

    def __init__(
        self,
        layers: Iterable[Layer],
        *,
        allow_nonfinite: bool = False,
        path: str | None = None,
        notes: Iterable[str] = (),
    ) -> None:
        given = tuple(layers)
        check_layers(given, (Layer,), "a Layer. Give Layer(weight, bias, activation) for each.")
        set_fields(self, given, (given[0].inputs,), path, tuple(notes), allow_nonfinite=allow_nonfinite)
        if given[-1].activation != "identity":
            raise ModelError(
                f"the last layer's activation is {given[-1].activation!r}, expected 'identity': "
                "softmax cross-entropy sits on top of its outputs."
            )

    @property
    def packable(self) -> tuple[Layer, ...]:
        """The layers as they are: dense ones have nothing to merge."""
        return self.layers
