"""A bare FastAPI application that echoes each body: the upper limit of the framework."""

from typing import Any

from fastapi import FastAPI

app = FastAPI()


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/score")
async def echo(body: dict[str, Any]) -> dict[str, Any]:
    return body
