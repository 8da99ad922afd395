// Starts Swagger UI on the description of this very bus. It asks no other host, and sends no calls.
(() => {
  "use strict";

  const place = document.getElementById("interface");
  window.SwaggerUIBundle({
    domNode: place,
    url: place.dataset.description,
    validatorUrl: null,
    supportedSubmitMethods: [],
    persistAuthorization: false,
    queryConfigEnabled: false,
    deepLinking: false,
    docExpansion: "none",
    defaultModelsExpandDepth: -1,
    tagsSorter: "alpha",
    plugins: [() => ({ wrapComponents: { InfoContainer: () => () => null } })], // the page has its own heading
  });

  // What Swagger UI leaves out: a name for each choice of an example, and a way to scroll code with the keyboard.
  const mend = () => {
    for (const choice of place.querySelectorAll("select:not([aria-label])")) {
      choice.setAttribute("aria-label", choice.closest(".examples-select") ? "Example" : "Media type");
    }
    for (const code of place.querySelectorAll(".microlight:not([tabindex])")) {
      code.setAttribute("tabindex", "0");
    }
  };
  new MutationObserver(mend).observe(place, { childList: true, subtree: true });
})();
