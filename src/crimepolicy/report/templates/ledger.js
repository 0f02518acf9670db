// Filters of the ledger. Without this script every line is shown.
(() => {
  const form = document.querySelector(".filters");
  const rows = [...document.querySelectorAll(".ledger tbody tr")];
  const buttons = [...document.querySelectorAll(".count")];
  const plain = (text) => text.normalize("NFD").replace(/\p{Diacritic}/gu, "").toLowerCase();
  const texts = new Map(rows.map((row) => [row, plain(row.textContent)]));

  const matches = (row, asked) =>
    asked.words.every((word) => texts.get(row).includes(word)) &&
    (!asked.verdict || row.dataset.verdict === asked.verdict) &&
    (!asked.family || row.dataset.family === asked.family) &&
    (!asked.country || row.dataset.country.split(", ").includes(asked.country));

  const show = () => {
    const field = (name) => form.elements[name].value;
    const asked = {
      words: plain(field("search")).split(/\s+/).filter(Boolean),
      verdict: field("verdict"), family: field("family"), country: field("country"),
    };
    for (const row of rows) row.hidden = !matches(row, asked);
    for (const group of document.querySelectorAll(".group")) {
      group.hidden = ![...group.querySelectorAll("tbody tr")].some((row) => !row.hidden);
    }
    const shown = rows.filter((row) => !row.hidden).length;
    form.querySelector("[data-shown]").textContent = shown;
    document.querySelector(".nothing").hidden = shown > 0;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.verdict === asked.verdict));
  };

  for (const button of buttons) {
    button.addEventListener("click", () => {
      const select = form.elements.verdict;
      select.value = select.value === button.dataset.verdict ? "" : button.dataset.verdict;
      show();
    });
  }
  form.addEventListener("input", show);
  form.addEventListener("reset", () => setTimeout(show));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  show();
})();
