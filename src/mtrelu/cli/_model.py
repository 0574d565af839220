"""A saved model: a network that `mtrelu fit` wrote, or an estimator of `mtrelu.save_model`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtrelu.cli._options import MODEL

if TYPE_CHECKING:
    import numpy as np

    from mtrelu.certificate import Certificate
    from mtrelu.losses import Loss
    from mtrelu.network import ReLUNetwork
    from mtrelu.scaling import Scaling


@dataclass(frozen=True, eq=False)
class SavedModel:
    """What a file holds.

    Attributes
    ----------
    path : Path
        The file.
    version : str
        The mtrelu that wrote it.
    network : ReLUNetwork
        In the units of the data.
    inputs, tasks : list of str
        The names of the columns.
    scaling : Scaling
        The units of the fit.
    alpha : float or None
        The penalty; None where a number of knots was asked for.
    loss : Loss or None
        What was fitted.
    certificate : Certificate or None
        What was proved when it was fitted.
    data : str or None
        What it was fitted to.
    skip : str
        What was not penalised.
    reading : tuple of str
        The options with which its table was read.
    estimator : object or None
        The estimator, where it is one.
    """

    path: Path
    version: str
    network: ReLUNetwork
    inputs: list[str]
    tasks: list[str]
    scaling: Scaling
    alpha: float | None
    loss: Loss | None
    certificate: Certificate | None
    data: str | None = None
    skip: str = "affine"
    reading: tuple[str, ...] = ()
    estimator: Any = None

    @property
    def name(self) -> str:
        """What to call things that are made of it."""
        file = self.path.absolute()
        return file.parent.name if file.name == MODEL else file.stem

    def predictions(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of predictions at inputs (M, d)."""
        from mtrelu.validation import InvalidInputError

        if self.estimator is None:
            tells_classes = self.loss is not None and self.loss.name == "logistic"
            return named_outputs(self.network(X), self.tasks, self.inputs, tells_classes)
        if hasattr(self.estimator, "predict"):
            values = self.estimator.predict(self._named(X))
        else:
            raise InvalidInputError(
                f"{self.path} holds a {type(self.estimator).__name__}, which predicts nothing. "
                "Give a model that mtrelu fit wrote, or a regressor or classifier."
            )
        if values.ndim == 1:
            return {"class" if hasattr(self.estimator, "classes_") else self.tasks[0]: values}
        return dict(zip(self.tasks, values.T, strict=True))

    def certify(self, X: np.ndarray, Y: np.ndarray, *, missing_labels: bool) -> Certificate:
        """Judge it on inputs (N, d) and labels (N, T), both in the units of the data."""
        from mtrelu.api import certify
        from mtrelu.validation import InvalidInputError

        if self.estimator is None and self.alpha is not None and self.loss is not None:
            return certify(
                self.scaling.as_fitted(self.network),
                self.scaling.inputs(X),
                self.scaling.labels(Y),
                self.alpha,
                loss=self.loss,
                skip=self.skip,
                nan_policy="omit" if missing_labels else "raise",
            )
        if self.alpha is None or self.loss is None or hasattr(self.estimator, "classes_"):
            raise InvalidInputError(
                f"{self.path} holds a {type(self.estimator).__name__} whose optimality for a table "
                "cannot be checked here. Give a model that mtrelu fit wrote or a saved "
                "ReLURegressor with a penalty, or call mtrelu.certify in Python."
            )
        problem = self.estimator._problem(self._named(X), Y)
        return certify(
            self.network, problem.X, problem.Y, problem.alpha, loss=problem.loss,
            skip=problem.skip, sample_weight=problem.sample_weight, tol=self.estimator.tol,
        )  # fmt: skip

    def _named(self, X: np.ndarray) -> Any:
        """Inputs with the names that the estimator was fitted with, if it was, as a table."""
        import pyarrow

        if not hasattr(self.estimator, "feature_names_in_"):
            return X
        return pyarrow.table(dict(zip(self.inputs, X.T, strict=True)))


def load_model(path: Path) -> SavedModel:
    """Read a model, or say why the file is none."""
    from mtrelu.io.container import kind_of
    from mtrelu.validation import InvalidInputError

    path = path / MODEL if path.is_dir() else path
    _refuse_exports(path)
    if not path.exists():
        raise InvalidInputError(f"{path} does not exist. Give a folder that `mtrelu fit` wrote.")
    return _estimator(path) if kind_of(path) == "model" else _network(path)


