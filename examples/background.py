# examples/background.py


from tercel import BackgroundTasks, Depends, FastAPI

app = FastAPI()
outbox: list[str] = []
audit: list[str] = []


def send_mail(address: str, text: str) -> None:
    """Runs in a worker thread, since it is an ordinary function."""
    outbox.append(f"{address}: {text}")


async def write_audit(entry: str) -> None:
    audit.append(entry)


def audited(tasks: BackgroundTasks) -> None:
    tasks.add_task(write_audit, "somebody signed up")


@app.post("/signup", status_code=202, dependencies=[Depends(audited)])
async def sign_up(address: str, tasks: BackgroundTasks) -> str:
    tasks.add_task(send_mail, address, text="welcome")
    return "you will hear from us"
