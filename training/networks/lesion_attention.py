"""A classifier that looks where its own map of the lesion is.

One convolution of the last feature map predicts, for each cell, whether the lesion is there (``heat``, a logit). A
second one gives the cell's evidence for each label. The logits are the mean evidence, weighted by the softmax of the
heat over all cells, plus a dense layer on the mean of the whole map. Attention over instances: Ilse, Tomczak & Welling
2018 (ICML, arXiv:1802.04712); here it is supervised by lesion masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.networks.backbones import MobileNet

if TYPE_CHECKING:
    import keras

HEAT_MAP, ATTENTION = "heat_map", "attention"
"""Names of the layers with the logits of the lesion's place (B×grid×grid×1) and their softmax (B×cells×1)."""

HEAT, SUSPICION = "heat", "suspicion"
"""Names of the outputs beside ``scores``: heat (logits, B×grid×grid) and suspicion of malignancy (logit, B×1)."""


@dataclass(frozen=True)
class LesionAttention:
    """A MobileNet with a map of the lesion.

    Attributes:
        backbone: the truncated MobileNet; its last tap is the feature map.
        labels: number of labels.
        dropout: share of the features dropped while fitting.
    """

    backbone: MobileNet
    labels: int
    dropout: float = 0.3

    @property
    def grid(self) -> int:
        """Number of cells along a side of the map: the backbone reduces the input 16 times."""
        return self.backbone.side_px // 16

    def build(self, weights: str | None) -> keras.Model:
        """Return the network with the outputs ``scores``, ``heat`` and ``suspicion``; the layer ``logits`` is exported.

        Args:
            weights: as in :meth:`training.networks.backbones.MobileNet.build`.
        """
        import keras
        from keras import layers, ops

        inputs, features = self.backbone.features(weights)
        cells = self.grid * self.grid
        heat = layers.Conv2D(1, 1, name=HEAT_MAP)(features)
        attention = layers.Softmax(axis=1, name=ATTENTION)(layers.Reshape((cells, 1))(heat))
        dropped = layers.Dropout(self.dropout)(features)
        mean = layers.Dropout(self.dropout)(layers.GlobalAveragePooling2D()(features))

        def attended(outputs: int, name: str) -> keras.KerasTensor:
            evidence = layers.Reshape((cells, outputs))(layers.Conv2D(outputs, 1, name=f"{name}_evidence")(dropped))
            seen = ops.sum(attention * evidence, axis=1)
            return layers.Add(name=name)([seen, layers.Dense(outputs, name=f"{name}_of_mean")(mean)])

        scores = layers.Activation("softmax", name="scores")(attended(self.labels, "logits"))
        outputs = {
            "scores": scores,
            HEAT: layers.Reshape((self.grid, self.grid), name=HEAT)(heat),
            SUSPICION: attended(1, SUSPICION),
        }
        return keras.Model(inputs, outputs, name="lesion_attention")


def classifier(model: keras.Model) -> keras.Model:
    """Return the network with the output ``scores`` alone, as it is saved and exported."""
    import keras

    return keras.Model(model.input, model.get_layer("scores").output, name=model.name)
