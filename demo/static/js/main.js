// Each card of the page has a script that knows nothing of the others.

import "./chat.js";
import "./feed.js";
import "./echo.js";
import "./assistant.js";
import "./events.js";
import "./report.js";
import "./requests.js";
import "./items.js";
import "./people.js";
