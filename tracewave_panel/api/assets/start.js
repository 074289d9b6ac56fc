// Shows the description of the API; the page's own address is the only one it asks.
const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = () => root.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", colour);
colour();
window.ui = SwaggerUIBundle({
  url: `${root.dataset.root}/openapi.json`,
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  syntaxHighlight: { activated: true },
});
