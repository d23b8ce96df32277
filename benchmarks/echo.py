"""A bare FastAPI application that gives back what it is sent: the most that the framework can do."""

from typing import Any

from fastapi import FastAPI

app = FastAPI()


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/score")
async def echo(body: dict[str, Any]) -> dict[str, Any]:
    return body
