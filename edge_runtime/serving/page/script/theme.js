// Light and dark colours: as the system says, until the user says otherwise.

const SYSTEM = window.matchMedia("(prefers-color-scheme: dark)");

/** Make a button switch the colours, pressed while they are dark. */
export function followTheme(button) {
  const root = document.documentElement;
  const dark = () => (root.dataset.theme ?? (SYSTEM.matches ? "dark" : "light")) === "dark";
  const tell = () => button.setAttribute("aria-pressed", String(dark()));
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    tell();
  });
  SYSTEM.addEventListener("change", tell);
  tell();
}
