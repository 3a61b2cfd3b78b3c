"""Train the segmentation network on rendered scenes."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from fmnist.data.augmentation import per_image
from fmnist.pictures.segmentation import SIDE
from fmnist.segmentation.network import SegmentationNetwork
from fmnist.segmentation.scenes import Scenes

BATCH = 32
RENDERED = 50  # scenes at a time
LEARNING_RATE, WEIGHT_DECAY = 4e-3, 0.02
DICE_WEIGHT = 0.5
EMA_DECAY = 0.999


def render_scenes(scenes: Scenes, count: int) -> Tensor:
    """Return pictures and masks, uint8 (count, 4, 96, 96): red, green, blue, cover; 37 KB a scene."""
    rendered = torch.empty((count, 4, SIDE, SIDE), dtype=torch.uint8)
    for part in tqdm(rendered.split(RENDERED), "scenes", unit=f" x {RENDERED}"):
        part[:] = (255 * torch.cat(scenes.batch(len(part)), 1)).round()
    return rendered


def train(scenes: Tensor, steps: int, seed: int) -> SegmentationNetwork:
    """Train a network on scenes uint8 (N, 4, 96, 96), and return its averaged weights, in evaluation mode."""
    torch.manual_seed(seed)
    network = SegmentationNetwork().to(memory_format=torch.channels_last)
    average = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    # PyTorch divides by the length of the rise, which 10 steps would leave without any
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, max(steps, 11), pct_start=0.1)
    batches = tqdm(_batches(scenes, steps), "training", steps, unit="step")
    for step, (pictures, covers) in enumerate(batches):
        loss = loss_of(network(pictures), covers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        _move_average(average, network, min(EMA_DECAY, step / (step + 10)))
        if step % 100 == 0:
            batches.set_postfix(loss=f"{loss.item():.3f}")
    return average.eval()


def loss_of(logits: Tensor, covers: Tensor) -> Tensor:
    """Return cross entropy plus half the Dice loss (Milletari et al. 2016, arXiv 1606.04797)."""
    inside = logits.sigmoid()
    overlap = 2 * (inside * covers).sum((1, 2, 3)) + 1
    dice = overlap / (inside.sum((1, 2, 3)) + covers.sum((1, 2, 3)) + 1)
    return F.binary_cross_entropy_with_logits(logits, covers) + DICE_WEIGHT * (1 - dice.mean())


def intersection_over_union(network: SegmentationNetwork, scenes: Tensor) -> float:
    """Return the mean IoU of the masks that a network finds in scenes uint8 (N, 4, 96, 96)."""
    values = []
    with torch.inference_mode():
        for part in scenes.split(BATCH):
            found, true = network(part[:, :3] / 255) > 0, part[:, 3:] > 127
            union = (found | true).sum((1, 2, 3)).clamp(min=1)
            values.append((found & true).sum((1, 2, 3)) / union)
    return torch.cat(values).mean().item()


def _batches(scenes: Tensor, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield augmented batches: pictures (32, 3, 96, 96) and covers (32, 1, 96, 96), in [0, 1]."""
    for _ in range(steps):
        chosen = torch.randint(len(scenes), (BATCH,))
        pictures, covers = _augment(scenes[chosen] / 255).split([3, 1], 1)
        yield pictures.contiguous(memory_format=torch.channels_last), covers


def _augment(scenes: Tensor) -> Tensor:
    """Mirror, crop and stretch scenes (B, 4, 96, 96) in [0, 1]; swap, negate and brighten colours."""
    count = len(scenes)
    scenes = torch.where(per_image(torch.rand(count) < 0.5), scenes.flip(3), scenes)
    size = 1 - 0.15 * torch.rand(count, 2)
    shift = (1 - size) * (2 * torch.rand(count, 2) - 1)
    theta = torch.cat([torch.diag_embed(size), shift[:, :, None]], 2)
    places = F.affine_grid(theta, list(scenes.shape), align_corners=False)
    scenes = F.grid_sample(scenes, places, padding_mode="reflection", align_corners=False)
    colours, covers = scenes.split([3, 1], 1)
    order = torch.rand(count, 3).argsort(1)[:, :, None, None]
    colours = colours.gather(1, order.expand_as(colours))
    colours = torch.where(per_image(torch.rand(count) < 0.15), 1 - colours, colours)
    gamma = per_image(torch.exp(0.25 * torch.randn(count)))
    return torch.cat([colours.clamp(1e-3, 1) ** gamma, covers], 1)


def _move_average(average: SegmentationNetwork, network: SegmentationNetwork, decay: float) -> None:
    with torch.no_grad():
        for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
