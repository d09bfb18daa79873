"""FastAPI's built-in telemetry: spans, metrics and log records of OpenTelemetry for an application's requests.

The public names. Importing them imports nothing of OpenTelemetry: that happens with the first request that is recorded. Read
`tercel.telemetry._switch` next for when that is.
"""

from tercel.telemetry._api import TelemetryConfig, TelemetryData, get_telemetry_data

__all__ = ["TelemetryConfig", "TelemetryData", "get_telemetry_data"]
