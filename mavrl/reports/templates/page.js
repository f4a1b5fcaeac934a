
"use strict";
// Sorts a table by the column whose head is pressed; again turns it round. What has no value stays last.
function valueOf(row, column, numeric) {
  const text = row.cells[column].textContent.trim();
  if (!numeric) return text;
  const found = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?/i.exec(text);
  return found ? Number(found[0]) : NaN;
}
function isMissing(value) {
  return value === "" || value === "-" || Number.isNaN(value);
}
function sortBy(head) {
  const table = head.closest("table");
  const body = table.tBodies[0];
  const ascending = head.getAttribute("aria-sort") !== "ascending";
  const column = head.cellIndex;
  const numeric = head.classList.contains("right");
  const sign = ascending ? 1 : -1;
  const rows = Array.from(body.rows, (row) => [valueOf(row, column, numeric), row]);
  rows.sort(([a], [b]) => {
    if (isMissing(a) || isMissing(b)) return Number(isMissing(a)) - Number(isMissing(b));
    return sign * (numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));
  });
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  body.append(...rows.map(([, row]) => row));
}
for (const button of document.querySelectorAll("table.sortable th button")) {
  button.addEventListener("click", () => sortBy(button.closest("th")));
}
