"""The model card, written from the manifest alone: no figure in it is typed by hand.

Sections and their order are those of Mitchell et al. 2019, Model Cards for Model Reporting (FAT* 2019); what they do
not name (decision policy, split audit, files, cost) stands below the section that it explains. The words are in
``export/templates/model_card.md.j2``.
"""

from export.model_card.card import model_card

__all__ = ["model_card"]
