"""FastAPI's `openapi.docs`."""

from starlette.responses import HTMLResponse as HTMLResponse

from tercel.encoders import jsonable_encoder as jsonable_encoder
from tercel.openapi.docs import get_redoc_html as get_redoc_html
from tercel.openapi.docs import get_swagger_ui_html as get_swagger_ui_html
from tercel.openapi.docs import get_swagger_ui_oauth2_redirect_html as get_swagger_ui_oauth2_redirect_html
from tercel.openapi.docs import swagger_ui_default_parameters as swagger_ui_default_parameters
