"""The ClientApp: hands a task to the cell's trainer, and its reply back.

Flower starts a new process for each message, so this one reads nothing, computes nothing and imports nothing heavy: the
trainer, which has run since the cell was started, does the work (`training.federation.trainer`). Where the trainer is,
the SuperNode says: `--node-config 'trainer="/path/of/the/socket"'`.
"""

from pathlib import Path

from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp

from training.federation.errors import TrainerUnavailable
from training.federation.flower_record import content_of, record_of
from training.federation.trainer_socket import ask_trainer

_FAILED = 2  # Flower's code of a ClientApp that raised

app = ClientApp()


@app.train()
def answer(message: Message, context: Context) -> Message:
    """The reply of the cell's trainer, or an error where it has none."""
    trainer = context.node_config.get("trainer")
    if not isinstance(trainer, str):
        return Message(Error(_FAILED, "the SuperNode was started without a trainer in --node-config"), reply_to=message)
    try:
        reply = ask_trainer(Path(trainer), content_of(message.content))
    except TrainerUnavailable as error:
        return Message(Error(_FAILED, f"{type(error).__name__}: {error}"), reply_to=message)
    return Message(record_of(reply), reply_to=message)
