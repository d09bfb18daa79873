"""Passwords, kept as argon2 hashes.

A hash takes tens of milliseconds and 64 MiB on purpose. So it is computed in a worker thread (argon2 lets go of the interpreter's
lock), and only a few at a time: a thousand people who sign in at once wait for each other, not for memory that is not there.
"""

import asyncio
from typing import Annotated

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tercel import Depends
from tercel.concurrency import run_in_threadpool
from tercel.requests import HTTPConnection

__all__ = ["Passwords", "PasswordsDep"]


class Passwords:
    """Hashes and verifies.

    Args:
        at_once: how many hashes are computed at the same time, each with 64 MiB; 4 keeps them below 256 MiB.
    """

    def __init__(self, at_once: int = 4) -> None:
        self._hasher = PasswordHasher()
        self._turn = asyncio.Semaphore(at_once)
        self._hash_of_nobody = self._hasher.hash("no user has this password")

    async def hash(self, password: str) -> str:
        """The hash to store: it carries its salt and its parameters with it."""
        async with self._turn:
            return await run_in_threadpool(self._hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password belongs to the hash.

        Args:
            password_hash: None when there is no such user. A hash is computed all the same, or else the time of the answer would
                tell who has an account.
            password: as it was typed.
        """
        async with self._turn:
            matches = await run_in_threadpool(self._matches, password_hash or self._hash_of_nobody, password)
        return matches and password_hash is not None

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


async def get_passwords(connection: HTTPConnection) -> Passwords:
    """The one instance of the application, so that its limit holds for all."""
    passwords: Passwords = connection.state.passwords
    return passwords


PasswordsDep = Annotated[Passwords, Depends(get_passwords)]
