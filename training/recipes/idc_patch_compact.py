"""Invasive ductal carcinoma in H&E patches of 50×50 px: this project's own network, small enough for every device.

RGB as published, no sharpening; ImageNet's MobileNet cut after its sixth block, three depths pooled, one sigmoid.
On held-out patients it is better than a plain stack with more weights (docs/research/experiments.md). Since version 1.2
it is fitted by the means of :mod:`training.recipes.idc_patch_large`: patches drawn by the root of a patient's number,
random scale, all patients but those of the validation part.
"""

from __future__ import annotations

from dataclasses import replace

from training.data.sampling import PatientSampling
from training.recipes.idc_patch_large import IDC_PATCH_LARGE, TissueNetwork, steps_of
from training.recipes.recipe import AdamW

IDC_PATCH_COMPACT = replace(
    IDC_PATCH_LARGE,
    spec=replace(
        IDC_PATCH_LARGE.spec,
        name="idc-patch-compact",
        version="1.3.0",
        steps=steps_of(50),
        tile_px=None,
    ),
    network=TissueNetwork(side_px=50, taps=(3, 5, 6)),
    plan=replace(
        IDC_PATCH_LARGE.plan,
        epochs=14,
        optimiser=AdamW(1e-3, weight_decay=0.05, average=0.995),
        sampling=PatientSampling(power=0.5),
    ),
)
"""157,873 parameters, input 50×50×3 in -1..1, one sigmoid output."""
