"""The networks, plain ``nn.Module`` in ``networks.py``, and the thin LightningModules that train them."""

import importlib
import pkgutil


def shipped_networks() -> dict[str, type]:
    """Import every network of this package, and return its LightningModules by class name."""
    from fmnist.models.classifier import Classifier

    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    shipped = [kind for kind in Classifier.__subclasses__() if kind.__module__.startswith(__name__)]
    return {kind.__name__: kind for kind in shipped}
