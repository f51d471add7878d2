// Sorts the table by a column's numbers, the largest first; without this script it stays as written.
const sort = document.getElementById("sort")
const rows = [...document.querySelectorAll("#rows > tr")]
const key = row => Number(row.cells[sort.value].dataset.key)
sort.onchange = () => document.getElementById("rows").append(...(sort.value ? [...rows].sort(
  (one, other) => isNaN(key(one)) - isNaN(key(other)) || key(other) - key(one) || 0) : rows))
sort.onchange()
sort.closest("label").hidden = false
