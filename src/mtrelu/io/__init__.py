"""Files: networks and fitted estimators, saved and loaded without pickle."""

from mtrelu.io.model import load_model, save_model
from mtrelu.io.network import load_network, save_network

__all__ = ["load_model", "load_network", "save_model", "save_network"]
