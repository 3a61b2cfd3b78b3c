# %% [markdown]
# # Quick start
#
# Train two networks, predict, compare them and explain an answer, from Python alone.
# `python examples/quickstart.py` runs it. Editors, and Jupyter with jupytext, open it as a notebook.

# %%
import numpy as np
import torch
from lightning.pytorch import Trainer

from fmnist import CLASSES
from fmnist.core.statistics import paired, softmax
from fmnist.data.augmentation import Augmentation
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.explanation.attribution import Explainer, upsample
from fmnist.figures import save
from fmnist.figures.overlays import Panel, panel_grid
from fmnist.models.lenet5 import LitLeNet5
from fmnist.models.mlp import LitMLP

# %% tags=["parameters"]
TRAIN_SIZE, EPOCHS = 5000, 5

# %% [markdown]
# ## Train
#
# The files are looked for in `data/` and in `$FMNIST_DATA`, or downloaded. Both networks get the same images.

# %%
data = FashionMNISTDataModule(
    batch_size=125,
    train_size=TRAIN_SIZE,
    augmentation=Augmentation(shift=1, flip=True),
)
models = {"LeNet-5": LitLeNet5(learning_rate=0.004), "MLP": LitMLP(widths=[256, 128], learning_rate=0.004)}
logits = {}
for name, model in models.items():
    trainer = Trainer(max_epochs=EPOCHS, logger=False, enable_checkpointing=False)
    trainer.fit(model, data)
    # of the test images, in order: float32 (N, 10)
    logits[name] = torch.cat(trainer.predict(model, data)).numpy()

# %% [markdown]
# ## Predict
#
# A network maps images, float32 (N, 1, 28, 28) in [0, 1], to logits. Softmax makes them probabilities.

# %%
images, labels = data.data.test_images.numpy(), data.data.test_labels.numpy()
probabilities = softmax(logits["LeNet-5"])
for index in range(3):
    answer = probabilities[index].argmax()
    percent = 100 * probabilities[index, answer]
    print(f"test image {index}: {CLASSES[answer]} {percent:.0f} %, is {CLASSES[labels[index]]}")

# %% [markdown]
# ## Compare
#
# Both networks are tested on the same images. So only those count that one gets right and the other does not.

# %%
right = {name: values.argmax(1) == labels for name, values in logits.items()}
result = paired(right["LeNet-5"], right["MLP"])
print({name: round(float(values.mean()), 4) for name, values in right.items()})
print(
    f"LeNet-5 minus MLP: {100 * result.difference:+.2f} points "
    f"(95 % {100 * result.low:+.2f} to {100 * result.high:+.2f}), p = {result.p:.2g}"
)

# %% [markdown]
# ## Explain
#
# Grad-CAM of the least certain answer: what speaks for the likeliest class, and what for the next?

# %%
doubtful = probabilities.max(1).argmin()
likeliest = probabilities[doubtful].argsort()[::-1][:2]  # two classes
wanted = np.eye(10, dtype=np.float32)[likeliest]  # (2, 10), a class an image
maps = Explainer(models["LeNet-5"].network, "gradcam").maps(images[[doubtful, doubtful]], wanted)
evidence = upsample(torch.from_numpy(maps)).numpy()  # (2, 28, 28)
panels = [
    Panel(images[doubtful], evidence[place], f"is {CLASSES[labels[doubtful]]}", f"for {CLASSES[label]}")
    for place, label in enumerate(likeliest)
]
figure = panel_grid(panels, f"Grad-CAM of LeNet-5, test image {doubtful}")
save(figure, "quickstart.png")
figure
