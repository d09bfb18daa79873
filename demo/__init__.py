"""The reference application: advanced features of Tercel as one working system.

It imports nothing of Tercel but the public API, and runs unchanged under any ASGI server. Each feature has a module of its own;
read them in this order:

1. `app`: what the application consists of.
2. `lifespan` and `settings`: what is opened at start, in which order it is closed, and what can be set from outside.
3. `errors` and `inputs`: one shape for every error; the types that keep bad input out.
4. `database`, `tables`, `seed`: SQLAlchemy 2, asynchronous, with the data of the first start.
5. HTTP, easy to hard: `page`, `items`, `timed`, `report`, `events`, `external`, `mail` and `signup`, `gzipped`.
6. Who may do what: `passwords`, `tokens`, `auth`, `staff`.
7. WebSockets: `echo`, then `delivery` (how one dead client is kept from harming the others), `chat_room`, `feed`.
8. `assistant` with `language_model`: tokens as they are made.
9. `public_api`, `internal_api`, `metrics`: mounted sub-applications.
"""