def _refuse_exports(path: Path) -> None:
    """Raise an error for what `mtrelu export` writes, and for tables."""
    from mtrelu.tables import KNOWN
    from mtrelu.validation import InvalidInputError

    if path.is_file() and (path.suffix.lower() in {".onnx", *KNOWN} or _is_of_torch(path)):
        raise InvalidInputError(
            f"{path} is no model but a table or an export, which does not say what was fitted and "
            f"proved. Give the folder that `mtrelu fit` wrote, or the {MODEL} in it."
        )


def _is_of_torch(path: Path) -> bool:
    """Whether a file holds the parameters of a module of `mtrelu.to_torch`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return "hidden.weight" in file.keys()
    except (SafetensorError, OSError):
        return False


def named_outputs(
    values: np.ndarray, tasks: Sequence[str], others: Iterable[str], tells_classes: bool
) -> dict[str, np.ndarray]:
    """The columns of a network's values (M, T): a task each; of classes the log-odds, too."""
    from scipy.special import expit

    from mtrelu.validation import InvalidInputError

    if not tells_classes:
        return dict(zip(tasks, values.T, strict=True))
    columns = dict(zip(tasks, expit(values).T, strict=True))
    log_odds = {f"{name}_log_odds": column for name, column in zip(tasks, values.T, strict=True)}
    twice = log_odds.keys() & {*tasks, *others}
    if twice:
        raise InvalidInputError(
            f"the log-odds of a task are written as {min(twice)!r}, but that is the name of "
            "another column already. Rename it."
        )
    return columns | log_odds


def _network(path: Path) -> SavedModel:
    from mtrelu.certificate import Certificate
    from mtrelu.io import load_network
    from mtrelu.losses import make_loss
    from mtrelu.scaling import Scaling
    from mtrelu.validation import InvalidInputError, as_alpha

    network, metadata = load_network(path)
    missing = {"inputs", "tasks", "scaling", "alpha", "loss", "certificate"} - metadata.keys()
    sizes = {"inputs": network.n_inputs, "tasks": network.n_tasks}
    missing |= {name for name in sizes.keys() - missing if not _names(metadata[name], sizes[name])}
    if missing:
        raise InvalidInputError(
            f"{path} holds a network, but not what it was fitted to "
            f"({', '.join(sorted(missing))}). Give a model that `mtrelu fit` wrote."
        )
    return SavedModel(
        path=path,
        version=str(metadata.get("mtrelu")),
        network=network,
        inputs=metadata["inputs"],
        tasks=metadata["tasks"],
        scaling=Scaling.from_dict(metadata["scaling"]),
        alpha=as_alpha(metadata["alpha"]),
        loss=make_loss(metadata["loss"]),
        certificate=Certificate.from_dict(metadata["certificate"]),
        data=metadata.get("data"),
        skip=metadata.get("skip", "affine"),
        reading=tuple(metadata.get("reading", ())),
    )


def _estimator(path: Path) -> SavedModel:
    import numpy as np

    import mtrelu
    from mtrelu.export.names import names_of
    from mtrelu.io import load_model as load_estimator
    from mtrelu.losses import make_loss
    from mtrelu.scaling import Scaling

    estimator = load_estimator(path)
    network = estimator.network_
    known: Mapping[str, Any] = vars(estimator)
    inputs, tasks = names_of(estimator, network, None, None)
    alpha = known.get("alpha_", known.get("alpha"))
    loss = known.get("loss")
    return SavedModel(
        path=path,
        version=mtrelu.__version__,
        network=network,
        inputs=inputs,
        tasks=tasks,
        scaling=Scaling(
            np.zeros(network.n_inputs), np.ones(network.n_inputs), np.ones(network.n_tasks)
        ),
        alpha=None if alpha is None else float(alpha),
        loss=None if loss is None else make_loss(loss),
        certificate=known.get("certificate_"),
        estimator=estimator,
    )


def _names(value: object, count: int) -> bool:
    """Whether that is as many names."""
    return (
        isinstance(value, list) and len(value) == count and all(isinstance(n, str) for n in value)
    )
