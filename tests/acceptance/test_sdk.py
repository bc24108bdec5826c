"""The parts of the official SDK that read replies most closely: its stream helper, its parser, its async client."""

import asyncio

from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.acceptance.conversation import Person
from tests.acceptance.process import GatewayProcess
from tests.stubs.openai_wire import Events, Json, OpenAIStub, chunk, completion

ROLE = "assistant"


class City(BaseModel):
    name: str
    people: int


def call_part(arguments: str) -> dict[str, object]:
    """A fragment of a tool call as some providers send it: its id, type and name are said with every fragment."""
    function = {"name": "weather", "arguments": arguments}
    return {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}


def test_the_stream_helper_joins_the_reply_of_a_provider_that_repeats_itself(stub: OpenAIStub, person: Person) -> None:
    session = person.new_session()
    deltas = [{"role": ROLE, **call_part('{"city"')}, {"role": ROLE, **call_part(': "Oslo"}')}]
    stub.reply_with(Events([*(chunk(delta) for delta in deltas), chunk({}, finish_reason="tool_calls")]))

    with person.sdk.chat.completions.stream(
        model="fast",
        messages=[{"role": "user", "content": "Weather in Oslo?"}],
        extra_body={"session_id": session},
    ) as stream:
        message = stream.get_final_completion().choices[0].message

    assert message.role == ROLE
    assert message.tool_calls is not None
    [made] = message.tool_calls
    assert (made.id, made.function.name, made.function.arguments) == ("call_1", "weather", '{"city": "Oslo"}')
    [stored] = person.stored(session)[1]["tool_calls"]
    assert (stored["id"], stored["function"]) == ("call_1", {"name": "weather", "arguments": '{"city": "Oslo"}'})


def test_the_parser_of_structured_outputs_gets_what_it_asked_for(stub: OpenAIStub, person: Person) -> None:
    stub.reply_with(Json(completion('{"name": "Oslo", "people": 700000}')))
    reply = person.sdk.chat.completions.parse(
        model="fast", messages=[{"role": "user", "content": "A city?"}], response_format=City
    )
    assert reply.choices[0].message.parsed == City(name="Oslo", people=700_000)
    assert stub.requests[-1].body["response_format"]["json_schema"]["name"] == "City"


def test_the_async_client_remembers_too(gateway: GatewayProcess, person: Person, stub: OpenAIStub) -> None:
    session = person.new_session()

    async def converse() -> None:
        async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=person.key, max_retries=0) as client:
            for text in ("My name is Ada.", "What is my name?"):
                await client.chat.completions.create(
                    model="fast", messages=[{"role": "user", "content": text}], extra_body={"session_id": session}
                )

    asyncio.run(converse())
    assert stub.requests[-1].body["messages"][0]["content"] == "My name is Ada."
