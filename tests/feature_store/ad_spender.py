"""A process that spends and shows as fast as it can: `ad_spender URL KEY NAME SPENDS`; it prints what counted.

It also refunds every tenth of its spends, and sends every spend a second time.
"""

import asyncio
import base64
import json
import random
import sys

from feature_store.ad_counters import Budget, Cap
from feature_store.ad_counters_redis import open_redis_counters
from feature_store.encryption import keys_from_text
from feature_store.redis_settings import RedisSettings

BUDGET, CAP, PEOPLE = Budget(total=400_003, daily=300_001), Cap("ad", 3), 20


async def main(url: str, key: str, name: str, spends: int) -> None:
    chance = random.Random(name)  # noqa: S311 - no secret hangs on it
    spent, refunded, shown = 0, 0, dict.fromkeys(range(PEOPLE), 0)
    async with open_redis_counters(RedisSettings(url=url), keys_from_text(key, "the command line")) as counters:

        async def one(number: int) -> None:
            nonlocal spent, refunded
            impression, micros, person = f"{name}-{number}", chance.randint(1, 2000), number % PEOPLE
            first = await counters.try_spend("campaign", impression, micros, BUDGET)
            again = await counters.try_spend("campaign", impression, micros, BUDGET)
            if first.reason == "new" or again.reason == "new":
                spent += micros
                if number % 10 == 0:
                    back = await counters.refund("campaign", impression)
                    refunded += back  # not in one line: it would add to what was there before the wait
            show = await counters.try_show(f"person-{person}", CAP, impression)
            shown[person] += show.reason == "new"

        for start in range(0, spends, 20):
            await asyncio.gather(*map(one, range(start, start + 20)))
    sys.stdout.write(json.dumps({"spent": spent, "refunded": refunded, "shown": list(shown.values())}))


if __name__ == "__main__":
    asyncio.run(
        main(sys.argv[1], base64.urlsafe_b64encode(bytes.fromhex(sys.argv[2])).decode(), sys.argv[3], int(sys.argv[4]))
    )
