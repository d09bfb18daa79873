"""The data of the first start: three users with documented passwords, drafts, items, products, and a thousand sales for the report.

The same at every first start, down to the sales: they come from a random generator with a fixed seed.
"""

import asyncio
import random
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from demo.database import Database
from demo.passwords import Passwords
from demo.tables import Item, Post, Product, Sale, User

__all__ = ["SALES", "prepare"]

SALES = 1000

# Documented on the page: this is a demo. The role has the same name as the user.
USERS = {"admin": "admin-password", "editor": "editor-password", "viewer": "viewer-password"}

POSTS = [
    ("Why the tercel hunts alone", "The male peregrine is a third smaller than the female, and turns faster for it."),
    ("Backpressure, told by a waiter", "A kitchen that cooks faster than the guests eat needs more tables, or fewer orders."),
    ("What a 202 promises", "Nothing, except that somebody has written your wish down."),
]

# name, description, category, price in cents. Some names hold the characters that LIKE treats as wildcards.
ITEMS = [
    ("Bow perch", "Bent ash wood with a rubber top, for peregrines and merlins", "perches", 4900),
    ("Block perch", "A turned block on a steel spike, for open lawn", "perches", 6250),
    ("Screen perch", "A padded rail for the mews", "perches", 8900),
    ("Travel perch", "Folds flat, stands in any car", "perches", 11900),
    ("Ring perch", "For large falcons, with a swivel at its foot", "perches", 13450),
    ("Deerskin glove", "Single layer, for kestrels and merlins", "gloves", 3900),
    ("Cowhide glove", "Double layer with a long cuff", "gloves", 7400),
    ("Gauntlet", "To the elbow, for eagles and for doubtful days", "gloves", 12800),
    ("100% leather lure", "Weighted, without feathers", "lures", 2100),
    ("50% off lure", "Last year's pattern, flies all the same", "lures", 950),
    ("Feather lure", "Two dry wings on a line", "lures", 1800),
    ("Swing line", "Eight metres, braided, does not twist", "lures", 1250),
    ("Dutch hood", "Blocked in two colours, closes with braces", "hoods", 3200),
    ("Arab hood", "One piece of soft leather", "hoods", 2700),
    ("Anglo-Indian hood", "Light, cut from a single pattern", "hoods", 2950),
    ("hood_block size 4", "Limewood form for making hoods", "hoods", 2300),
    ("hood_block size 6", "Limewood form, for gyrfalcons", "hoods", 2550),
    ("Pair of bells", "Brass, a semitone apart", "telemetry", 1600),
    ("GPS transmitter", "Nine grams, thirty hours, one fix each second", "telemetry", 34900),
    ("Tail mount", "Spring clip for one feather", "telemetry", 1450),
    ("Three-element antenna", "Yagi, folds to forty centimetres", "telemetry", 15900),
    ("Pocket receiver", "Finds a bird at forty kilometres, and a car park at two", "telemetry", 48900),
    ("Swivel, size 1", "Stainless, for tercels", "furniture", 1150),
    ("Swivel, size 2", "Stainless, for falcons", "furniture", 1250),
    ("Aylmeri anklets", "With eyelets, a pair", "furniture", 890),
    ("Jesses", "Kangaroo leather, a pair", "furniture", 990),
    ("Leash", "Braided polyester, one metre", "furniture", 1390),
    ("Spring scale", "Shows the gram", "weighing", 5600),
    ("Balance with perch", "Beam balance, two kilograms", "weighing", 12100),
    ("Digital scale", "Holds its reading when the bird does not hold still", "weighing", 7900),
    ("Bath pan", "Low rim, sixty centimetres", "mews", 3100),
    ("Gravel, 25 kg", "Washed, round, four to eight millimetres", "mews", 1290),
    ("Weathering roof", "Two square metres, translucent", "mews", 19900),
    ("Feather oil", "For dry winters", "care", 1050),
    ("Coping file", "Fine cut, for beak and talon", "care", 1320),
    ("Imping needles", "Set of twelve, three sizes", "care", 1750),
    ("The Art of Falconry", "An emperor's book, in one volume", "books", 5400),
    ("Field guide to falcons", "With the voices of sixty species", "books", 2990),
    ("Notebook", "Squared, one page a day, for weights", "books", 690),
    ("C:\\falcons poster", "For those who keep both kinds of windows open", "books", 1190),
]

PRODUCTS = [
    ("starter-kit", "Starter kit for a first kestrel", 18900),
    ("mews-small", "Mews for one bird, to assemble", 89000),
    ("mews-large", "Mews for three birds, to assemble", 214000),
    ("telemetry-set", "Transmitter, receiver and antenna", 96500),
    ("course-weekend", "A weekend with a falconer", 32000),
    ("hood-workshop", "Make your own hood in an afternoon", 8500),
]


ATTEMPTS = 5
PAUSE_S = 0.3  # longer than the first start takes to hash three passwords


async def prepare(database: Database, passwords: Passwords) -> None:
    """Create the tables, and fill them if they are empty.

    Several processes may start at once on an empty database. One of them is first; the others run into its tables or its users, or
    into its lock, and find everything done when they look again.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await database.create_tables()
            await _seed(database, passwords)
            return
        except (IntegrityError, OperationalError, ProgrammingError):
            if attempt == ATTEMPTS:
                raise
            await asyncio.sleep(PAUSE_S * attempt)


async def _seed(database: Database, passwords: Passwords) -> None:
    async with database.session() as session, session.begin():
        if await session.scalar(select(User.id).limit(1)) is not None:
            return
        users = {}
        for name, password in USERS.items():
            password_hash = await passwords.hash(password)
            users[name] = User(username=name, email=f"{name}@example.com", role=name, password_hash=password_hash)
        session.add_all(users.values())
        session.add_all(Post(title=title, body=body, author=users["editor"]) for title, body in POSTS)
        session.add_all(Item(name=name, description=text, category=kind, price_cents=cents) for name, text, kind, cents in ITEMS)
        session.add_all(Product(slug=slug, name=name, price_cents=cents) for slug, name, cents in PRODUCTS)
        session.add_all(_make_sales())


def _make_sales() -> list[Sale]:
    dice = random.Random(44)
    moment = datetime(2025, 1, 2, 9, 0, tzinfo=UTC)
    sales = []
    for _ in range(SALES):
        moment += timedelta(minutes=dice.randint(5, 600))
        name, _text, _kind, cents = dice.choice(ITEMS)
        sales.append(Sale(sold_at=moment, item=name, quantity=dice.randint(1, 5), price_cents=cents))
    return sales
