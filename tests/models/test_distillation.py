"""The loss of distillation, and that teachers are no part of what is trained."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from fmnist.core.errors import InputError
from fmnist.models.distillation import Teacher, Teachers
from fmnist.training.callbacks import EMA
from tests.models.fitting import images_and_labels, mlp, trainer
from tests.training.folder import equal


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).double().eval()


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_loss_has_the_gradient_of_hinton_et_al(temperature: float) -> None:
    images, labels = images_and_labels(7)
    images = images.double()
    one, other = network(1), network(2)
    teachers = Teachers([Teacher(one), Teacher(other, flip_average=True)], 0.7, temperature)
    logits = torch.randn(7, 10, dtype=torch.float64, requires_grad=True)
    loss = teachers.loss(F.cross_entropy(logits, labels, label_smoothing=0.2), images, logits)
    (gradient,) = torch.autograd.grad(loss, logits)

    with torch.no_grad():
        averaged = (other(images) + other(images.flip(-1))) / 2
        wanted = ((one(images) / temperature).softmax(1) + (averaged / temperature).softmax(1)) / 2
        shares = 0.8 * F.one_hot(labels, 10) + 0.02
        of_labels = (logits.softmax(1) - shares) / 7
        of_teachers = temperature * ((logits / temperature).softmax(1) - wanted) / 7
    torch.testing.assert_close(gradient, 0.3 * of_labels + 0.7 * of_teachers)


def test_with_the_whole_weight_labels_do_not_matter() -> None:
    images, labels = images_and_labels()
    teacher = mlp().eval()
    trained = []
    for answers in (labels, labels.roll(1)):
        student = mlp(learning_rate=0.01, widths=[8])
        student.learn_from(Teachers([Teacher(teacher.network)], weight=1.0))
        trainer(max_epochs=1).fit(student, DataLoader(TensorDataset(images, answers), batch_size=50))
        trained.append(student.state_dict())
    assert equal(*trained)
    plain = mlp(learning_rate=0.01, widths=[8])
    trainer(max_epochs=1).fit(plain, DataLoader(TensorDataset(images, labels), batch_size=50))
    assert not equal(trained[0], plain.state_dict())


def test_teachers_stay_as_they_are_and_apart_from_the_student() -> None:
    teacher = mlp(batch_norm=True, dropout=0.5).eval()
    before = copy.deepcopy(teacher.state_dict())
    student, plain = mlp(), mlp()
    student.learn_from(Teachers([Teacher(teacher.network)]))
    fit = trainer(max_epochs=1)
    fit.fit(student, DataLoader(TensorDataset(*images_and_labels()), batch_size=50))
    assert equal(teacher.state_dict(), before)
    assert not teacher.network.training
    assert student.state_dict().keys() == plain.state_dict().keys()
    assert [name for name, _ in student.named_parameters()] == [name for name, _ in plain.named_parameters()]
    updated = sum(len(group["params"]) for group in fit.optimizers[0].param_groups)
    assert updated == len(list(plain.parameters()))


def test_the_average_of_the_student_copies_no_teacher() -> None:
    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = mlp().eval().network

        def forward(self, images: Tensor) -> Tensor:
            return self.network(images)

        def __deepcopy__(self, memo: dict[int, object]) -> "Single":
            pytest.fail("the teacher was copied")

    student = mlp()
    student.learn_from(Teachers([Teacher(Single())]))
    fit = trainer(EMA(0.9), max_epochs=1)
    fit.fit(student, DataLoader(TensorDataset(*images_and_labels()), batch_size=50))


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-true", "bf16-mixed"])
def test_teachers_compute_in_the_precision_of_the_student(precision: str) -> None:
    types: list[tuple[torch.dtype, torch.dtype]] = []

    def note(module: nn.Module, inputs: tuple[Tensor], logits: Tensor) -> None:
        types.append((inputs[0].dtype, logits.dtype))

    teacher, student = mlp().eval(), mlp()
    teacher.network.register_forward_hook(note)
    student.network.register_forward_hook(note)
    student.learn_from(Teachers([Teacher(teacher.network)]))
    fit = trainer(max_epochs=1, precision=precision)
    fit.fit(student, DataLoader(TensorDataset(*images_and_labels(50)), batch_size=50))
    assert len(types) == 2
    assert types[0] == types[1]


@pytest.mark.parametrize(
    ("name", "value"), [("weight", 0.0), ("weight", 1.1), ("temperature", 0.0), ("temperature", float("nan"))]
)
def test_values_out_of_range_name_the_flag(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"^--teacher_{name} {value}: must be above 0 "):
        Teachers([Teacher(nn.Identity())], **{name: value})
