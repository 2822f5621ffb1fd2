"""The form of a private release: bounds of noised sums, from public facts alone.

A person adds at most 1 to any number, so that all of them add no more than there are people; noise beyond twelve
standard deviations of a cell's share comes up in none of 10^32 numbers. What is counted in is no finer than it has to
be: a word of 32 bits a number, and two only where a step of it would be seen beside the noise.
"""

import math

from training.federation.sums import Form
from training.federation.tasks import PrivateTask, TaskMessage
from training.privacy.noise import share_deviation
from training.privacy.question import Question

_TAIL = 12.0  # standard deviations
_COARSEST = 2.0**18  # bound in standard deviations of a share, for which one word will do: its steps are 2^−9 of one


def question_in(task: TaskMessage) -> Question:
    """What a private task asks."""
    return Question(task.arrays["popularity"], task.arrays["directions"])


def private_form(task: TaskMessage, header: PrivateTask) -> Form:
    """The noised sum that the task asks for, and how many people it is over."""
    question, share = question_in(task), share_deviation(header.deviation, header.noise_cells, 0)
    most = math.ldexp(1.0, math.ceil(math.log2(header.population + _TAIL * share)))
    words = {question.released: 2} if most > _COARSEST * share else {}
    return Form(
        ("clients",),
        {question.released: question.shape(header.items)},
        {"clients": float(header.population), question.released: most},
        words,
    )
