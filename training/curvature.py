"""The curvature-aware server step: near-Newton steps on the item vectors, from sums that add securely.

With all user embeddings P held fixed, the implicit-feedback loss is quadratic in each item vector, with Hessian
(halved) Σ_{u∈U_i} p_u p_uᵀ + α Σ_u p_u p_uᵀ + λ(c_i + α·users) I. The server never sees the first sum, as it
would need a dim × dim matrix an item; it is approximated by w_i Σ_u p_u p_uᵀ, where w_i is the share of the
users' total |p|² that lies on the users of item i. In the eigenbasis of Σ_u p_u p_uᵀ the Hessian is then
diagonal, and a Newton step is a division. iALS (Hu et al. 2008; Rendle et al. 2022) solves the same quadratic
exactly, where one place may see everybody's data.

Σ_u p_u p_uᵀ, w and c vary with the cohort; running means over the rounds make the steps steady.

Where clients are weighed (`training.activity`), each sum over users is weighed alike, and λ by the mean weight.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.fold_in import FoldInSettings
from training.aggregation import scaled_to_population
from training.client_update import ACTIVITY, ITEM_COUNTS, ClientUpdate
from training.content_fit import placed
from training.item_tower import ItemTower, Parameters
from training.server_optimizer import ServerOptimizer
from training.server_state import ServerState
from training.settings import CurvatureSettings
from training.tower_settings import DEFAULT, TowerSettings
from training.unmet_items import met_so_far

MEANS = ("user_gram", "item_share", "item_counts")


def curvature(
    tower: ItemTower,
    fold_in: FoldInSettings,
    clients: int,
    settings: CurvatureSettings,
    content: TowerSettings = DEFAULT,
) -> ServerOptimizer:
    """The server optimizer for updates of `training.reconstruction.curvature_update`.

    The item vectors take the near-Newton step. Where the tower has a content part, it is then fitted to them, and the
    id embedding holds what content leaves over. An item that no client has met has none: its vector is its content's.

    Args:
        tower: whose parameters are trained.
        fold_in: the weights α and λ that the clients used.
        clients: size of the population that cohorts are drawn from.
        settings: see there.
        content: how the content part is fitted.
    """
    alpha, regularization = np.float32(fold_in.alpha), np.float32(fold_in.regularization)

    def init(parameters: Parameters) -> Mapping[str, Float32Array]:
        del parameters
        means = {"user_gram": (tower.dim, tower.dim), "item_share": (tower.items,), "item_counts": (tower.items,)}
        return {name: np.zeros(shape, np.float32) for name, shape in means.items()}

    def apply(state: ServerState, update: ClientUpdate) -> ServerState:
        totals = scaled_to_population(update, clients)
        energy = max(float(np.trace(totals["user_gram"])), float(np.finfo(np.float32).tiny))
        new = {
            "user_gram": totals["user_gram"],
            "item_share": totals["item_energy"] / np.float32(energy),
            "item_counts": totals["item_counts"],
        }
        kept = np.float32(settings.momentum if state.round_number else 0)
        means = {name: kept * state.statistics[name] + (1 - kept) * new[name] for name in MEANS}

        vectors = tower.item_vectors(state.parameters)
        mean_weight = np.float32(update.sums[ACTIVITY][0] / update.clients)
        ridge = (regularization * mean_weight * (means["item_counts"] + alpha * np.float32(clients)))[:, None]
        gradient = totals["item_gradient"] + alpha * (vectors @ means["user_gram"]) + ridge * vectors
        step = newton_step(gradient, means["user_gram"], means["item_share"][:, None] + alpha, ridge)
        rate = np.float32(settings.learning_rate / (1 + state.round_number / settings.decay_rounds))

        target = vectors - rate * step
        met = met_so_far(state, update.sums[ITEM_COUNTS])
        parameters = placed(tower, state.parameters, target, met, content)
        return replace(state, round_number=state.round_number + 1, parameters=parameters, statistics=means)

    return ServerOptimizer(init, apply)


def newton_step(gradient: Float32Array, gram: Float32Array, share: Float32Array, ridge: Float32Array) -> Float32Array:
    """Solve (share_i · gram + ridge_i I) x_i = gradient_i for every item i by one eigendecomposition.

    Args:
        gradient: shape (items, dim).
        gram: symmetric, positive semidefinite, shape (dim, dim).
        share: >= 0, shape (items, 1).
        ridge: >= 0, shape (items, 1).

    Returns:
        x, shape (items, dim); 0 where the matrix is, as there nothing is known.
    """
    values, basis = np.linalg.eigh(gram.astype(np.float64))
    curvatures = share * np.maximum(values, 0).astype(np.float32) + ridge
    rotated = gradient @ basis.astype(np.float32)
    solved = np.divide(rotated, curvatures, out=np.zeros_like(rotated), where=curvatures > 0)
    step: Float32Array = solved @ basis.T.astype(np.float32)
    return step
