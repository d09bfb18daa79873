"""What Sentry sees of the application in `shop`, as JSON."""

import json
import warnings

warnings.simplefilter("ignore")
import sentry_sdk  # noqa: E402
from sentry_sdk.integrations.fastapi import FastApiIntegration  # noqa: E402
from sentry_sdk.integrations.starlette import StarletteIntegration  # noqa: E402
from sentry_sdk.transport import Transport  # noqa: E402

seen: list[dict[str, object]] = []


class Keeping(Transport):
    def capture_envelope(self, envelope: object) -> None:
        for item in envelope.items:  # type: ignore[attr-defined]
            event = item.get_event() or item.get_transaction_event()
            if event is None:
                continue
            request = event.get("request", {})
            errors = event.get("exception", {}).get("values", [])
            seen.append(
                {
                    "kind": event.get("type", "error"),
                    "transaction": event.get("transaction"),
                    "source": event.get("transaction_info", {}).get("source"),
                    "status": event.get("contexts", {}).get("trace", {}).get("status"),
                    "op": event.get("contexts", {}).get("trace", {}).get("op"),
                    "code": event.get("contexts", {}).get("response", {}).get("status_code"),
                    "url": request.get("url"),
                    "data": request.get("data"),
                    "error": errors[-1]["type"] if errors else None,
                    "handled": errors[-1]["mechanism"]["type"] if errors else None,
                }
            )


sentry_sdk.init(
    dsn="http://key@127.0.0.1:9/1",
    transport=Keeping,
    traces_sample_rate=1.0,
    default_integrations=False,
    auto_enabling_integrations=False,
    integrations=[StarletteIntegration(), FastApiIntegration()],
)

import shop  # noqa: E402

codes = shop.exercise(shop.make_app())
sentry_sdk.flush()
print(json.dumps({"codes": codes, "seen": seen}))
