"""`POST /chat`: an assistant that answers word by word, or at once with `"stream": false`.

The requests and answers are those of OpenAI's chat API in its plainest form, so that any client for it can talk to the demo. What
generates is a backend: the n-gram model of `language_model`, or with OPENAI_BASE_URL a real one behind the same interface.
Generation is a generator, and a generator can be closed between any two words: that is what happens when the client goes away.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self

import httpx
from pydantic import BaseModel, Field, model_validator

from demo.errors import AppError
from demo.inputs import Text
from demo.language_model import NGramModel
from demo.metrics import Metrics, MetricsDep
from demo.settings import Settings
from tercel import APIRouter, Depends, Request
from tercel.requests import HTTPConnection
from tercel.responses import JSONResponse, Response
from tercel.sse import EventSourceResponse

__all__ = ["Backend", "make_backend", "router"]

CORPUS = Path(__file__).with_name("corpus.txt")
UPSTREAM_SILENCE_S = 60.0  # a large model may think for a while before its first word, and none thinks for a minute between two

router = APIRouter(tags=["streams"])


class Message(BaseModel):
    """Something that was said before, and by whom."""

    role: Literal["system", "user", "assistant"]
    content: Text = Field(max_length=20_000)


class Conversation(BaseModel):
    """What to answer, and how. `prompt` is short for one message of the user."""

    messages: list[Message] = Field(default=[], max_length=100)
    prompt: Text | None = Field(default=None, min_length=1, max_length=20_000)
    stream: bool = True
    max_tokens: int = Field(default=80, ge=1, le=1000)
    temperature: float = Field(default=0.8, ge=0.05, le=2, allow_inf_nan=False)
    seed: int | None = Field(default=None, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.prompt is None) == (not self.messages):
            raise ValueError("give either messages or prompt")
        if self.prompt is not None:
            self.messages = [Message(role="user", content=self.prompt)]
        return self


# -- backends ------------------------------------------------------------------------------------------------------------------


class Backend(Protocol):
    """What can answer."""

    name: str

    def generate(self, conversation: Conversation) -> AsyncGenerator[str, None]:
        """The pieces of the answer as they come into being."""
        ...


class BuiltIn:
    """The n-gram model, slowed down to the pace of a reader."""

    name = "tercel-3-gram"

    def __init__(self, model: NGramModel, token_delay_ms: float) -> None:
        self._model = model
        self._delay_s = token_delay_ms / 1000

    async def generate(self, conversation: Conversation) -> AsyncGenerator[str, None]:
        tokens = self._model.generate(
            conversation.messages[-1].content,
            max_tokens=conversation.max_tokens,
            temperature=conversation.temperature,
            seed=conversation.seed,
        )
        for token in tokens:
            yield token
            await asyncio.sleep(self._delay_s)  # also the point at which the generation can be stopped


class OpenAICompatible:
    """Any server that speaks OpenAI's chat API."""

    def __init__(self, client: httpx.AsyncClient, base_url: str, api_key: str | None, model: str) -> None:
        self.name = model
        self._client = client
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    async def generate(self, conversation: Conversation) -> AsyncGenerator[str, None]:
        body = conversation.model_dump(include={"messages", "max_tokens", "temperature", "seed"}, exclude_none=True)
        body |= {"model": self.name, "stream": True}
        try:
            # Leaving this block closes the connection, and that is how the other server learns that it can stop, too.
            async with self._client.stream(
                "POST", self._url, json=body, headers=self._headers, timeout=UPSTREAM_SILENCE_S
            ) as response:
                if not response.is_success:
                    raise AppError(502, "MODEL_ERROR", f"The model's server answered {response.status_code}.")
                async for line in response.aiter_lines():
                    if line.startswith("data:") and (piece := _read_chunk(line.removeprefix("data:").strip())):
                        yield piece
        except httpx.TimeoutException:
            raise AppError(504, "MODEL_TIMEOUT", "The model's server fell silent.") from None
        except httpx.HTTPError:
            raise AppError(502, "MODEL_UNREACHABLE", "The model's server could not be reached or broke off.") from None


