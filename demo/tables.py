"""The tables, as SQLAlchemy 2 declares them. Money is kept in cents: a sum of floats is not a sum of money."""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, ForeignKey, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

__all__ = ["Base", "Item", "Post", "Product", "Sale", "User"]

# 64 bits everywhere. SQLite numbers rows by itself only when the column's type is spelled INTEGER, which there has 64 bits too.
BigId = BigInteger().with_variant(Integer, "sqlite")


def _now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """What all tables have in common: a number."""

    id: Mapped[int] = mapped_column(BigId, primary_key=True)


class User(Base):
    """Who may sign in, and as what: the role is `admin`, `editor` or `viewer`."""

    __tablename__ = "users"

    username: Mapped[str] = mapped_column(String(32), unique=True)
    email: Mapped[str] = mapped_column(String(320), unique=True)
    password_hash: Mapped[str] = mapped_column(String(256))
    role: Mapped[str] = mapped_column(String(16), default="viewer")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=_now)

    posts: Mapped[list["Post"]] = relationship(back_populates="author", cascade="all, delete-orphan")


class Post(Base):
    """A draft that only editors and admins may read."""

    __tablename__ = "posts"

    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text)
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))

    author: Mapped[User] = relationship(back_populates="posts")


class Item(Base):
    """Something in the shop, found with `GET /items/`."""

    __tablename__ = "items"

    name: Mapped[str] = mapped_column(String(100))
    description: Mapped[str] = mapped_column(String(300))
    category: Mapped[str] = mapped_column(String(30), index=True)
    price_cents: Mapped[int] = mapped_column(BigInteger, index=True)


class Product(Base):
    """What the public application shows to partners."""

    __tablename__ = "products"

    slug: Mapped[str] = mapped_column(String(60), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    price_cents: Mapped[int] = mapped_column(BigInteger)


class Sale(Base):
    """One line of the report."""

    __tablename__ = "sales"

    sold_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    item: Mapped[str] = mapped_column(String(100))
    quantity: Mapped[int] = mapped_column(Integer)
    price_cents: Mapped[int] = mapped_column(BigInteger)
