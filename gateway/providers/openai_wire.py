"""A stream on OpenAI's wire, whoever brings its bytes: what of it may be delivered, and what ends it as an error."""

from gateway.domain import Deployment
from gateway.errors import GatewayError
from gateway.providers.failures import broken, error_in_reply
from gateway.wire.reply import joined_halves
from gateway.wire.runs import NotAChunk, Reader, Run


def take(reader: Reader, data: bytes, deployment: Deployment) -> tuple[list[Run], GatewayError | None]:
    """The runs that `data` completes, up to an error, and the error: to be raised once what came first is delivered."""
    runs: list[Run] = []
    try:
        for run in reader.feed(data):
            if run.chunk.get("error"):
                said = joined_halves(run.chunk) if run.has_halves else run.chunk
                return runs, error_in_reply(deployment, said)
            runs.append(run)
    except NotAChunk:
        return runs, broken(deployment, "sent an event that is not a usable JSON object")
    return runs, None
