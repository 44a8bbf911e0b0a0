"""A tiny network on synthetic H&E phantoms, to train, export and test without real data.

Contract, labels and head are those of ``idc-patch``, so that every step is covered. The model has no medical meaning.
It uses convolution → BatchNorm → ReLU, the order in which int8 folds BatchNorm without loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.bundle.policy import DecisionPolicy, Head
from edge_runtime.bundle.spec import ModelSpec
from training.data.datasets import idc
from training.data.splits import SplitPlan
from training.recipes.idc_patch import IDC_STEPS
from training.recipes.recipe import Adam, DataSource, Loss, Plateau, Recipe, TrainingPlan

if TYPE_CHECKING:
    import keras

SPEC = ModelSpec(
    name="phantom-patch",
    version="1.0.0",
    summary="Synthetic H&E phantom, 50×50 px: crowded, large, irregular nuclei? For tests and demonstrations alone.",
    steps=IDC_STEPS,
    labels=idc.LABELS,
    positive=("malignant",),
    head=Head.INDEPENDENT_SIGMOIDS,
    policy=DecisionPolicy(cutoff=0.5, confidence_floor=0.80),
)


def network(weights: str | None = None) -> keras.Model:
    """Build four strided convolutions and a global average: 5,066 parameters, two sigmoid outputs."""
    import keras  # imported here, so that listing recipes does not load a framework
    from keras import layers

    inputs = keras.Input((50, 50, 3), name="image")
    x = inputs
    for filters in (8, 16, 24):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    logits = layers.Dense(2, name="logits")(x)
    return keras.Model(inputs, layers.Activation("sigmoid", name="scores")(logits), name="phantom_patch")


PHANTOM_PATCH = Recipe(
    spec=SPEC,
    source=DataSource(
        title="synthetic H&E phantoms made by this project",
        citation="training/data/datasets/phantoms.py (stain vectors: Ruifrok & Johnston 2001)",
        licence="Apache-2.0, as this project",
        research_only=False,
        load=idc.load,
    ),
    network=network,
    plan=TrainingPlan(
        epochs=30,
        batch=32,
        optimiser=Adam(3e-3),
        loss=Loss.BINARY,
        seed=1,
        balance=True,
        stop_patience=10,
        keep_best=True,
        plateau=Plateau(factor=0.5, patience=3, min_rate=1e-5),
    ),
    split=SplitPlan(validation=0.2, test=0.2, seed=1),
    cases=True,
)
