// Shows what openapi.json, beside the page, says.
"use strict";

SwaggerUIBundle({ url: "openapi.json", dom_id: "#api" });
