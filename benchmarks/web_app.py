"""A small web shop, Flask on SQLite, with OpenTelemetry's instrumentation of both; some of its requests fail."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

N_PRODUCTS = 500
SCHEMA = """
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, price INTEGER, stock INTEGER);
CREATE TABLE orders (id INTEGER PRIMARY KEY, product INTEGER, amount INTEGER, customer TEXT);
"""
HEADERS = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


def new_provider() -> TracerProvider:
    facts = {"service.name": "shop", "service.version": "2.4.1", "deployment.environment.name": "production"}
    return TracerProvider(resource=Resource.create(facts))


def new_app(provider: TracerProvider) -> Any:
    """The shop's Flask application."""
    from flask import Flask, abort, jsonify, request
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    app, database = Flask("shop"), new_database(provider).cursor()

    @app.get("/products/<int:number>")
    def product(number: int) -> Any:
        database.execute("SELECT name, price, stock FROM products WHERE id = ?", (number,))
        row = database.fetchone()
        return jsonify(row) if row else abort(404)

    @app.get("/search")
    def search() -> Any:
        pattern = f"%{request.args['q']}%"
        database.execute("SELECT id, name FROM products WHERE name LIKE ? ORDER BY price LIMIT 20", (pattern,))
        return jsonify(database.fetchall())

    @app.post("/orders")
    def order() -> Any:
        wanted = request.get_json()
        database.execute("SELECT stock FROM products WHERE id = ?", (wanted["product"],))
        row = (wanted["product"], wanted["amount"], wanted["customer"])
        database.execute("UPDATE products SET stock = stock - ? WHERE id = ?", (wanted["amount"], wanted["product"]))
        database.execute("INSERT INTO orders (product, amount, customer) VALUES (?, ?, ?)", row)
        return jsonify(ordered=True)

    FlaskInstrumentor().instrument_app(app, tracer_provider=provider)  # type: ignore[no-untyped-call]  # as it is
    return app


def new_database(provider: TracerProvider) -> Any:
    """A connection that makes a span of each statement."""
    from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor

    plain = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    plain.executescript(SCHEMA)
    rows = [(f"product {number} of {number % 7}", number * 37 % 1000, 100) for number in range(N_PRODUCTS)]
    plain.executemany("INSERT INTO products (name, price, stock) VALUES (?, ?, ?)", rows)
    return SQLite3Instrumentor().instrument_connection(plain, tracer_provider=provider)


def requests(n: int) -> Iterator[dict[str, Any]]:
    """Arguments of a test client's `open`, the same in each run."""
    chance = random.Random(7)
    for _ in range(n):
        number = chance.randrange(N_PRODUCTS * 51 // 50)  # of 51 products, one is not there
        kind = chance.random()
        if kind < 0.5:
            yield {"path": f"/products/{number}", "headers": HEADERS}
        elif kind < 0.75:
            yield {"path": "/search", "query_string": {"q": str(number)}, "headers": HEADERS}
        else:
            body = {"product": number, "amount": chance.randrange(1, 4), "customer": f"{chance.getrandbits(64):016x}"}
            yield {"path": "/orders", "method": "POST", "json": body, "headers": HEADERS}


def spans_of(n_requests: int) -> list[ReadableSpan]:
    """The spans of so many requests, in the order in which they ended."""
    provider, exporter = new_provider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    client = new_app(provider).test_client()
    for request in requests(n_requests):
        client.open(**request)
    return list(exporter.get_finished_spans())
