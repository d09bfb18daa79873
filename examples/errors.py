# examples/errors.py
from tercel import FastAPI, HTTPException, Request
from tercel.exceptions import RequestValidationError
from tercel.responses import JSONResponse

app = FastAPI()


class OutOfStock(Exception):
    def __init__(self, item: str) -> None:
        super().__init__(item)
        self.item = item


@app.exception_handler(OutOfStock)
async def out_of_stock(request: Request, error: OutOfStock) -> JSONResponse:
    return JSONResponse({"error": "out of stock", "item": error.item}, status_code=409)


@app.exception_handler(RequestValidationError)
async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    problems = {".".join(str(part) for part in problem["loc"]): problem["msg"] for problem in error.errors()}
    return JSONResponse({"error": "invalid request", "problems": problems}, status_code=400)


@app.get("/items/{item}")
async def read_item(item: str, count: int = 1) -> str:
    if item == "kite":
        raise OutOfStock(item)
    if item != "owl":
        raise HTTPException(404, detail={"unknown": item}, headers={"X-Hint": "try owl"})
    return f"{count} {item}"
