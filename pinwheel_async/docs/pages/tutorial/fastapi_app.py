"""Lending API: Link tokens, and the income of an account, behind FastAPI."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from pinwheel_async import ApiError, NotFoundError, Pinwheel, PinwheelError, TransportError


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, Pinwheel]]:
    """Hold one client open as long as the application runs: it keeps the connections."""
    async with Pinwheel(app_name="acme-lending/1.0") as pinwheel:  # the secret comes from PINWHEEL_API_SECRET
        yield {"pinwheel": pinwheel}


app = FastAPI(lifespan=lifespan)


def open_client(request: Request) -> Pinwheel:
    """Return the client that the lifespan opened."""
    pinwheel: Pinwheel = request.state.pinwheel
    return pinwheel


Client = Annotated[Pinwheel, Depends(open_client)]


@app.post("/users/{user_id}/link-token")
async def create_link_token(user_id: str, pinwheel: Client) -> dict[str, str]:
    """Make the token with which the browser opens Link; keep its id, as webhooks name it."""
    token = await pinwheel.link_tokens.create(
        org_name="Acme Lending", solution="Verify", features=["paystubs", "income"], end_user_id=user_id
    )
    return {"id": token.id, "token": token.token}


@app.get("/accounts/{account_id}/income")
async def read_income(account_id: str, pinwheel: Client) -> dict[str, Any]:
    """Return the income as plain JSON values: amounts are cents, and moments are text."""
    income = await pinwheel.income.get(account_id)
    return income.to_dict()


@app.exception_handler(PinwheelError)
async def explain(_: Request, error: Exception) -> JSONResponse:
    """Answer with a status of our own: no error of the library holds a payload value or a secret."""
    if isinstance(error, NotFoundError):
        return JSONResponse({"error": "there is no income, or not yet"}, status_code=404)
    if isinstance(error, TransportError):
        return JSONResponse({"error": "Pinwheel does not answer"}, status_code=504)
    if isinstance(error, ApiError):
        return JSONResponse({"error": "Pinwheel refused", "request_id": error.request_id}, status_code=502)
    return JSONResponse({"error": str(error)}, status_code=500)
