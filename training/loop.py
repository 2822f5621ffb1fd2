"""The loop: rounds of federated training as a pipeline of values, one report a round.

It knows nothing of recommenders, which are the algorithm's affair, and not where clients are: that is the transport's.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Float32Array, Float64Array
from feature_store.errors import Diverged
from training.algorithm import Algorithm, Data, Sent
from training.convergence import has_converged
from training.server_state import ServerState
from training.transport import Transport


@dataclass(frozen=True, slots=True)
class RoundReport:
    """What one round was like.

    round_number: rounds done, this one included.
    cohort: clients that took part.
    loss: their mean local loss, before the step.
    validation: the validation metric after the step, where it was evaluated.
    seconds: of training, evaluation apart.
    uplink_bytes_per_client: what each client sent.
    converged: whether the stopping criterion holds; then this is the last round.
    """

    round_number: int
    cohort: int
    loss: float
    validation: float | None
    seconds: float
    uplink_bytes_per_client: int
    converged: bool

    @property
    def clients_per_second(self) -> float:
        """Client updates in a second of training."""
        return self.cohort / self.seconds


def run_rounds(
    algorithm: Algorithm[Sent, Data],
    transport: Transport[Sent],
    state: ServerState,
    *,
    rounds: int,
    patience: int = 0,
    evaluate: Callable[[ServerState], float] | None = None,
) -> Iterator[tuple[ServerState, RoundReport]]:
    """Train from `state` until `rounds` rounds are done or the validation metric has converged.

    In a simulation round t is a function of the state before it, the seed and t, so that going on from a saved state
    gives the same numbers as never having stopped.

    Args:
        algorithm: what is broadcast, and what the server does.
        transport: to the clients, and back.
        state: where to start; of round 0 for a new run.
        rounds: the limit, rounds done before included.
        patience: evaluations without gain after which training has converged; 0 goes on to the limit.
        evaluate: the validation metric of a state, higher is better; without it nothing is evaluated.

    Yields:
        The state after each round, and the report on it.

    Raises:
        Diverged: an update or a parameter is no longer finite.
    """
    while state.round_number < rounds and not has_converged(state.validation, patience):
        started = time.perf_counter()
        update = transport.round(state.round_number, algorithm.broadcast(state))
        _require_finite({**update.sums, "loss": np.array(update.loss)}, "client updates", state.round_number + 1)
        state = algorithm.server.apply(state, update)
        _require_finite(state.parameters, "parameters", state.round_number)
        seconds = time.perf_counter() - started
        metric = None
        if evaluate is not None:
            metric = evaluate(state)
            state = state.validated(metric)
        yield (
            state,
            RoundReport(
                round_number=state.round_number,
                cohort=update.clients,
                loss=update.loss / update.clients,
                validation=metric,
                seconds=seconds,
                uplink_bytes_per_client=update.uplink_bytes,
                converged=has_converged(state.validation, patience),
            ),
        )


def _require_finite(arrays: Mapping[str, Float32Array | Float64Array], what: str, round_number: int) -> None:
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise Diverged(
            f"round {round_number} gave {what} that are not finite; try a lower learning rate, or weights of the loss "
            f"nearer to the defaults"
        )
