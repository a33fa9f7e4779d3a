"""Boxes in COCO's json format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class CocoWriter:
    """Collects the images and boxes of one split, and writes them as COCO json.

    Identifiers count from 1: pycocotools takes an annotation with the id 0 for none.

    Args:
        categories (Sequence[str]): Class names, numbered from 1.

    Example:
        >>> coco = CocoWriter(["tree"])
        >>> image = coco.add_image("a.png", width=400, height=400)
        >>> coco.add_box(image, 1, (10, 20, 30, 50))
        >>> coco.annotations[0]["bbox"]
        [10, 20, 20, 30]
    """

    def __init__(self, categories: Sequence[str]) -> None:
        self.categories = [{"id": number, "name": name} for number, name in enumerate(categories, 1)]
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add_image(self, file_name: str, width: int, height: int, **extra: Any) -> int:
        """Add an image of a size in pixels; ``extra`` keys are kept. Returns its id."""
        image = {"id": len(self.images) + 1, "file_name": file_name, "width": width, "height": height}
        self.images.append({**image, **extra})
        return image["id"]

    def add_box(
        self,
        image: int,
        category: int,
        corners: tuple[float, float, float, float],
        *,
        area: float | None = None,
        crowd: bool = False,
        **extra: Any,
    ) -> None:
        """Add a box.

        Args:
            image (int): The image's id.
            category (int): The class, from 1.
            corners (tuple): Left, top, right, bottom in pixels, the last two exclusive.
            area (float | None): Pixels of the object; the box's where not given.
            crowd (bool): The evaluation neither asks for this box nor minds a detection there.
            extra: Further keys, kept as they are.
        """
        left, top, right, bottom = corners
        box = {
            "id": len(self.annotations) + 1,
            "image_id": image,
            "category_id": category,
            "bbox": [left, top, right - left, bottom - top],
            "area": (right - left) * (bottom - top) if area is None else area,
            "iscrowd": int(crowd),
        }
        self.annotations.append({**box, **extra})

    def write(self, path: Path) -> None:
        """Write the json file, with its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"images": self.images, "annotations": self.annotations, "categories": self.categories}
        path.write_text(json.dumps(content, indent=0) + "\n", encoding="utf-8")
