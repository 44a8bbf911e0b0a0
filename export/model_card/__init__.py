"""Write the model card from the manifest; all its figures come from the manifest.

Sections and their order follow Mitchell et al. 2019, Model Cards for Model Reporting (FAT* 2019). Additional topics
(decision policy, split audit, files, cost) follow the section that they belong to. The text is in
``export/templates/model_card.md.j2``.
"""

from export.model_card.card import model_card

__all__ = ["model_card"]
