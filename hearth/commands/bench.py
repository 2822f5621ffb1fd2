"""`hearth bench`: measurements, each beside a peer in the same run."""

import typer

from hearth.commands.bench_ads import ads
from hearth.commands.bench_cold_items import cold_items
from hearth.commands.bench_communication import communication
from hearth.commands.bench_context import context
from hearth.commands.bench_federation import federation
from hearth.commands.bench_fold_in import fold_in
from hearth.commands.bench_leave_one_out import leave_one_out
from hearth.commands.bench_new_users import new_users
from hearth.commands.bench_noise import noise
from hearth.commands.bench_poisoning import poisoning
from hearth.commands.bench_privacy import privacy
from hearth.commands.bench_quality import quality
from hearth.commands.bench_retrieval import retrieval
from hearth.commands.bench_scale import scale
from hearth.commands.bench_secure_aggregation import secure_aggregation
from hearth.commands.bench_serving import serving
from hearth.commands.bench_simulation import simulation
from hearth.commands.bench_social import social
from hearth.commands.bench_store import store
from hearth.commands.bench_swap import swap
from hearth.commands.bench_tables import tables
from hearth.commands.bench_verticals import verticals

app = typer.Typer(
    help="Measurements, each beside a peer in the same run.\n\nExample: `hearth bench quality --split ml-100k/`",
    no_args_is_help=True,
)


app.command("quality")(quality)
app.command("ads")(ads)
app.command("cold-items")(cold_items)
app.command("communication")(communication)
app.command("context")(context)
app.command("federation")(federation)
app.command("fold-in")(fold_in)
app.command("new-users")(new_users)
app.command("noise")(noise)
app.command("poisoning")(poisoning)
app.command("privacy")(privacy)
app.command("retrieval")(retrieval)
app.command("scale")(scale)
app.command("secure-aggregation")(secure_aggregation)
app.command("serving")(serving)
app.command("simulation")(simulation)
app.command("social")(social)
app.command("store")(store)
app.command("swap")(swap)
app.command("verticals")(verticals)
app.command("leave-one-out")(leave_one_out)
app.command("tables")(tables)


@app.callback()
def bench() -> None:
    """Measurements, each beside a peer in the same run."""
