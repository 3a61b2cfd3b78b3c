"""Rendered scenes of a garment, with the mask of its pixels: what the segmentation network is trained on.

Silhouettes come from training images of the data set. They are warped, and get other cloth: colours,
patterns, prints, folds. Behind them are sheets, floors, carpets and walls, with shadows, hangers and other
things. No photograph is used, and nothing here is shared with the photographs that ``fmnist.robustness``
renders for tests.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from fmnist.core.constants import IMAGE_SIZE
from fmnist.data.augmentation import per_image
from fmnist.pictures.segmentation import SIDE
from fmnist.segmentation.surfaces import TAU, Surfaces

MARGIN = 3  # pixels around an image, so that its outline can be smoothed
CLOTH = 30  # grey level that is wholly cloth
HANDLE = 25  # pixels: a larger hole shows what is behind, a smaller one is dark cloth
CLASS_WEIGHTS = (1, 1, 1, 1, 1, 0.25, 1, 0.25, 0.4, 0.25)  # clothes more often than shoes and bags


class Garment(NamedTuple):
    """Garments in front of nothing.

    Attributes:
        cloth: float32 (B, 3, SIDE, SIDE), colours in [0, 1].
        cover: float32 (B, 1, SIDE, SIDE), the share of each pixel that is garment.
        places: float32 (B, 2, SIDE, SIDE), x and y of each pixel within the garment's image, in [-1, 1].
    """

    cloth: Tensor
    cover: Tensor
    places: Tensor


def silhouettes(images: np.ndarray) -> np.ndarray:
    """Return how much of each pixel is garment, uint8 (N, 28, 28), of images uint8 (N, 28, 28)."""
    covers = np.empty_like(images)
    for image, cover in zip(images, covers, strict=True):
        soft = np.pad(np.minimum(image / np.float32(CLOTH), 1), 2)
        closed = ndimage.grey_closing(soft, (3, 3))[2:-2, 2:-2]
        filled = ndimage.binary_fill_holes(closed > 0.5)
        holes = ndimage.label(filled & (closed <= 0.5))[0]
        is_handle = np.bincount(holes.ravel()) > HANDLE
        is_handle[0] = False
        inside = filled & ~is_handle[holes]
        cover[:] = np.rint(255 * np.where(inside, 1, np.where(closed < 0.5, closed, 0)))
    return covers


class Scenes:
    """Renders scenes; the same ones in the same order for the same seed.

    Args:
        images: uint8 (N, 28, 28), training images of the data set.
        labels: int64 (N,).
        seed: Of everything random.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, seed: int) -> None:
        layers = np.stack([images, silhouettes(images)], 1)
        self.layers = F.pad(torch.from_numpy(layers), (MARGIN,) * 4)  # (N, 2, 34, 34): grey levels, cover
        self.weights = torch.tensor(CLASS_WEIGHTS)[torch.from_numpy(labels)]
        self.draw = Surfaces(seed)

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """Return pictures float32 (count, 3, SIDE, SIDE) in [0, 1] and masks (count, 1, SIDE, SIDE)."""
        garment = self._garment(count)
        scene = self._background(count)
        cloth = self._match(garment.cloth, scene)
        scene = self._put_things(scene)
        scene = self.draw.sometimes(0.1, scene, self._put_other_garment)
        hanger, colour = self._hanger(garment.places), self.draw.colours(count)
        scene = scene + (colour - scene) * hanger * self._flag(0.6, count)
        scene = self._cast_shadow(scene, garment.cover)
        picture = scene + (cloth - scene) * garment.cover
        inside = hanger * garment.cover * self._flag(0.3, count)  # lining, or the hanger through the collar
        picture = picture + (self.draw.colours(count) - picture) * inside
        return self._photograph(picture), garment.cover

    def _flag(self, probability: float, count: int) -> Tensor:
        return per_image(self.draw.chance(probability, count).float())

    def _uniform(self, low: float, high: float, count: int, power: float = 1.0) -> Tensor:
        """Return numbers (count, 1, 1, 1); a power above 1 makes low ones more frequent."""
        return per_image(low + (high - low) * self.draw.uniform(0, 1, count) ** power)

    def _garment(self, count: int) -> Garment:
        index = torch.multinomial(self.weights, count, replacement=True, generator=self.draw.generator)
        places = self._warp(count)
        frame = (IMAGE_SIZE + 2 * MARGIN) / IMAGE_SIZE
        layers = F.grid_sample(self.layers[index] / 255, places / frame, mode="bicubic", align_corners=False)
        levels, cover = layers.clamp(0, 1).split(1, dim=1)
        cover = ((cover - 0.5) * self._uniform(2, 5, count) + 0.5).clamp(0, 1)
        places = places.permute(0, 3, 1, 2)
        x, y = places.split(1, dim=1)
        cloth = self.draw.cloths(0.35, count)

        # a print near the middle, or a ragged part of another cloth
        dx = (x - self._uniform(-0.15, 0.15, count)) / self._uniform(0.08, 0.45, count)
        dy = (y - self._uniform(-0.5, 0.3, count)) / self._uniform(0.05, 0.5, count)
        box, ellipse = torch.maximum(dx.abs(), dy.abs()), torch.hypot(dx, dy)
        inside = torch.where(self._flag(0.5, count) > 0, box, ellipse) < 1
        ragged = self.draw.noise(count, 0.05, 0.4, 4) > self._uniform(-3, 0.8, count)
        printed = (inside & ragged).float() * self._flag(0.45, count)
        cloth = cloth + (self.draw.cloths(0.4, count) - cloth) * printed

        # parts of another colour: one side, or both sleeves
        angle = self.draw.uniform(0, TAU, count)
        side = per_image(torch.cos(angle)) * x + per_image(torch.sin(angle)) * y > self._uniform(
            0.1, 0.6, count
        )
        sleeves = x.abs() > self._uniform(0.3, 0.7, count)
        part = torch.where(self._flag(0.5, count) > 0, side, sleeves).float() * self._flag(0.18, count)
        cloth = cloth + (self.draw.colours(count) - cloth) * part

        # light: what the image shows, folds, a darker rim; and a row of buttons or a zip
        shade = (levels - 0.7 * levels.amax((2, 3), keepdim=True)) * self._uniform(-0.8, 0.8, count)
        folds = 0.22 * self.draw.noise(count, 0.06, 0.5, 4, upright=0.2) * self._uniform(0, 1, count, 1.5)
        rim = (cover - F.avg_pool2d(cover, 9, 1, 4)).clamp(min=0) * self._uniform(-0.2, 0.5, count)
        cloth = (cloth * (1 + shade + folds - rim) + 0.06 * folds).clamp(0, 1)
        line = ((x - self._uniform(-0.06, 0.06, count)).abs() < 0.02).float() * self._flag(0.2, count)
        return Garment(cloth + 0.7 * (self.draw.colours(count) - cloth) * line, cover, places)

    def _warp(self, count: int) -> Tensor:
        """Return where in the garment's image each pixel of the scene lies, (count, SIDE, SIDE, 2).

        Size, place, rotation, shear, perspective; sleeves that are lifted and legs that are spread; folds.
        """
        draw = self.draw
        size = torch.where(
            draw.chance(0.15, count), draw.uniform(0.25, 0.5, count), draw.uniform(0.5, 1.02, count)
        )
        turned = draw.chance(0.15, count)
        angle = torch.where(turned, draw.uniform(-0.8, 0.8, count), 0.08 * draw.normal(count))
        aspect, shear = torch.exp(0.13 * draw.normal(count)), 0.07 * draw.normal(count)
        free = (1.05 - size).clamp(min=0.02)[:, None]
        shift = 0.33 * free * draw.normal(count, 2).clamp(-2, 2)
        cos, sin = torch.cos(angle), torch.sin(angle)
        matrix = torch.stack([cos / aspect, sin / aspect + shear, -sin * aspect, cos * aspect], 1)
        matrix = matrix.view(-1, 2, 2) / size[:, None, None]
        places = (draw.grid.reshape(1, -1, 2) - shift[:, None]) @ matrix.transpose(1, 2)
        tilt = 0.12 * draw.normal(count, 1, 2)
        places = places / (1 + (places * tilt).sum(-1, keepdim=True)).clamp(0.3, 3)
        places = places.view(count, SIDE, SIDE, 2)
        x, y = places.unbind(3)
        lift = torch.where(draw.chance(0.5, count), draw.uniform(-0.3, 1.0, count), 0.0)[:, None, None]
        spread = torch.where(draw.chance(0.3, count), draw.uniform(0, 0.5, count), 0.0)[:, None, None]
        y = y + lift * (x.abs() - 0.3).clamp(min=0)
        x = x - spread * (y + 0.2).clamp(min=0) * torch.tanh(8 * x)
        places = torch.stack([x, y], 3)
        for cells, largest in ((5, 0.09), (14, 0.03)):
            bends = F.interpolate(
                draw.normal(count, 2, cells, cells), (SIDE, SIDE), mode="bicubic", align_corners=True
            )
            places = places + largest * (bends * self._uniform(0, 1, count, 2)).permute(0, 2, 3, 1)
        mirrored = per_image(draw.chance(0.5, count))
        return torch.where(mirrored, places * torch.tensor([-1.0, 1.0]), places)

    def _background(self, count: int) -> Tensor:
        """Return textured surfaces, some with a second one on one side: wall and floor, the edge of a bed."""
        draw = self.draw
        surface = draw.textured(count)
        angle = draw.angle(count, 0.7) + 0.05 * draw.normal(count)
        sign = torch.where(draw.chance(0.5, count), -1.0, 1.0)
        side = per_image(torch.cos(angle) * sign) * draw.x + per_image(torch.sin(angle) * sign) * draw.y
        beyond = side > self._uniform(0.3, 1.0, count)
        return draw.sometimes(
            0.3, surface, lambda part, chosen: torch.where(beyond[chosen], draw.textured(len(part)), part)
        )

    def _match(self, cloth: Tensor, scene: Tensor) -> Tensor:
        """Give some garments nearly the mean colour of what is behind them."""
        strength = self._flag(0.12, len(cloth)) * self._uniform(0.5, 0.95, len(cloth))
        difference = scene.mean((2, 3), keepdim=True) - cloth.mean((2, 3), keepdim=True)
        return (cloth + strength * difference).clamp(0, 1)

    def _put_things(self, scene: Tensor) -> Tensor:
        """Put rectangles and ellipses into some scenes, most of them near the frame."""
        for _ in range(3):
            scene = self.draw.sometimes(0.22, scene, self._put_thing)
        return scene

    def _put_thing(self, scene: Tensor, _: Tensor) -> Tensor:
        draw, count = self.draw, len(scene)
        direction, distance = draw.uniform(0, TAU, count), 1.2 * draw.uniform(0.75, 1.3, count)
        dx = draw.x - per_image(torch.cos(direction) * distance)
        dy = draw.y - per_image(torch.sin(direction) * distance)
        angle = draw.uniform(-0.5, 0.5, count)
        cos, sin = per_image(torch.cos(angle)), per_image(torch.sin(angle))
        along = (cos * dx + sin * dy) / self._uniform(0.05, 0.6, count)
        across = (cos * dy - sin * dx) / self._uniform(0.05, 0.6, count)
        box, ellipse = torch.maximum(along.abs(), across.abs()), torch.hypot(along, across)
        cover = torch.sigmoid(20 * (1 - torch.where(self._flag(0.5, count) > 0, box, ellipse)))
        return scene + (draw.cloths(0.4, count) - scene) * cover

    def _put_other_garment(self, scene: Tensor, _: Tensor) -> Tensor:
        """Let another garment reach into the frame from one side."""
        draw, count = self.draw, len(scene)
        other = self._garment(count)
        far = 2 * draw.uniform(0.6, 0.95, count) * torch.where(draw.chance(0.5, count), -1.0, 1.0)
        near, is_beside = 0.3 * draw.normal(count), draw.chance(0.5, count)
        shift = torch.stack([torch.where(is_beside, far, near), torch.where(is_beside, near, far)], 1)
        both = torch.cat([other.cloth, other.cover], 1)
        cloth, cover = F.grid_sample(both, draw.grid + shift[:, None, None], align_corners=False).split(
            [3, 1], 1
        )
        return scene + (cloth - scene) * cover

    def _hanger(self, places: Tensor) -> Tensor:
        """Return the cover of hangers, (B, 1, SIDE, SIDE), in some scenes: two arms, a hook, maybe a rail."""
        count = len(places)
        x, y = places.split(1, dim=1)
        x, top = x.abs(), self._uniform(-1.0, -0.8, count)
        thickness = self._uniform(0.012, 0.05, count)
        arms = (y - top - self._uniform(0.2, 0.5, count) * x).abs() < thickness
        arms &= x < self._uniform(0.2, 0.5, count)
        hook = (x < 0.6 * thickness) & (y < top) & (y > top - self._uniform(0.1, 0.5, count))
        rail = (y - top + 0.3).abs() < self._uniform(0.01, 0.06, count)
        rail &= self._flag(0.3, count) > 0
        return (arms | hook | rail).float() * self._flag(0.25, count)

    def _cast_shadow(self, scene: Tensor, cover: Tensor) -> Tensor:
        count = len(scene)
        shift = 0.05 * self.draw.normal(count, 2)
        shadow = F.grid_sample(cover, self.draw.grid + shift[:, None, None], align_corners=False)
        for size in (5, 9):
            blurred = F.avg_pool2d(shadow, size, 1, size // 2)
            shadow = torch.where(self._flag(0.5, count) > 0, blurred, shadow)
        return scene * (1 - 0.6 * self._uniform(0, 1, count) * F.avg_pool2d(shadow, 3, 1, 1))

    def _photograph(self, scene: Tensor) -> Tensor:
        """Return scenes as a camera records them: uneven light, colour cast, exposure, blur, noise."""
        draw, count = self.draw, len(scene)
        angle = draw.uniform(0, TAU, count)
        ramp = per_image(torch.cos(angle)) * draw.x + per_image(torch.sin(angle)) * draw.y
        light = 1 + 0.45 * self._uniform(0, 1, count, 2) * ramp
        light = light - 0.3 * self._uniform(0, 1, count, 2) * (draw.x**2 + draw.y**2)
        light = light + 0.2 * self._uniform(0, 1, count, 3) * draw.noise(count, 0.1, 0.4)
        cast = 1 + 0.08 * draw.normal(count, 3, 1, 1)
        gamma = per_image(torch.exp(0.25 * draw.normal(count)))
        picture = (scene * light * cast * self._uniform(0.85, 1.25, count)).clamp(0, 1) ** gamma
        blurred = F.avg_pool2d(F.pad(picture, (1,) * 4, mode="replicate"), 3, 1)
        picture = torch.lerp(picture, blurred, self._uniform(0, 1, count))
        noise = 0.06 * self._uniform(0, 1, count, 2) * draw.normal(*picture.shape)
        return (picture + noise).clamp(0, 1)
