"""FastAPI's `telemetry`: the names only."""

from tercel.telemetry import TelemetryConfig as TelemetryConfig
from tercel.telemetry import TelemetryData as TelemetryData
from tercel.telemetry import get_telemetry_data as get_telemetry_data