def _read_chunk(data: str) -> str:
    if data == "[DONE]":
        return ""
    try:
        choices = json.loads(data)["choices"]
        return str(choices[0]["delta"].get("content") or "") if choices else ""
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise AppError(502, "MODEL_ERROR", "The model's server sent something that is not a chunk of an answer.") from None


def make_backend(settings: Settings, client: httpx.AsyncClient) -> Backend:
    """The backend that the settings ask for. Training the built-in one takes some milliseconds."""
    if settings.openai_base_url:
        return OpenAICompatible(client, settings.openai_base_url, settings.openai_api_key, settings.openai_model)
    return BuiltIn(NGramModel(CORPUS.read_text(encoding="utf-8")), settings.llm_token_delay_ms)


async def get_backend(connection: HTTPConnection) -> Backend:
    """The application's backend."""
    backend: Backend = connection.state.backend
    return backend


BackendDep = Annotated[Backend, Depends(get_backend)]


# -- the endpoint --------------------------------------------------------------------------------------------------------------


# The endpoint decides by itself which response it makes, so the documentation has to be told what else 200 can be.
STREAM = {"description": "one object, or a stream of chunks", "content": {"text/event-stream": {"schema": {"type": "string"}}}}


@router.post("/chat", responses={200: STREAM, 502: {"description": "the model's server failed"}})
async def chat(conversation: Conversation, request: Request, backend: BackendDep, metrics: MetricsDep) -> Response:
    """Answer as a stream of chunks that ends in `data: [DONE]`, or as one JSON object."""
    pieces = _counted(backend.generate(conversation), metrics)
    answer_id = f"chat-{secrets.token_hex(8)}"
    if not conversation.stream:
        text = ""
        async with aclosing(pieces):
            async for piece in pieces:
                text += piece
                # Who waits for the whole answer can go away, too, and then no write fails that would tell us.
                if await request.is_disconnected():
                    raise AppError(499, "CLIENT_GONE", "Nobody reads this.")
        return JSONResponse(
            _answer(answer_id, backend.name, "chat.completion", {"message": {"role": "assistant", "content": text}})
        )
    # The first piece is awaited before the response begins: until then a failure can still be a 502 instead of a broken stream.
    first = await anext(pieces, "")
    return EventSourceResponse(_as_events(first, pieces, answer_id, backend.name))


async def _counted(pieces: AsyncGenerator[str, None], metrics: Metrics) -> AsyncGenerator[str, None]:
    """The same pieces, and a count of how the generation ended. A generator that is closed early only runs its `finally`."""
    metrics.generations_running += 1
    finished = False
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece
        finished = True
    finally:
        metrics.generations_running -= 1
        if finished:
            metrics.generations_finished += 1
        else:
            metrics.generations_abandoned += 1


async def _as_events(first: str, pieces: AsyncGenerator[str, None], answer_id: str, model: str) -> AsyncGenerator[bytes, None]:
    def event(data: str) -> bytes:
        return f"data: {data}\n\n".encode()

    def chunk(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"delta": delta, "finish_reason": finish_reason}
        return event(json.dumps(_answer(answer_id, model, "chat.completion.chunk", choice)))

    try:
        async with aclosing(pieces):  # when this generator is closed, so is the one it reads from, at once
            yield chunk({"role": "assistant", "content": first})
            async for piece in pieces:
                yield chunk({"content": piece})
        yield chunk({}, finish_reason="stop")
    except AppError as error:
        # The status was sent long ago. The stream says what happened, and does not end in [DONE].
        yield event(json.dumps({"error": {"code": error.code, "message": error.message}}))
        return
    yield event("[DONE]")


def _answer(answer_id: str, model: str, kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {"id": answer_id, "object": kind, "model": model, "choices": [{"index": 0, "finish_reason": "stop", **choice}]}
